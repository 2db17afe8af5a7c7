//! Instructions of the hot paths, for one record or event. They are counted by valgrind rather than timed: a busy machine
//! changes nothing about them. Only command lines and metrics of the programs are used, so that an earlier revision is
//! counted the same way. decisions/0018-measuring.md says why it is done like this.

mod cachegrind;
mod counter;
mod places;

use std::fmt::Write;

use self::cachegrind::Profile;
use self::counter::{Counter, Path};
use self::places::PLACES;
use crate::error::{BenchError, io};
use crate::generator::{perf_test, preload, values};
use crate::pipelines::{Pipeline, Sink, Table};
use crate::programs::Programs;
use crate::servers::Servers;

/// Records of the shorter and the longer run of a worker.
const RECORDS: [u64; 2] = [50_000, 1_050_000];
/// One record in so many is not JSON where dead letters are counted.
const BAD: usize = 50;

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
    let file = servers.folder().join("instructions.db");
    let append = Path {
        what: "worker, append table",
        name: "append",
        topics: "counted",
        table: Table::Append,
        sink: Sink::Postgres("instructions"),
    };
    let paths = [
        append,
        Path {
            what: "worker, merge table with a join",
            name: "merge",
            table: Table::Merge,
            ..append
        },
        Path {
            what: "worker, a dead letter in 50",
            name: "letters",
            topics: "bad",
            ..append
        },
        Path {
            what: "worker, append table in SQLite",
            name: "sqlite",
            sink: Sink::Sqlite(&file),
            ..append
        },
        Path {
            what: "worker into discard",
            name: "discard",
            sink: Sink::Discard,
            ..append
        },
    ];
    let counter = Counter { servers, revisions };
    let mut all = vec![counter.events()?, counter.backtest()?];
    for path in paths {
        all.push(counter.records(path).await?);
    }
    Ok(all)
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
