//! The `streampipeline` command: what a person does with a pipeline, with and without a cluster.
//!
//! ```text
//! command ─► target (manifest + overrides ─► Pipeline) ─► one module a subcommand ─► text
//! ```
//!
//! Evaluating and drawing are pure (`audit::evaluate`, `report::draw`, `plan::text`, `up::hold`); Kafka and sinks are
//! reached through the rooms that own them.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod args;
mod audit;
mod check;
mod chosen;
mod command;
mod console;
mod dead_letters;
mod error;
mod generate;
mod install;
mod model;
mod plan;
mod preflight;
mod report;
mod scaling;
mod style;
mod table;
mod target;
mod up;
mod validate;

use std::io::ErrorKind;

use clap::{CommandFactory, Parser};
use runtime::exit::Exit;

use command::{Cli, Command};
use error::CliError;

/// Does what the arguments ask for; whatever went wrong is on standard error by the time it returns. Wrong arguments
/// and `--help` end the process.
pub async fn main() -> Exit {
    let Cli { command, mut logging } = Cli::parse();
    let reports_itself = matches!(
        command,
        Command::Preflight(_) | Command::Plan(_) | Command::Install(_)
    );
    if reports_itself && logging.log == args::LOG {
        // What clients log besides is said twice.
        "off".clone_into(&mut logging.log);
    }
    let live = matches!(&command, Command::Up(up) if up.shows_live());
    let log = match console::Log::init(&logging, live) {
        Ok(log) => log,
        Err(error) => return complain(&error),
    };
    let outcome = match command {
        Command::Validate(validate) => validate.run().await,
        Command::Crd => error::print(&api::crd_yaml()),
        Command::Plan(plan) => plan.run().await,
        Command::Install(install) => install.run().await,
        Command::Up(up) => up.run(log).await,
        Command::Audit(audit) => audit.run().await,
        Command::Report(report) => report.run().await,
        Command::Model(model) => model.run().await,
        Command::Generate(generate) => generate.run().await,
        Command::DeadLetters(letters) => letters.run().await,
        Command::Preflight(preflight) => preflight.run().await,
        Command::Backtest(backtest) => backtest.run(),
        Command::Record(record) => record.run().await,
        Command::Completions { shell } => completions(shell),
        Command::HelpMarkdown => error::print(&command::markdown()),
    };
    match outcome {
        Ok(exit) => exit,
        Err(error) => complain(&error),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "streampipeline", &mut script);
    error::print(&String::from_utf8_lossy(&script))
}

fn complain(error: &CliError) -> Exit {
    // Whoever read our output has enough of it (`| head`): that is no failure.
    if matches!(error, CliError::Output(source) if source.kind() == ErrorKind::BrokenPipe) {
        return Exit::Success;
    }
    eprintln!("{}", error.report());
    error.exit()
}
