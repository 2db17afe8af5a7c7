//! Numbers: lag, rate, rows.

use api::crd::{StreamPipelineStatus, TopicStatus};

use super::generation::audit_text;
use super::input::StatusInput;

pub(super) fn add(input: &StatusInput<'_>, status: &mut StreamPipelineStatus) {
    let history = &input.kafka.history;
    let partitions = |index: usize| match &input.kafka.topics {
        Some(Ok(partitions)) => partitions.get(index).copied(),
        _ => None,
    };
    let fresh = input.fresh_reading();
    status.topics = input
        .valid
        .pipeline
        .topics
        .iter()
        .enumerate()
        .map(|(index, topic)| {
            let reading = fresh.and_then(|reading| reading.topics.get(index));
            TopicStatus {
                name: topic.name.to_string(),
                partitions: reading
                    .map(|reading| reading.partitions)
                    .or_else(|| partitions(index)),
                lag: reading.and_then(|reading| reading.lag).map(count),
                lag_seconds: reading.and_then(|_| history.lag_seconds(index)).map(rounded),
            }
        })
        .collect();
    let Some(last) = history.last() else { return };
    // Sums over all time stay true when Kafka is away; what is about this moment does not.
    status.rows = last
        .rows
        .iter()
        .map(|(table, rows)| (table.clone(), count(*rows)))
        .collect();
    if last.reports > 0 {
        status.dead_letters = Some(count(last.dead_letters));
        if input.valid.pipeline.generator.is_some() {
            status.audit = Some(audit_text(&last.audit));
        }
    }
    if fresh.is_some() {
        status.lag = last.lag().map(count);
        status.rate = history.rate().map(rounded);
        let seconds = status.topics.iter().map(|topic| topic.lag_seconds);
        status.lag_seconds = seconds
            .collect::<Option<Vec<f64>>>()
            .map(|all| all.into_iter().fold(0.0, f64::max));
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Three digits are as many as mean something; a number that hardly changes is not written again and again.
pub(super) fn rounded(number: f64) -> f64 {
    if number == 0.0 || !number.is_finite() {
        return 0.0;
    }
    let digits = 2 - number.abs().log10().floor() as i32;
    let scale = 10_f64.powi(digits.min(3));
    (number * scale).round() / scale
}
