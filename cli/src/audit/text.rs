//! A verdict as text and as JSON. Pure.

use std::fmt::Write;

use serde_json::{Value, json};
use worker::audit::Ranges;
use worker::state::{Gap, GapReason};

use super::judge::{Fault, Finding, PartitionVerdict, Verdict};
use crate::style::{Style, count, grouped};
use crate::table::{Align, render as columns};

/// Ranges of one finding that a line names.
const RANGES_A_LINE: usize = 20;

/// What stands for a number that is not known.
const UNKNOWN: &str = "?";

/// Partitions, everything that is wrong, and the line that says it all.
pub(super) fn render(verdict: &Verdict, style: Style) -> String {
    let mut text = String::new();
    let rows: Vec<Vec<String>> = verdict.partitions.iter().map(row).collect();
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
    for line in irregularities(verdict) {
        let _ = writeln!(text, "{}", style.red(line));
    }
    if let Some(problem) = &verdict.kafka_problem {
        let _ = writeln!(text, "only the sink was looked at: {problem}");
    }
    let _ = writeln!(text, "{}", summary(verdict, style));
    text
}

fn row(partition: &PartitionVerdict) -> Vec<String> {
    let at_most = if partition.unread_at_most { "≤ " } else { "" };
    vec![
        partition.partition.to_string(),
        grouped(partition.stored),
        grouped(partition.dead_letters),
        partition.unread.map_or_else(
            || UNKNOWN.to_owned(),
            |unread| format!("{at_most}{}", grouped(unread)),
        ),
        grouped(partition.count(Fault::Missing)),
        grouped(partition.count(Fault::Doubled)),
        grouped(partition.reordered),
    ]
}

/// `audit: produced N, stored N, dead letters N, unread N, missing 0, doubled 0`.
pub(crate) fn summary(verdict: &Verdict, style: Style) -> String {
    let unknown =
        |number: Option<u64>| number.map_or_else(|| UNKNOWN.to_owned(), |number| number.to_string());
    let mut line = format!(
        "audit: produced {}, stored {}, dead letters {}, unread {}, missing {}, doubled {}",
        unknown(verdict.produced),
        verdict.stored(),
        verdict.dead_letters(),
        unknown(verdict.unread()),
        verdict.missing(),
        verdict.doubled(),
    );
    if verdict.gaps() > 0 {
        let _ = write!(line, ", gaps {}", verdict.gaps());
    }
    if verdict.is_clean() {
        style.green(line)
    } else {
        style.red(line)
    }
}

/// A line for each thing that is wrong, with its exact place.
pub(crate) fn irregularities(verdict: &Verdict) -> Vec<String> {
    let mut lines = Vec::new();
    for partition in &verdict.partitions {
        let name = &partition.partition;
        lines.extend(
            partition
                .findings
                .iter()
                .map(|finding| format!("{name}: {}", finding_text(finding))),
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
    if verdict.vanished > 0 {
        let records = count(verdict.vanished, "record", "records");
        lines.push(format!(
            "{records} at the end of the stream: produced, but neither stored nor in the topic"
        ));
    }
    lines
}

fn finding_text(finding: &Finding) -> String {
    let Finding {
        run,
        shard,
        fault,
        ranges,
    } = finding;
    let fault = match fault {
        Fault::Missing => "missing",
        Fault::Doubled => "doubled",
    };
    format!(
        "run {run} shard {shard}: {fault} {} ({})",
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

/// The verdict for programs.
pub(super) fn json(verdict: &Verdict) -> String {
    let partitions: Vec<Value> = verdict.partitions.iter().map(partition_json).collect();
    let value = json!({
        "clean": verdict.is_clean(),
        "produced": verdict.produced,
        "stored": verdict.stored(),
        "deadLetters": verdict.dead_letters(),
        "unread": verdict.unread(),
        "missing": verdict.missing(),
        "doubled": verdict.doubled(),
        "gaps": verdict.gaps(),
        "vanished": verdict.vanished,
        "kafkaProblem": verdict.kafka_problem,
        "partitions": partitions,
    });
    format!("{value:#}\n")
}

fn partition_json(partition: &PartitionVerdict) -> Value {
    let findings: Vec<Value> = partition
        .findings
        .iter()
        .map(|finding| {
            json!({
                "run": finding.run.to_string(),
                "shard": finding.shard,
                "fault": match finding.fault { Fault::Missing => "missing", Fault::Doubled => "doubled" },
                "records": finding.ranges.count(),
                "ranges": finding.ranges.ranges,
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
        "findings": findings,
        "gaps": gaps,
        "olderGaps": partition.older_gaps,
    })
}

#[cfg(test)]
mod tests {
    use api::Partition;
    use worker::audit::RunId;

    use super::*;

    fn partition(number: i32) -> PartitionVerdict {
        PartitionVerdict {
            partition: Partition {
                topic: "plays".into(),
                number,
            },
            stored: 12_000,
            dead_letters: 2,
            unread: Some(0),
            unread_at_most: false,
            reordered: 0,
            findings: Vec::new(),
            gaps: Vec::new(),
            older_gaps: 0,
        }
    }

    #[test]
    fn a_clean_verdict_is_a_table_and_a_line() {
        let verdict = Verdict {
            partitions: vec![partition(0), partition(1)],
            produced: Some(24_004),
            ..Verdict::default()
        };
        assert_eq!(
            render(&verdict, Style::PLAIN),
            "PARTITION  STORED  DEAD LETTERS  UNREAD  MISSING  DOUBLED  REORDERED\n\
             plays/0    12,000             2       0        0        0          0\n\
             plays/1    12,000             2       0        0        0          0\n\
             \n\
             audit: produced 24004, stored 24000, dead letters 4, unread 0, missing 0, doubled 0\n"
        );
    }

    #[test]
    fn what_is_wrong_is_named_to_the_record() {
        let finding = |fault, ranges: Vec<(u64, u64)>| Finding {
            run: RunId(0x18c),
            shard: 5,
            fault,
            ranges: Ranges { ranges, more: 0 },
        };
        let wrong = PartitionVerdict {
            findings: vec![
                finding(Fault::Missing, vec![(120, 125), (300, 301)]),
                finding(Fault::Doubled, vec![(7, 8)]),
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
        let verdict = Verdict {
            partitions: vec![wrong],
            vanished: 2,
            ..Verdict::default()
        };
        assert_eq!(
            irregularities(&verdict),
            [
                "plays/3: run 000000000000018c shard 5: missing 120..125, 300..301 (6 records)",
                "plays/3: run 000000000000018c shard 5: doubled 7..8 (1 record)",
                "plays/3: offsets 50..70 are gone: Kafka's retention deleted them before they were read",
                "plays/3: offsets 90.. are gone: the topic was deleted and made again before they were read",
                "2 records at the end of the stream: produced, but neither stored nor in the topic",
            ]
        );
        assert_eq!(
            summary(&verdict, Style::PLAIN),
            "audit: produced ?, stored 12000, dead letters 2, unread ?, missing 8, doubled 1, gaps 2"
        );
        let json: Value = serde_json::from_str(&json(&verdict)).unwrap();
        assert_eq!(
            json["partitions"][0]["findings"][0]["ranges"],
            json!([[120, 125], [300, 301]])
        );
        assert_eq!((&json["clean"], &json["unread"]), (&json!(false), &Value::Null));
    }
}
