//! `streampipeline report`: the manifest's questions, asked of the sink and drawn.

use std::fmt::Write;
use std::path::Path;

use api::{Pipeline, Report};
use clap::Args;
use jiff::Timestamp;
use reports::parameter::Given;
use reports::report::{Asking, Offered, ReportError, check_given};
use reports::span::Span;
use reports::sql::Tables;
use reports::{csv, draw};
use runtime::exit::Exit;
use sinks::Sink;
use sinks::answer::Answer;
use worker::plan::{Wanted, plan, stored_tables};
use worker::sql::Plans;

use crate::args::{PipelineArgs, SinkArgs};
use crate::chosen::chosen;
use crate::error::{CliError, print};
use crate::style::Style;
use crate::target::{KafkaChoice, load_existing};

/// Arguments of `report`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --from and --to the asked time is the last 24 hours, or the generator's window where it has one. A report that \
has no answer does not keep the others from theirs.

Examples:
  streampipeline report -f deploy/pipelines/music.yaml
  streampipeline report -f deploy/pipelines/music.yaml top_genres --from -2h
  streampipeline report -f deploy/pipelines/music.yaml plays --sink embedded --from 2026-01-01 --to 2026-02-01
  streampipeline report -f deploy/pipelines/music.yaml top_tracks --csv > tracks.csv
  streampipeline report -f deploy/pipelines/music.yaml top_tracks_of_genre --param genre=jazz
  streampipeline report -f deploy/pipelines/music.yaml top_tracks_of_genre --params")]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Reports by name; all of them if none is named
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Beginning of the asked time: an instant (2026-01-31T12:00:00Z), a date, or so long ago (-2h)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// End of the asked time, itself not included: as --from, or `now`
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// The value of a parameter; may be given for several
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    given: Vec<(String, String)>,
    /// List the reports' parameters, with the values that there are, instead of asking
    #[arg(long, conflicts_with_all = ["csv", "given"])]
    params: bool,
    /// Print one report as CSV
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    sink: SinkArgs,
}

fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

impl ReportArgs {
    pub(crate) async fn run(self) -> Result<Exit, CliError> {
        let overrides = self.sink.overrides(&KafkaChoice::None);
        let pipeline = load_existing(&self.pipeline.file, &overrides)?;
        let reports = chosen("report", &pipeline.reports, |report| &report.name, &self.names)?;
        let given = given(&self.given)?;
        check_given(&reports, &given).map_err(|error| CliError::Usage(error.to_string()))?;
        let now = Timestamp::now();
        let span = Span::new(
            self.from.as_deref(),
            self.to.as_deref(),
            now,
            Span::usual(&pipeline, now),
        )
        .map_err(|error| CliError::Usage(error.to_string()))?;
        let plans = plan(&pipeline, Wanted::Columns)
            .await
            .map_err(worker::run::WorkerError::from)?;
        let asking = Asking {
            sink: &Sink::open(&pipeline, Vec::new(), &self.pipeline.secrets()).await?,
            tables: &tables(&pipeline, &plans).await?,
            span,
            now,
            given: &given,
        };
        if self.params {
            return print(&offers(&asking, &reports).await?);
        }
        if self.csv {
            let [report] = reports.as_slice() else {
                let names: Vec<&str> = reports.iter().map(|report| report.name.as_str()).collect();
                return Err(CliError::Usage(format!(
                    "--csv prints one report: name one of {}",
                    names.join(", ")
                )));
            };
            let answer = ask(&asking, report)
                .await
                .map_err(|error| failed(report, &error))?;
            return print(&csv::csv(&answer).map_err(|error| failed(report, &error))?);
        }
        let answers = answers(&asking, &reports, Style::of_stdout()).await?;
        print(&answers.text)?;
        answers.outcome.map(|()| Exit::Success)
    }
}

/// Each name once.
fn given(typed: &[(String, String)]) -> Result<Given, CliError> {
    let mut given = Given::new();
    for (name, value) in typed {
        if given.insert(name.clone(), value.clone()).is_some() {
            return Err(CliError::Usage(format!(
                "--param {name} is there twice; give it once"
            )));
        }
    }
    Ok(given)
}

