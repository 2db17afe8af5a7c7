//! Scaling: what the scaler gets (the manifest's policy, readings of Kafka), when it is asked, and which of its
//! decisions are reported.

pub(crate) mod workers;

use std::time::Duration;

use api::crd::Reserved;
use api::{Pipeline, ScalingMode, StartFrom};
use k8s_openapi::jiff::Timestamp;
use scaler::{Decision, History, Mode, Observation, PartitionReading, Policy, Window};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::kafka::KafkaObservation;

/// A decision that says the same as the last is reported again after this, with its newer figures.
const REPORT_AGAIN: Duration = Duration::from_secs(30);

/// Decides for one pipeline, and remembers what that takes between reconciles.
#[derive(Debug, Default)]
pub(crate) struct PipelineScaler {
    /// The reading of Kafka that was decided on last.
    reading: Option<Instant>,
    /// `None` before the first decision of this process; what the status has saved goes on then.
    history: Option<History>,
    /// When a decision was reported last.
    reported: Option<Instant>,
}

/// `status.scaling`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct SavedDecision {
    #[serde(flatten)]
    decision: Decision,
    /// Of use to the operator only: it goes on here after a restart.
    history: History,
}

/// How many workers the Deployment is to have, and how many of them are ready, at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WorkerCounts {
    pub(crate) desired: u32,
    pub(crate) ready: u32,
}

impl PipelineScaler {
    /// `status.scaling` from now on. Decides once for each reading of Kafka; `reported`, what the status has, stays while
    /// there is no new one.
    pub(crate) fn decide(
        &mut self,
        pipeline: &Pipeline,
        kafka: &KafkaObservation,
        workers: Option<WorkerCounts>,
        reported: Option<&Reserved>,
        (now, time): (Instant, Timestamp),
    ) -> Option<Reserved> {
        if pipeline.scaling.mode == ScalingMode::Off {
            *self = Self::default();
            return None;
        }
        let keep = reported.cloned();
        let (Some(reading), Some(workers), false) = (kafka.history.last(), workers, pipeline.paused.workers)
        else {
            return keep;
        };
        if self.reading == Some(reading.at) {
            return keep;
        }
        self.reading = Some(reading.at);
        let before = reported.and_then(parse);
        let saved = || before.as_ref().map(|saved| saved.history.clone());
        let history = self.history.take().or_else(saved).unwrap_or_default();
        let age_seconds = now.saturating_duration_since(reading.at).as_secs_f64();
        let aged = |partition: &PartitionReading| PartitionReading {
            age_seconds,
            ..partition.clone()
        };
        let observation = Observation {
            partitions: reading.partitions.iter().map(aged).collect(),
            desired: workers.desired,
            ready: workers.ready,
        };
        let (decision, history) = scaler::decide(&observation, &policy(pipeline), &history, time);
        self.history = Some(history.clone());
        let lately = self
            .reported
            .is_some_and(|reported| now < reported + REPORT_AGAIN);
        if before.is_some_and(|before| says_the_same(&before.decision, &decision, lately)) {
            return keep;
        }
        self.reported = Some(now);
        match serde_json::to_value(SavedDecision { decision, history }) {
            Ok(serde_json::Value::Object(members)) => Some(Reserved(members)),
            other => {
                tracing::error!(?other, "a decision cannot be written: a defect");
                keep
            }
        }
    }
}

fn parse(reported: &Reserved) -> Option<SavedDecision> {
    serde_json::from_value(serde_json::Value::Object(reported.0.clone())).ok()
}

/// The decision that a `status.scaling` has, if this version can read it.
#[must_use]
pub(crate) fn last_reported(scaling: Option<&Reserved>) -> Option<Decision> {
    Some(parse(scaling?)?.decision)
}

/// Whether there is nothing to report. Figures alone are news only from time to time, and not at all while they are the
/// same.
fn says_the_same(old: &Decision, new: &Decision, lately: bool) -> bool {
    let of = |decision: &Decision| {
        (
            decision.replicas,
            decision.recommended,
            decision.reason,
            decision.bound,
            decision.sink_saturated,
        )
    };
    of(old) == of(new) && (lately || old.text == new.text)
}

/// The policy that a manifest asks for.
#[must_use]
pub fn policy(pipeline: &Pipeline) -> Policy {
    let scaling = &pipeline.scaling;
    Policy {
        min: scaling.min,
        max: scaling.max,
        drain_within: scaling.drain_within,
        freshness: scaling.freshness,
        patience: scaling.patience,
        windows: scaling
            .windows
            .iter()
            .map(|window| Window {
                start: window.schedule.clone(),
                duration: window.duration,
                min: window.min,
                max: window.max,
            })
            .collect(),
        mode: match scaling.mode {
            ScalingMode::Auto => Mode::Auto,
            ScalingMode::Recommend => Mode::Recommend,
            ScalingMode::Off => Mode::Off,
        },
        pinned: scaling.replicas,
        from_latest: pipeline
            .topics
            .iter()
            .all(|topic| topic.start_from == StartFrom::Latest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_window_of_a_manifest_is_the_policys() {
        let pipeline = crate::testing::pipeline(
            "scaling: {min: 0, max: 8, freshness: 30s, patience: 5m, windows: [{schedule: '0 18 * * mon-fri', duration: 5h, min: 4}]}",
        );
        let policy = policy(&pipeline);
        assert_eq!((policy.min, policy.max, policy.windows.len()), (0, 8, 1));
        assert_eq!(policy.freshness.map(|freshness| freshness.as_secs()), Some(30));
        assert!(policy.problems().is_empty());
    }
}
