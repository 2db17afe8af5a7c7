//! `streampipeline backtest`: the scaler and its peers on traces of load.

use std::path::{Path, PathBuf};

use clap::Args;
use operator::scaling::policy;
use runtime::exit::Exit;
use scaler::Platform;
use scaler::backtest::{TraceReport, contenders, run};
use scaler::trace::{Trace, all, recorded};
use scaler::{Policy, render};

use crate::error::{CliError, print};
use crate::target::{Overrides, load};

/// Partitions where no manifest says how many.
const PARTITIONS: u32 = 24;

/// Arguments of `backtest`.
#[derive(Debug, Args)]
#[command(after_help = "\
The policy is the manifest's; without a manifest it is the default one with at most 24 workers. Next to it the same load \
is given to KEDA's kafka scaler with the HPA, the Flink operator's autoscaler and Numaflow's, each at its defaults. What \
the columns mean stands in docs/scaling.md. The same seed gives the same figures.

A trace is one of `list`, or a CSV file with the columns time and arrival_per_second, and perhaps lag_records, workers \
and per_worker_per_second, as `streampipeline record` writes it.

Examples:
  streampipeline backtest
  streampipeline backtest --trace list
  streampipeline backtest -f deploy/pipelines/music.yaml --trace day --trace spike
  streampipeline backtest -f deploy/pipelines/music.yaml --trace yesterday.csv --plots plots --csv scores.csv")]
pub(crate) struct BacktestArgs {
    /// The manifest whose spec.scaling and partitions are tried
    #[arg(short = 'f', long = "file", value_name = "MANIFEST")]
    file: Option<PathBuf>,
    /// Load to try: a name, `list`, or a CSV file; all named ones if not given
    #[arg(long = "trace", value_name = "TRACE")]
    traces: Vec<String>,
    /// Of workers' speed, noise and start times
    #[arg(long, value_name = "N", default_value = "42")]
    seed: u64,
    /// Records a second that one worker can do, where a trace does not say
    #[arg(long, value_name = "N")]
    per_worker: Option<f64>,
    /// Folder for a plot of each trace: TRACE.svg
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// File for the scores as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

impl BacktestArgs {
    pub(crate) fn run(self) -> Result<Exit, CliError> {
        if self.traces.iter().any(|trace| trace == "list") {
            let lines: Vec<String> = all(self.seed)
                .iter()
                .map(|trace| format!("{:<12} {}\n", trace.name, trace.about))
                .collect();
            return print(&lines.concat());
        }
        let (policy, partitions) = match &self.file {
            Some(file) => {
                let pipeline = load(file, &Overrides::none())?;
                let partitions = pipeline.topics.iter().map(|topic| topic.partitions as u32).sum();
                (policy(&pipeline), partitions)
            }
            None => (
                Policy {
                    max: PARTITIONS,
                    ..Policy::default()
                },
                PARTITIONS,
            ),
        };
        if let Some(warning) = policy.warning(partitions) {
            eprintln!("warning: {warning}");
        }
        let traces = self.traces(partitions)?;
        let reports = run(traces, &contenders(policy), self.seed);
        self.save(&reports)?;
        print(&render::table(&reports))
    }

    fn traces(&self, partitions: u32) -> Result<Vec<Trace>, CliError> {
        let named = all(self.seed);
        if self.traces.is_empty() {
            return Ok(named);
        }
        let platform = self
            .per_worker
            .map_or_else(Platform::default, |per_worker| Platform {
                per_worker,
                ..Platform::default()
            });
        self.traces
            .iter()
            .map(|wanted| {
                if let Some(trace) = named.iter().find(|trace| trace.name == *wanted) {
                    return Ok(trace.clone());
                }
                let path = Path::new(wanted);
                if path.extension().is_none() {
                    return Err(CliError::Usage(format!(
                        "there is no trace {wanted}: `--trace list` names them, and a file ends in .csv"
                    )));
                }
                let text = std::fs::read_to_string(path)
                    .map_err(CliError::io(format!("cannot read the trace {wanted}")))?;
                let name = path.file_stem().unwrap_or_default().to_string_lossy();
                recorded(&name, &text, partitions, &platform)
                    .map_err(|error| CliError::Usage(format!("{wanted}: {}", runtime::report::lines(&error))))
            })
            .collect()
    }

    fn save(&self, reports: &[TraceReport]) -> Result<(), CliError> {
        if let Some(folder) = &self.plots {
            std::fs::create_dir_all(folder)
                .map_err(CliError::io(format!("cannot create {}", folder.display())))?;
            for report in reports {
                write(
                    &folder.join(format!("{}.svg", report.trace.name)),
                    &render::svg(report),
                )?;
            }
        }
        match &self.csv {
            Some(file) => write(file, &render::csv(reports)),
            None => Ok(()),
        }
    }
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    std::fs::write(path, text).map_err(CliError::io(format!("cannot write {}", path.display())))
}
