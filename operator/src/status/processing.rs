//! Whether the workers store what there is.

use std::time::Duration;

use super::condition::{Condition, ConditionStatus};
use super::input::{StatusInput, Workload};
use super::surplus::surplus;
use crate::kafka::KafkaReading;
use crate::names::{Role, selector_text};
use crate::validate::Valid;

/// Records wait and nothing is stored for so long: something is wrong.
const STALLED: Duration = Duration::from_mins(1);

pub(super) fn processing(input: &StatusInput<'_>, prepared: &Condition) -> Condition {
    let condition = |status, reason, message: String| Condition::new("Processing", status, reason, message);
    let worker = &input.worker;
    if input.valid.pipeline.paused.workers {
        let message = "spec.paused.workers is true: nothing is stored; set it to false to go on";
        return condition(ConditionStatus::False, "Paused", message.to_owned());
    }
    if worker.state.is_none() {
        return condition(
            ConditionStatus::False,
            "WaitingForPrepare",
            "workers are started once the tables are there".to_owned(),
        );
    }
    if !worker.current && prepared.status != ConditionStatus::True {
        let message = format!(
            "{} worker(s) go on with the previous manifest until the tables of the new one are there",
            worker.available()
        );
        return condition(ConditionStatus::False, "WaitingForPrepare", message);
    }
    // Scaled to zero: that is as it should be as long as nothing waits.
    let idle = worker.wanted == 0 && worker.current;
    if idle && input.fresh_reading().and_then(KafkaReading::lag) == Some(0) {
        let message = "everything is stored; workers are started when records come";
        return condition(ConditionStatus::True, "Idle", message.to_owned());
    }
    if !worker.serves() {
        return coming(worker, "Processing", "worker", "WorkersFailing");
    }
    let Some(reading) = input.fresh_reading() else {
        let (reason, why) = match &input.kafka.error {
            Some(error) => (error.kind.as_str(), error.message.as_str()),
            None => ("Connecting", "Kafka has not been looked at yet"),
        };
        return condition(
            ConditionStatus::Unknown,
            reason,
            format!("whether records are stored is not known: {why}"),
        );
    };
    storing(input, reading)
}

/// Workers are ready: whether they store what there is.
fn storing(input: &StatusInput<'_>, reading: &KafkaReading) -> Condition {
    let condition = |status, reason, message: String| Condition::new("Processing", status, reason, message);
    let worker = &input.worker;
    let workers = format!(
        "{} of {} worker(s) ready{}",
        worker.available(),
        worker.wanted,
        surplus(worker.wanted, partitions(input), &input.valid.pipeline.scaling)
    );
    let rate = input.kafka.history.rate();
    match (reading.lag(), rate) {
        (Some(0), _) => condition(
            ConditionStatus::True,
            "UpToDate",
            format!("everything is stored; {workers}"),
        ),
        (None, _) => {
            let message = "some partition has no leader, so its lag is not known; look at the brokers";
            condition(
                ConditionStatus::Unknown,
                "PartitionWithoutLeader",
                message.to_owned(),
            )
        }
        (Some(_), Some(rate)) if rate > 0.0 => condition(
            ConditionStatus::True,
            "Storing",
            format!("records are being stored; {workers}"),
        ),
        (Some(lag), _) => {
            let history = &input.kafka.history;
            let idle = history
                .progress()
                .map(|progress| input.now.saturating_duration_since(progress));
            if idle.is_some_and(|idle| idle < STALLED) {
                condition(
                    ConditionStatus::True,
                    "Storing",
                    format!("records are being stored; {workers}"),
                )
            } else if idle.is_none() && history.covers(input.now) < STALLED {
                condition(
                    ConditionStatus::Unknown,
                    "Starting",
                    format!("no record has been stored yet; {workers}"),
                )
            } else {
                stalled(input.valid, lag)
            }
        }
    }
}

/// Of all topics together; 0 before they are known.
fn partitions(input: &StatusInput<'_>) -> u32 {
    let topics = input
        .kafka
        .topics
        .as_ref()
        .and_then(|topics| topics.as_ref().ok());
    let known = topics.into_iter().flatten();
    known
        .filter_map(|partitions| u32::try_from(*partitions).ok())
        .sum()
}

fn stalled(valid: &Valid, lag: u64) -> Condition {
    let selector = selector_text(valid.pipeline.name.as_str(), Some(Role::Worker));
    let message = format!(
        "{lag} record(s) wait and none has been stored for a minute; look at the workers: kubectl logs -n {} -l {selector}",
        valid.namespace
    );
    Condition::new("Processing", ConditionStatus::False, "Stalled", message)
}

/// A Deployment none of whose new pods works yet.
pub(super) fn coming(
    workload: &Workload<'_>,
    kind: &'static str,
    noun: &str,
    failing: &'static str,
) -> Condition {
    if let Some(failure) = &workload.pods.failure {
        return Condition::new(kind, ConditionStatus::False, failing, failure.clone());
    }
    let ready = workload.available();
    let wanted = workload.wanted;
    Condition::new(
        kind,
        ConditionStatus::False,
        "Starting",
        format!("{ready} of {wanted} {noun}(s) ready"),
    )
}
