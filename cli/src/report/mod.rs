//! `streampipeline report`: the manifest's questions, asked of the sink and drawn.

mod draw;
mod line;
mod span;

use api::Report;
use clap::Args;
use jiff::Timestamp;
use runtime::exit::Exit;
use sinks::{Answer, Sink};

use crate::args::{PipelineArgs, SinkArgs};
use crate::chosen::chosen;
use crate::error::{CliError, print};
use crate::style::Style;
use crate::target::{KafkaChoice, load_existing};
pub(crate) use span::Span;

/// Arguments of `report`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --from and --to the asked time is the last 24 hours, or the generator's window where it has one.

Examples:
  streampipeline report -f deploy/pipelines/music.yaml
  streampipeline report -f deploy/pipelines/music.yaml top_genres --from -2h
  streampipeline report -f deploy/pipelines/music.yaml plays --sink embedded --from 2026-01-01 --to 2026-02-01
  streampipeline report -f deploy/pipelines/music.yaml top_tracks --csv > tracks.csv")]
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
    /// Print one report as CSV
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    sink: SinkArgs,
}

impl ReportArgs {
    pub(crate) async fn run(self) -> Result<Exit, CliError> {
        let overrides = self.sink.overrides(&KafkaChoice::None);
        let pipeline = load_existing(&self.pipeline.file, &overrides)?;
        let reports = chosen("report", &pipeline.reports, |report| &report.name, &self.names)?;
        let now = Timestamp::now();
        let span = Span::new(
            self.from.as_deref(),
            self.to.as_deref(),
            now,
            Span::usual(&pipeline, now),
        )
        .map_err(|error| CliError::Usage(error.to_string()))?;
        let sink = Sink::open(&pipeline, Vec::new(), &self.pipeline.secrets()).await?;
        if self.csv {
            let [report] = reports.as_slice() else {
                let names: Vec<&str> = reports.iter().map(|report| report.name.as_str()).collect();
                return Err(CliError::Usage(format!(
                    "--csv prints one report: name one of {}",
                    names.join(", ")
                )));
            };
            return print(&csv(&ask(&sink, report, &span).await?)?);
        }
        print(&answers(&sink, &reports, &span, Style::of_stdout()).await?)
    }
}

/// The reports' answers, drawn.
pub(crate) async fn answers(
    sink: &Sink,
    reports: &[&Report],
    span: &Span,
    style: Style,
) -> Result<String, CliError> {
    let mut text = format!("{}\n", style.dim(span));
    for report in reports {
        text.push('\n');
        text.push_str(&draw::draw(report, &ask(sink, report, span).await?, style));
    }
    Ok(text)
}

async fn ask(sink: &Sink, report: &Report, span: &Span) -> Result<Answer, CliError> {
    sink.query(&report.sql, &[("from", span.from), ("to", span.to)])
        .await
        .map_err(|error| {
            CliError::Failed(format!(
                "report {}: {}",
                report.name,
                runtime::report::lines(&error)
            ))
        })
}

fn csv(answer: &Answer) -> Result<String, CliError> {
    let written = || -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&answer.columns)?;
        for row in &answer.rows {
            writer.write_record(row.iter().map(|cell| cell.as_deref().unwrap_or("")))?;
        }
        writer
            .into_inner()
            .map_err(|error| csv::Error::from(error.into_error()))
    };
    let bytes = written()
        .map_err(|error| CliError::Failed(format!("the answer cannot be written as CSV: {error}")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