/// The tables that the pipeline's reports may select from.
pub(crate) async fn tables(pipeline: &Pipeline, plans: &Plans) -> Result<Tables, CliError> {
    let stored = stored_tables(pipeline, plans).map_err(worker::run::WorkerError::from)?;
    Ok(Tables::of(stored, &pipeline.models).await)
}

/// Plans the reports' SQL for every sink. Problems are lines of the manifest `file`.
pub(crate) async fn check(file: &Path, pipeline: &Pipeline, plans: &Plans) -> Result<(), CliError> {
    let tables = tables(pipeline, plans).await?;
    let mut lines = Vec::new();
    for (index, report) in pipeline.reports.iter().enumerate() {
        for (place, refusal) in reports::report::check(report, &tables).await {
            lines.push(format!(
                "{}: spec.reports[{index}].{place}: {refusal}",
                file.display()
            ));
        }
    }
    if lines.is_empty() {
        Ok(())
    } else {
        Err(CliError::Tables(lines.join("\n")))
    }
}

/// What reports gave.
#[derive(Debug)]
pub(crate) struct Answers {
    /// The answers, drawn, and what came in the place of those that are missing.
    pub(crate) text: String,
    /// The first error, if any.
    pub(crate) outcome: Result<(), CliError>,
}

/// Asks reports one after the other. One that has no answer does not keep the others from theirs.
///
/// # Errors
/// The only report has no answer, or the sink is away.
pub(crate) async fn answers(
    asking: &Asking<'_>,
    reports: &[&Report],
    style: Style,
) -> Result<Answers, CliError> {
    let mut text = format!("{}\n", style.dim(asking.span));
    let mut outcome = Ok(());
    for report in reports {
        text.push('\n');
        match ask(asking, report).await {
            Ok(answer) => text.push_str(&draw::draw(&report.title, report.chart, &answer, style)),
            Err(error) if reports.len() == 1 || error.concerns_all() => return Err(failed(report, &error)),
            Err(error) => {
                let lines = [style.red(format!("no answer: {error}"))];
                text.push_str(&draw::under(&report.title, &lines, style));
                outcome = outcome.and(Err(failed(report, &error)));
            }
        }
    }
    Ok(Answers { text, outcome })
}

async fn ask(asking: &Asking<'_>, report: &Report) -> Result<Answer, ReportError> {
    let (answer, note) = asking.ask(report).await?;
    if let Some(note) = note {
        tracing::warn!(
            report = report.name,
            "the SQL is asked as it stands, since it is not portable: {note}"
        );
    }
    Ok(answer)
}

fn failed(report: &Report, error: &ReportError) -> CliError {
    let text = format!("report {}: {}", report.name, runtime::report::lines(error));
    if error.is_typed() {
        CliError::Usage(text)
    } else {
        CliError::Failed(text)
    }
}

/// The parameters of reports, with their defaults and choices.
async fn offers(asking: &Asking<'_>, reports: &[&Report]) -> Result<String, CliError> {
    let mut text = String::new();
    for report in reports {
        let offered = asking
            .offered(report)
            .await
            .map_err(|error| failed(report, &error))?;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", report.name);
        if offered.is_empty() {
            let _ = writeln!(text, "  no parameters besides --from and --to");
        }
        for Offered { parameter, choices } in offered {
            let title = if parameter.title == parameter.name {
                String::new()
            } else {
                format!(" {},", parameter.title)
            };
            let default = match &parameter.default {
                Some(default) => format!("default {default}"),
                None => "must be given".to_owned(),
            };
            let of = parameter.parameter_type.name();
            let _ = writeln!(text, "  {}:{title} {of}, {default}", parameter.name);
            if let Some(choices) = choices {
                let _ = writeln!(text, "    one of {}", choices.join(", "));
            }
        }
    }
    Ok(text)
}
