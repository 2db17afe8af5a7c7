//! A pipeline's recorded load, as CSV.

use jiff::Timestamp;

use super::{RecordedError, Trace};
use crate::platform::Platform;

/// Longest time between two rows, in seconds.
pub(super) const LONGEST_GAP: i64 = 300;
/// Longest trace, in seconds: 31 days.
const LONGEST: i64 = 31 * 24 * 3_600;

const TIME: &str = "time";
const ARRIVAL: &str = "arrival_per_second";
const LAG: &str = "lag_records";
const WORKERS: &str = "workers";
const PER_WORKER: &str = "per_worker_per_second";
pub(super) const COLUMNS: [&str; 5] = [TIME, ARRIVAL, LAG, WORKERS, PER_WORKER];

struct Row {
    line: u64,
    time: Timestamp,
    arrival: f64,
}

/// Reads a trace with `partitions` equally loaded partitions on `platform`, which the columns `lag_records`, `workers` (the
/// first row's) and `per_worker_per_second` (the mean) override. Between rows the load is interpolated.
pub fn recorded(
    name: &str,
    text: &str,
    partitions: u32,
    platform: &Platform,
) -> Result<Trace, RecordedError> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let headings = reader
        .headers()
        .map_err(|source| RecordedError::Csv { line: 1, source })?
        .clone();
    let columns = columns(&headings)?;
    let mut rows: Vec<Row> = Vec::new();
    let (mut lag, mut workers) = (None, None);
    let mut per_worker = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|source| RecordedError::Csv {
            line: source.position().map_or(0, csv::Position::line),
            source,
        })?;
        let fields = Fields {
            line: record.position().map_or(0, csv::Position::line),
            columns: &columns,
            record: &record,
        };
        let row = fields.row()?;
        ordered(&row, &rows)?;
        let first = rows.is_empty();
        for (column, target) in [(LAG, &mut lag), (WORKERS, &mut workers)] {
            let value = fields.number(column)?;
            if first {
                *target = value;
            }
        }
        per_worker.extend(fields.number(PER_WORKER)?.filter(|rate| *rate > 0.0));
        rows.push(row);
    }
    if rows.len() < 2 {
        return Err(RecordedError::TooShort { rows: rows.len() });
    }
    let mean = per_worker.iter().sum::<f64>() / per_worker.len() as f64;
    Ok(Trace {
        name: name.to_owned(),
        about: format!("recorded, {} rows", rows.len()),
        arrivals: interpolate(&rows),
        weights: vec![1.0; partitions as usize],
        platform: Platform {
            per_worker: if per_worker.is_empty() {
                platform.per_worker
            } else {
                mean
            },
            workers: workers.map_or(platform.workers, |workers| workers as u32),
            backlog: lag.unwrap_or(platform.backlog),
            ..platform.clone()
        },
        steps: Vec::new(),
    })
}

/// The known column of each heading.
fn columns(headings: &csv::StringRecord) -> Result<Vec<&'static str>, RecordedError> {
    let mut found = Vec::new();
    for heading in headings {
        let column = COLUMNS
            .into_iter()
            .find(|column| *column == heading)
            .ok_or_else(|| RecordedError::UnknownColumn {
                column: heading.to_owned(),
            })?;
        if found.contains(&column) {
            return Err(RecordedError::DoubledColumn {
                column: heading.to_owned(),
            });
        }
        found.push(column);
    }
    match [TIME, ARRIVAL].into_iter().find(|column| !found.contains(column)) {
        Some(column) => Err(RecordedError::MissingColumn { column }),
        None => Ok(found),
    }
}

struct Fields<'a> {
    line: u64,
    columns: &'a [&'static str],
    record: &'a csv::StringRecord,
}

impl Fields<'_> {
    fn row(&self) -> Result<Row, RecordedError> {
        let time = self.text(TIME);
        Ok(Row {
            line: self.line,
            time: time
                .parse()
                .map_err(|_| self.wrong(TIME, time, "a time like 2026-11-21T09:30:00Z"))?,
            arrival: self
                .number(ARRIVAL)?
                .ok_or_else(|| self.wrong(ARRIVAL, "", "a number of records a second, 0 or more"))?,
        })
    }

    /// A number, or nothing where nothing stands.
    fn number(&self, column: &'static str) -> Result<Option<f64>, RecordedError> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse() {
            Ok(number) if (0.0..=1e12).contains(&number) => Ok(Some(number)),
            _ => Err(self.wrong(column, text, "a number, 0 or more")),
        }
    }

    fn text(&self, column: &str) -> &str {
        let index = self.columns.iter().position(|known| *known == column);
        index.and_then(|index| self.record.get(index)).unwrap_or_default()
    }

    fn wrong(&self, column: &'static str, value: &str, expected: &'static str) -> RecordedError {
        RecordedError::Value {
            line: self.line,
            column,
            value: value.to_owned(),
            expected,
        }
    }
}

