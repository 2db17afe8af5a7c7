//! A result as text and as JSON. Pure.

use std::fmt::Write;

use serde_json::{Value, json};
use worker::audit::Ranges;
use worker::state::{Gap, GapReason};

use super::evaluate::{AuditResult, Deviation, DeviationKind, PartitionResult};
use crate::style::{Style, count, grouped};
use crate::table::{Align, render as columns};

/// Ranges of one deviation that a line names.
const RANGES_A_LINE: usize = 20;

/// What stands for a number that is not known.
const UNKNOWN: &str = "?";

/// Partitions, everything that is wrong, and the line that says it all.
pub(super) fn render(result: &AuditResult, style: Style) -> String {
    let mut text = String::new();
    let rows: Vec<Vec<String>> = result.partitions.iter().map(row).collect();
    if !rows.is_empty() {
        let headings = [
            "PARTITION",
            "STORED",
            "DEAD LETTERS",
            "UNREAD",
            "MISSING",
            "DOUBLED",
            "REORDERED",
        ];
        let mut aligns = vec![Align::Right; headings.len()];
        if let Some(first) = aligns.first_mut() {
            *first = Align::Left;
        }
        for line in columns(&headings, &aligns, &rows, style.width) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{line}");
        }
        text.push('\n');
    }
    for line in irregularities(result) {
        let _ = writeln!(text, "{}", style.red(line));
    }
    if let Some(problem) = &result.kafka_problem {
        let _ = writeln!(text, "only the sink was looked at: {problem}");
    }
    let _ = writeln!(text, "{}", summary(result, style));
    text
}

fn row(partition: &PartitionResult) -> Vec<String> {
    let at_most = if partition.unread_at_most { "≤ " } else { "" };
    vec![
        partition.partition.to_string(),
        grouped(partition.stored),
        grouped(partition.dead_letters),
        partition.unread.map_or_else(
            || UNKNOWN.to_owned(),
            |unread| format!("{at_most}{}", grouped(unread)),
        ),
        grouped(partition.count(DeviationKind::Missing)),
        grouped(partition.count(DeviationKind::Doubled)),
        grouped(partition.reordered),
    ]
}

/// `audit: produced N, stored N, dead letters N, unread N, missing 0, doubled 0`.
pub(crate) fn summary(result: &AuditResult, style: Style) -> String {
    let unknown =
        |number: Option<u64>| number.map_or_else(|| UNKNOWN.to_owned(), |number| number.to_string());
    let mut line = format!(
        "audit: produced {}, stored {}, dead letters {}, unread {}, missing {}, doubled {}",
        unknown(result.produced),
        result.stored(),
        result.dead_letters(),
        unknown(result.unread()),
        result.missing(),
        result.doubled(),
    );
    if result.gaps() > 0 {
        let _ = write!(line, ", gaps {}", result.gaps());
    }
    if result.is_clean() {
        style.green(line)
    } else {
        style.red(line)
    }
}

/// A line for each thing that is wrong, with its exact place.
pub(crate) fn irregularities(result: &AuditResult) -> Vec<String> {
    let mut lines = Vec::new();
    for partition in &result.partitions {
        let name = &partition.partition;
        lines.extend(
            partition
                .deviations
                .iter()
                .map(|deviation| format!("{name}: {}", deviation_text(deviation))),
        );
        lines.extend(
            partition
                .gaps
                .iter()
                .map(|gap| format!("{name}: {}", gap_text(gap))),
        );
        if partition.older_gaps > 0 {
            lines.push(format!(
                "{name}: {} before those",
                count(partition.older_gaps, "gap", "gaps")
            ));
        }
    }
    if result.vanished > 0 {
        let records = count(result.vanished, "record", "records");
        lines.push(format!(
            "{records} at the end of the stream: produced, but neither stored nor in the topic"
        ));
    }
    lines
}

fn deviation_text(deviation: &Deviation) -> String {
    let Deviation {
        run,
        shard,
        kind,
        ranges,
    } = deviation;
    let kind = match kind {
        DeviationKind::Missing => "missing",
        DeviationKind::Doubled => "doubled",
    };
    format!(
        "run {run} shard {shard}: {kind} {} ({})",
        ranges_text(ranges),
        count(ranges.count(), "record", "records")
    )
}

fn ranges_text(ranges: &Ranges) -> String {
    let mut texts: Vec<String> = ranges
        .ranges
        .iter()
        .take(RANGES_A_LINE)
        .map(|(from, to)| format!("{from}..{to}"))
        .collect();
    if ranges.ranges.len() > RANGES_A_LINE || ranges.more > 0 {
        texts.push("…".to_owned());
    }
    texts.join(", ")
}

fn gap_text(gap: &Gap) -> String {
    let Gap { from, to, reason } = gap;
    let reason = match reason {
        GapReason::Retention => "Kafka's retention deleted them before they were read",
        GapReason::TopicRecreated => "the topic was deleted and made again before they were read",
        GapReason::Unfinished => {
            "they went while their batch was being stored, so that it could not be finished; its rows may be there in part"
        }
    };
    let to = to.map_or_else(String::new, |to| to.to_string());
    format!("offsets {from}..{to} are gone: {reason}")
}

