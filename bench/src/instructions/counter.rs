//! The programs under cachegrind: what they are run with, over few and over many records.

use std::path::PathBuf;
use std::process::Command;

use super::cachegrind::{Profile, counting, read};
use super::{Counted, RECORDS};
use crate::error::BenchError;
use crate::generator;
use crate::pipelines::{Pipeline, Sink, Table};
use crate::programs::{Programs, output_of};
use crate::servers::Servers;
use crate::worker::{self, Worker, prepare_if_known};

/// Events of the shorter and the longer run of a generator.
const EVENTS: [u64; 2] = [100_000, 1_100_000];

/// Records' way through a worker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path<'a> {
    pub(super) what: &'static str,
    /// Of its pipelines, which no other path has: each run has a group without committed offsets.
    pub(super) name: &'static str,
    /// What the names of the topics of the shorter and the longer run begin with.
    pub(super) topics: &'static str,
    pub(super) table: Table,
    pub(super) sink: Sink<'a>,
}

pub(super) struct Counter<'a> {
    pub(super) servers: &'a Servers,
    pub(super) revisions: &'a [&'a Programs],
}

impl Counter<'_> {
    /// The generator's events, which go nowhere.
    pub(super) fn events(&self) -> Result<Counted, BenchError> {
        let manifest = self
            .servers
            .manifest(&Pipeline::new("generator", Table::Append))?;
        let run = |programs: &Programs, events: u64| {
            let count = events.to_string();
            let arguments = ["--output", "none", "--unlimited", "--count", &count];
            self.counted(
                &self
                    .servers
                    .command(programs, generator::PROGRAM, &manifest, &arguments),
            )
        };
        let [few, many] = EVENTS;
        let each =
            |programs: &&Programs| Ok(Some(run(programs, many)?.each(&run(programs, few)?, many - few)));
        Ok(Counted {
            what: "generator, an event",
            profiles: self
                .revisions
                .iter()
                .map(each)
                .collect::<Result<_, BenchError>>()?,
        })
    }

    /// A simulated day of the scaler and of those that it is compared with, as a whole.
    pub(super) fn backtest(&self) -> Result<Counted, BenchError> {
        let run = |programs: &&Programs| {
            let mut command = programs.command("streampipeline");
            command.args(["backtest", "--trace", "day"]);
            self.counted(&command).map(Some)
        };
        Ok(Counted {
            what: "backtest of a day, all of it",
            profiles: self.revisions.iter().map(run).collect::<Result<_, _>>()?,
        })
    }

    /// A worker's records.
    pub(super) async fn records(&self, path: Path<'_>) -> Result<Counted, BenchError> {
        let mut profiles = Vec::new();
        for (revision, programs) in self.revisions.iter().enumerate() {
            let mut runs = Vec::new();
            for (run, records) in RECORDS.into_iter().enumerate() {
                eprintln!("{}: {}, {records} records ...", path.what, programs.revision);
                let name = format!("{}-{revision}-{run}", path.name);
                let pipeline = Pipeline {
                    topic: &format!("{}_{run}", path.topics),
                    sink: path.sink,
                    ..Pipeline::new(&name, path.table)
                };
                runs.extend(self.emptied(programs, &pipeline, records).await?);
            }
            let [few, many] = RECORDS;
            profiles.push(match runs.as_slice() {
                [shorter, longer] => Some(longer.each(shorter, many - few)),
                // A revision that does not have this sink.
                _ => None,
            });
        }
        Ok(Counted {
            what: path.what,
            profiles,
        })
    }

    /// A worker that empties a topic into an empty sink, if it has such a sink.
    async fn emptied(
        &self,
        programs: &Programs,
        pipeline: &Pipeline<'_>,
        records: u64,
    ) -> Result<Option<Profile>, BenchError> {
        pipeline.sink.empty(self.servers).await?;
        let Some(manifest) = prepare_if_known(self.servers, programs, pipeline)? else {
            return Ok(None);
        };
        let run = self
            .servers
            .command(programs, worker::PROGRAM, &manifest, &["run"]);
        let file = self.file();
        let mut worker = Worker::start(counting(&run, &file), pipeline.topic).await?;
        worker.stored(records).await?;
        worker.stop().await?;
        read(&file).map(Some)
    }

    /// A program that ends by itself.
    fn counted(&self, command: &Command) -> Result<Profile, BenchError> {
        let file = self.file();
        output_of(&mut counting(command, &file))?;
        read(&file)
    }

    fn file(&self) -> PathBuf {
        self.servers.folder().join("cachegrind.out")
    }
}