fn ordered(row: &Row, rows: &[Row]) -> Result<(), RecordedError> {
    let (Some(first), Some(before)) = (rows.first(), rows.last()) else {
        return Ok(());
    };
    let seconds = row.time.duration_since(before.time).as_secs();
    if row.time <= before.time {
        Err(RecordedError::Unordered {
            line: row.line,
            time: row.time,
            before: before.time,
        })
    } else if seconds > LONGEST_GAP {
        Err(RecordedError::Gap {
            line: row.line,
            seconds,
        })
    } else if row.time.duration_since(first.time).as_secs() > LONGEST {
        Err(RecordedError::TooLong { line: row.line })
    } else {
        Ok(())
    }
}

/// The load in each second.
fn interpolate(rows: &[Row]) -> Vec<f64> {
    let Some(first) = rows.first() else {
        return Vec::new();
    };
    let at = |row: &Row| {
        let since = row.time.duration_since(first.time);
        since.as_secs_f64()
    };
    let mut arrivals = Vec::new();
    for (from, to) in rows.iter().zip(rows.iter().skip(1)) {
        let (start, end) = (at(from), at(to));
        while (arrivals.len() as f64) < end {
            let share = (arrivals.len() as f64 - start) / (end - start);
            arrivals.push(from.arrival + share * (to.arrival - from.arrival));
        }
    }
    arrivals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Trace, String> {
        recorded("music", text, 12, &Platform::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_recording_is_interpolated() {
        let trace = read(
            "time,arrival_per_second,lag_records,workers,per_worker_per_second\n\
             2026-11-21T09:00:00Z,100,5000,3,2000\n\
             2026-11-21T09:00:10Z,200,,4,3000\n\
             2026-11-21T09:00:12Z,0,,,\n",
        )
        .unwrap();
        assert_eq!(trace.arrivals.len(), 12);
        let close = |value: f64, expected: f64| (value - expected).abs() < 1e-9;
        assert!(close(trace.arrivals[5], 150.0) && close(trace.arrivals[11], 100.0));
        assert_eq!(trace.platform.workers, 3);
        assert!(close(trace.platform.backlog, 5_000.0) && close(trace.platform.per_worker, 2_500.0));
        assert_eq!(trace.weights.len(), 12);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place_and_a_remedy() {
        let head = "time,arrival_per_second\n2026-11-21T09:00:00Z,100\n";
        let names = "time, arrival_per_second, lag_records, workers, per_worker_per_second";
        for (text, expected) in [
            (
                "time,rate\n".to_owned(),
                format!("line 1: the column \"rate\" is unknown: remove it, or name it as one of {names}"),
            ),
            (
                "time,workers\n".to_owned(),
                "line 1: the column \"arrival_per_second\" is missing: `streampipeline record` writes \
                 time,arrival_per_second,lag_records,workers,per_worker_per_second"
                    .replace("             ", ""),
            ),
            (
                "time,time\n".to_owned(),
                "line 1: the column \"time\" is there twice: remove one".to_owned(),
            ),
            (
                format!("{head}2026-11-21T08:59:00Z,100\n"),
                "line 3, column \"time\": 2026-11-21T08:59:00Z is not after the row before (2026-11-21T09:00:00Z): sort the rows \
                 and remove repeated ones"
                    .to_owned(),
            ),
            (
                format!("{head}2026-11-21T10:00:00Z,100\n"),
                "line 3, column \"time\": 3600 s after the row before, and at most 300 s can be filled in: give the rows between, \
                 or split the file here"
                    .to_owned(),
            ),
            (
                format!("{head}yesterday,100\n"),
                "line 3, column \"time\": \"yesterday\" is not a time like 2026-11-21T09:30:00Z".to_owned(),
            ),
            (
                format!("{head}2026-11-21T09:00:10Z,-1\n"),
                "line 3, column \"arrival_per_second\": \"-1\" is not a number, 0 or more".to_owned(),
            ),
            (
                format!("{head}2026-11-21T09:00:10Z,NaN\n"),
                "line 3, column \"arrival_per_second\": \"NaN\" is not a number, 0 or more".to_owned(),
            ),
            (
                format!("{head}2026-11-21T09:00:10Z,\n"),
                "line 3, column \"arrival_per_second\": \"\" is not a number of records a second, 0 or more".to_owned(),
            ),
            (
                format!("{head}2026-11-21T09:00:10Z,1,2\n"),
                "line 3: this is not CSV with as many fields as the heading has columns".to_owned(),
            ),
            (head.to_owned(), "there are 1 rows, and at least two are needed".to_owned()),
        ] {
            assert_eq!(read(&text).unwrap_err(), expected, "{text}");
        }
    }
}
