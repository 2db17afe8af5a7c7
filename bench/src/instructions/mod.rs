//! Instructions of the hot paths, for one record or event. They are counted by valgrind rather than timed: a busy machine
//! changes nothing about them. Only command lines and metrics of the programs are used, so that an earlier revision is
//! counted the same way. decisions/0018-measuring.md says why it is done like this.

mod cachegrind;
mod places;

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

use self::cachegrind::{Profile, counting, read};
use self::places::PLACES;
use crate::error::{BenchError, io};
use crate::generator::{self, perf_test, preload, values};
use crate::pipelines::{Pipeline, Sink, Table};
use crate::programs::{Programs, output_of};
use crate::servers::Servers;
use crate::worker::{self, Worker, prepare, takes};

/// Records of the shorter and the longer run of a worker.
const RECORDS: [u64; 2] = [50_000, 450_000];
/// Events of those of the generator.
const EVENTS: [u64; 2] = [100_000, 1_100_000];
/// One record in so many is not JSON where dead letters are counted.
const BAD: usize = 50;
const DATABASE: &str = "instructions";

/// What one record or event costs at each place, for each revision that can do it.
#[derive(Debug)]
pub(crate) struct Counted {
    what: &'static str,
    profiles: Vec<Option<Profile>>,
}

/// Counts all hot paths of each revision.
pub(crate) async fn count(servers: &Servers, revisions: &[&Programs]) -> Result<Vec<Counted>, BenchError> {
    cachegrind::check()?;
    let Some(first) = revisions.first() else {
        return Ok(Vec::new());
    };
    fill(servers, first).await?;
    let bench = Bench { servers, revisions };
    let file = servers.folder().join("instructions.db");
    let postgres = Sink::Postgres(DATABASE);
    Ok(vec![
        bench.events()?,
        bench.backtest()?,
        bench
            .records("worker, append table", "counted", Table::Append, postgres)
            .await?,
        bench
            .records(
                "worker, merge table with a join",
                "counted",
                Table::Merge,
                postgres,
            )
            .await?,
        bench
            .records("worker, a dead letter in 50", "bad", Table::Append, postgres)
            .await?,
        bench
            .records(
                "worker, append table in SQLite",
                "counted",
                Table::Append,
                Sink::Sqlite(&file),
            )
            .await?,
        bench
            .records("worker into discard", "counted", Table::Append, Sink::Discard)
            .await?,
    ])
}

/// The topics `counted_0` and `counted_1` of the shorter and the longer run, and the same with bad records.
async fn fill(servers: &Servers, programs: &Programs) -> Result<(), BenchError> {
    let values = values(servers, programs, 10_000)?;
    let text = std::fs::read_to_string(&values).map_err(io("reading the events"))?;
    let mut mixed = String::new();
    for (number, line) in text.lines().enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(mixed, "{}", if number % BAD == 0 { "not JSON" } else { line });
    }
    std::fs::write(&values, mixed).map_err(io("writing the events"))?;
    for (run, records) in RECORDS.into_iter().enumerate() {
        let counted = format!("counted_{run}");
        let pipeline = Pipeline {
            topic: &counted,
            ..Pipeline::new("counted", Table::Append)
        };
        let name = format!("counted-{run}");
        preload(
            servers,
            programs,
            &Pipeline {
                name: &name,
                ..pipeline
            },
            records,
        )?;
        // A thousand of the generator's make the topic, with as many partitions as the manifest says.
        let (bad, name) = (format!("bad_{run}"), format!("bad-{run}"));
        let pipeline = Pipeline {
            name: &name,
            topic: &bad,
            ..pipeline
        };
        preload(servers, programs, &pipeline, 1_000)?;
        perf_test(servers, &bad, records - 1_000, &values.display().to_string()).await?;
    }
    Ok(())
}

struct Bench<'a> {
    servers: &'a Servers,
    revisions: &'a [&'a Programs],
}

impl Bench<'_> {
    /// The generator's events, which go nowhere.
    fn events(&self) -> Result<Counted, BenchError> {
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
    fn backtest(&self) -> Result<Counted, BenchError> {
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

    /// A worker's records, from Kafka into a sink.
    async fn records(
        &self,
        what: &'static str,
        topics: &str,
        table: Table,
        sink: Sink<'_>,
    ) -> Result<Counted, BenchError> {
        let mut profiles = Vec::new();
        for programs in self.revisions {
            let mut runs = Vec::new();
            for (run, records) in RECORDS.into_iter().enumerate() {
                let topic = format!("{topics}_{run}");
                let name = format!("counted-{:x}-{run}", profiles.len());
                let pipeline = Pipeline {
                    topic: &topic,
                    sink,
                    ..Pipeline::new(&name, table)
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
        Ok(Counted { what, profiles })
    }

    /// A worker that empties a topic into an empty sink, if it has such a sink.
    async fn emptied(
        &self,
        programs: &Programs,
        pipeline: &Pipeline<'_>,
        records: u64,
    ) -> Result<Option<Profile>, BenchError> {
        pipeline.sink.empty(self.servers).await?;
        if !takes(self.servers, programs, pipeline)? {
            return Ok(None);
        }
        let manifest = prepare(self.servers, programs, pipeline)?;
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

/// What each costs as Markdown, with the places that have at least a hundredth of it.
pub(crate) fn table(revisions: &[&Programs], counted: &[Counted]) -> String {
    let names: Vec<&str> = revisions
        .iter()
        .map(|programs| programs.revision.as_str())
        .collect();
    let mut text = format!(
        "| instructions | {} | ratio |\n|---|{}---|\n",
        names.join(" | "),
        "---|".repeat(names.len())
    );
    for Counted { what, profiles } in counted {
        line(&mut text, what, profiles, Profile::total);
        for (at, (place, _)) in PLACES.iter().enumerate() {
            let of = |profile: &Profile| profile.0.get(at).copied().unwrap_or_default();
            if profiles
                .iter()
                .flatten()
                .any(|profile| of(profile) >= profile.total() / 100.0)
            {
                line(&mut text, &format!("– {place}"), profiles, of);
            }
        }
    }
    text
}

fn line(text: &mut String, what: &str, profiles: &[Option<Profile>], of: impl Fn(&Profile) -> f64) {
    let figures: Vec<Option<f64>> = profiles.iter().map(|profile| profile.as_ref().map(&of)).collect();
    let cell = |figure: &Option<f64>| figure.map_or_else(|| "–".to_owned(), |figure| format!("{figure:.0}"));
    let ratio = match figures.as_slice() {
        [Some(before), Some(now)] => format!("{:.3}", now / before),
        _ => String::new(),
    };
    let cells: Vec<String> = figures.iter().map(cell).collect();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "| {what} | {} | {ratio} |", cells.join(" | "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_revisions_have_a_ratio_and_small_places_no_line() {
        let mut profile = Profile::default();
        profile.0[0] = 999.0;
        profile.0[1] = 1.0;
        let mut text = String::new();
        line(
            &mut text,
            "worker",
            &[Some(profile), Some(profile)],
            Profile::total,
        );
        assert_eq!(text, "| worker | 1000 | 1000 | 1.000 |\n");
        let counted = Counted {
            what: "worker",
            profiles: vec![None, Some(profile)],
        };
        let text = table(&[], &[counted]);
        assert!(text.contains("| worker | – | 1000 |  |"), "{text}");
        assert_eq!(text.lines().count(), 4, "{text}");
    }
}