/// The result for programs.
pub(super) fn json(result: &AuditResult) -> String {
    let partitions: Vec<Value> = result.partitions.iter().map(partition_json).collect();
    let value = json!({
        "clean": result.is_clean(),
        "produced": result.produced,
        "stored": result.stored(),
        "deadLetters": result.dead_letters(),
        "unread": result.unread(),
        "missing": result.missing(),
        "doubled": result.doubled(),
        "gaps": result.gaps(),
        "vanished": result.vanished,
        "kafkaProblem": result.kafka_problem,
        "partitions": partitions,
    });
    format!("{value:#}\n")
}

fn partition_json(partition: &PartitionResult) -> Value {
    let deviations: Vec<Value> = partition
        .deviations
        .iter()
        .map(|deviation| {
            json!({
                "run": deviation.run.to_string(),
                "shard": deviation.shard,
                "fault": match deviation.kind { DeviationKind::Missing => "missing", DeviationKind::Doubled => "doubled" },
                "records": deviation.ranges.count(),
                "ranges": deviation.ranges.ranges,
            })
        })
        .collect();
    let gaps: Vec<Value> = partition
        .gaps
        .iter()
        .map(|gap| {
            let reason = match gap.reason {
                GapReason::Retention => "retention",
                GapReason::TopicRecreated => "topicRecreated",
                GapReason::Unfinished => "unfinished",
            };
            json!({"from": gap.from, "to": gap.to, "reason": reason})
        })
        .collect();
    json!({
        "topic": &*partition.partition.topic,
        "partition": partition.partition.number,
        "stored": partition.stored,
        "deadLetters": partition.dead_letters,
        "unread": partition.unread,
        "unreadAtMost": partition.unread_at_most,
        "reordered": partition.reordered,
        "findings": deviations,
        "gaps": gaps,
        "olderGaps": partition.older_gaps,
    })
}

#[cfg(test)]
mod tests {
    use api::Partition;
    use worker::audit::RunId;

    use super::*;

    fn partition(number: i32) -> PartitionResult {
        PartitionResult {
            partition: Partition {
                topic: "plays".into(),
                number,
            },
            stored: 12_000,
            dead_letters: 2,
            unread: Some(0),
            unread_at_most: false,
            reordered: 0,
            deviations: Vec::new(),
            gaps: Vec::new(),
            older_gaps: 0,
        }
    }

    #[test]
    fn a_clean_result_is_a_table_and_a_line() {
        let result = AuditResult {
            partitions: vec![partition(0), partition(1)],
            produced: Some(24_004),
            ..AuditResult::default()
        };
        assert_eq!(
            render(&result, Style::PLAIN),
            "PARTITION  STORED  DEAD LETTERS  UNREAD  MISSING  DOUBLED  REORDERED\n\
             plays/0    12,000             2       0        0        0          0\n\
             plays/1    12,000             2       0        0        0          0\n\
             \n\
             audit: produced 24004, stored 24000, dead letters 4, unread 0, missing 0, doubled 0\n"
        );
    }

    #[test]
    fn what_is_wrong_is_named_to_the_record() {
        let deviation = |kind, ranges: Vec<(u64, u64)>| Deviation {
            run: RunId(0x18c),
            shard: 5,
            kind,
            ranges: Ranges { ranges, more: 0 },
        };
        let wrong = PartitionResult {
            deviations: vec![
                deviation(DeviationKind::Missing, vec![(120, 125), (300, 301)]),
                deviation(DeviationKind::Doubled, vec![(7, 8)]),
            ],
            gaps: vec![
                Gap {
                    from: 50,
                    to: Some(70),
                    reason: GapReason::Retention,
                },
                Gap {
                    from: 90,
                    to: None,
                    reason: GapReason::TopicRecreated,
                },
            ],
            unread: None,
            ..partition(3)
        };
        let result = AuditResult {
            partitions: vec![wrong],
            vanished: 2,
            ..AuditResult::default()
        };
        assert_eq!(
            irregularities(&result),
            [
                "plays/3: run 000000000000018c shard 5: missing 120..125, 300..301 (6 records)",
                "plays/3: run 000000000000018c shard 5: doubled 7..8 (1 record)",
                "plays/3: offsets 50..70 are gone: Kafka's retention deleted them before they were read",
                "plays/3: offsets 90.. are gone: the topic was deleted and made again before they were read",
                "2 records at the end of the stream: produced, but neither stored nor in the topic",
            ]
        );
        assert_eq!(
            summary(&result, Style::PLAIN),
            "audit: produced ?, stored 12000, dead letters 2, unread ?, missing 8, doubled 1, gaps 2"
        );
        let json: Value = serde_json::from_str(&json(&result)).unwrap();
        assert_eq!(
            json["partitions"][0]["findings"][0]["ranges"],
            json!([[120, 125], [300, 301]])
        );
        assert_eq!((&json["clean"], &json["unread"]), (&json!(false), &Value::Null));
    }
}
