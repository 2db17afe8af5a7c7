//! What comes before the workers: topics, tables, and whether the sink was reached.

use super::condition::{Condition, ConditionStatus};
use super::input::StatusInput;

pub(super) fn topics(input: &StatusInput<'_>) -> Condition {
    let condition = |status, reason, message: String| Condition::new("TopicsReady", status, reason, message);
    match (&input.kafka.topics, &input.kafka.error) {
        (Some(Err(error)), _) => {
            condition(ConditionStatus::False, error.kind.as_str(), error.message.clone())
        }
        (_, Some(error)) => condition(
            ConditionStatus::Unknown,
            error.kind.as_str(),
            error.message.clone(),
        ),
        (None, None) => condition(
            ConditionStatus::Unknown,
            "Connecting",
            "Kafka has not answered yet".to_owned(),
        ),
        (Some(Ok(partitions)), None) => {
            let topics: Vec<String> = input
                .valid
                .pipeline
                .topics
                .iter()
                .zip(partitions)
                .map(|(topic, partitions)| format!("{} has {partitions} partition(s)", topic.name))
                .collect();
            condition(ConditionStatus::True, "AsDeclared", topics.join(", "))
        }
    }
}

pub(super) fn prepared(input: &StatusInput<'_>, topics: &Condition) -> Condition {
    let condition = |status, reason, message: String| Condition::new("Prepared", status, reason, message);
    let failure = input.job_pods.failure.as_deref();
    match &input.job {
        Some(job) if job.complete => condition(
            ConditionStatus::True,
            "Complete",
            "the tables are there and references are loaded".to_owned(),
        ),
        Some(job) if job.failed => {
            let again = match input.retry_in {
                Some(pause) => format!(
                    "it is tried again in at most {} s",
                    pause.as_secs().next_multiple_of(20).max(20)
                ),
                None => "it is tried again".to_owned(),
            };
            let failure = failure.unwrap_or("the program failed; look at the log of its pod");
            condition(
                ConditionStatus::False,
                "PrepareFailed",
                format!("{failure}; {again}"),
            )
        }
        Some(_) => match failure {
            Some(failure) => condition(ConditionStatus::False, "PrepareHindered", failure.to_owned()),
            None => condition(
                ConditionStatus::False,
                "Preparing",
                "tables are created and references are loaded".to_owned(),
            ),
        },
        None if topics.status == ConditionStatus::True => condition(
            ConditionStatus::False,
            "Preparing",
            "the Job that creates tables is being started".to_owned(),
        ),
        None => condition(
            ConditionStatus::False,
            "WaitingForTopics",
            "tables are created once the topics are there".to_owned(),
        ),
    }
}

/// The operator does not talk to sinks: it reports what the programs that do have shown.
pub(super) fn sink(prepared: &Condition, processing: &Condition) -> Condition {
    let condition = |status, reason, message: &str| Condition::new("SinkReady", status, reason, message);
    let holds = |condition: &Condition| condition.status == ConditionStatus::True;
    match (prepared.reason, processing.reason) {
        _ if holds(processing) => condition(ConditionStatus::True, "Stored", "the workers reach the sink"),
        ("PrepareFailed", _) => condition(ConditionStatus::False, "PrepareFailed", &prepared.message),
        (_, "WorkersFailing" | "Stalled") => {
            condition(ConditionStatus::Unknown, "WorkersFailing", &processing.message)
        }
        _ if holds(prepared) => condition(
            ConditionStatus::True,
            "Prepared",
            "the tables could be created; no worker has used them since",
        ),
        _ => condition(
            ConditionStatus::Unknown,
            "NotReached",
            "nothing has been done with the sink yet",
        ),
    }
}
