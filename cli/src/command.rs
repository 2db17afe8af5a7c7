//! The command and its subcommands, as they are typed, and the manual that is made of them.

use std::fmt::Write;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::args::Logging;
use crate::audit::AuditArgs;
use crate::dead_letters::DeadLettersArgs;
use crate::generate::GenerateArgs;
use crate::install::InstallArgs;
use crate::model::ModelArgs;
use crate::plan::PlanArgs;
use crate::preflight::PreflightArgs;
use crate::report::ReportArgs;
use crate::scaling::{BacktestArgs, RecordArgs};
use crate::up::UpArgs;
use crate::validate::ValidateArgs;

const AFTER_HELP: &str = "\
Begin with:
  streampipeline up -f deploy/pipelines/music.yaml --for 30s

Exit codes:
  0    done, or stopped on request
  1    something failed that may work another time (a server is away, a file cannot be written)
  2    wrong arguments or a wrong manifest
  3    an audit found records that are missing, doubled or not stored
  130  ended at once by a second Ctrl-C";

/// Width of the generated manual; a terminal's own width is used for `--help`.
const MANUAL_WIDTH: usize = 100;

/// Runs, checks and questions stream pipelines: Kafka topics, SQL, and tables that the rows go to, exactly once.
#[derive(Debug, Parser)]
#[command(name = "streampipeline", version, after_help = AFTER_HELP, max_term_width = 110)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// What to log.
    #[command(flatten)]
    pub(crate) logging: Logging,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what is wrong with manifests: where, what, and the remedy
    Validate(ValidateArgs),
    /// Show the topics, tables and columns that a manifest gives, and what it would change in a cluster
    Plan(PlanArgs),
    /// Run a pipeline here: topics, tables, generator and workers in this process
    Up(UpArgs),
    /// Prove that no record is missing or doubled, or name those that are
    Audit(AuditArgs),
    /// Answer the manifest's questions: tables, bars and lines
    Report(ReportArgs),
    /// Fill the tables of models again, now
    Model(ModelArgs),
    /// Run the generator alone: to standard output, a file, Kafka or nowhere
    Generate(GenerateArgs),
    /// Show the records that could not be stored, and send them again
    DeadLetters(DeadLettersArgs),
    /// Check brokers, topics, sink and secrets before a pipeline is started
    Preflight(PreflightArgs),
    /// Try scaling policies on loads, next to those of KEDA, Flink and Numaflow
    Backtest(BacktestArgs),
    /// Write down the load of a pipeline that runs, as a trace for `backtest`
    Record(RecordArgs),
    /// Print the operator's manifests, or apply them to a cluster
    Install(InstallArgs),
    /// Print the custom resource definition for Kubernetes
    #[command(after_help = "Example:\n  streampipeline crd | kubectl apply --server-side -f -")]
    Crd,
    /// Print a script that completes commands and options in a shell
    #[command(after_help = "Example, for bash:\n  source <(streampipeline completions bash)")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print this manual as Markdown
    #[command(hide = true)]
    HelpMarkdown,
}

/// The whole manual.
#[must_use]
pub(crate) fn markdown() -> String {
    let mut text = String::from(
        "<!-- Written by `make generate`: change the help texts in cli/src instead. -->\n\n# The command\n",
    );
    let mut command = Cli::command().term_width(MANUAL_WIDTH);
    // Fills in what subcommands inherit.
    command.build();
    section(&mut text, &mut command, 2);
    text
}

fn section(text: &mut String, command: &mut clap::Command, level: usize) {
    let name = command
        .get_bin_name()
        .unwrap_or_else(|| command.get_name())
        .to_owned();
    // Defaults and places from the environment of whoever generates the manual do not belong into it.
    let mut shown = command
        .clone()
        .mut_args(|argument| argument.hide_env_values(true))
        .term_width(MANUAL_WIDTH);
    let help = shown.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let help = help.join("\n");
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "\n{} {name}\n\n```text\n{}\n```\n",
        "#".repeat(level),
        help.trim()
    );
    for subcommand in command.get_subcommands_mut() {
        if !subcommand.is_hide_set() && subcommand.get_name() != "help" {
            section(text, subcommand, level + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_has_a_section_and_an_example() {
        let manual = markdown();
        for subcommand in Cli::command()
            .get_subcommands()
            .filter(|subcommand| !subcommand.is_hide_set())
        {
            let name = subcommand.get_name();
            assert!(manual.contains(&format!("### streampipeline {name}\n")), "{name}");
            let example = subcommand
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                example.contains(&format!("streampipeline {name}")),
                "{name} shows no example"
            );
        }
    }
}
