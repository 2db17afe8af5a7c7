//! Scaling: what the scaler looks at (the manifest's policy, Kafka's answers), when it is asked, and what of its answers
//! is told.

use std::sync::Arc;
use std::time::Duration;

use ::kafka::commit_metadata::Telemetry;
use ::kafka::lag::PartitionLag;
use api::crd::Reserved;
use api::{Pipeline, ScalingMode, StartFrom};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use scaler::{
    Committed, Decision, Handover, History, LogRange, Mode, Observation, PartitionId, PartitionReading,
    Policy, Window,
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::kafka::Seen;
use crate::status::{SINK_SATURATED, Said, Transition, Truth};

/// A decision that says the same as the last is told again after this, with its newer figures.
const RETELL: Duration = Duration::from_secs(30);

/// What is remembered of a pipeline's scaling between reconciles.
#[derive(Debug, Default)]
pub struct Scaling {
    /// The look at Kafka that was decided on last.
    reading: Option<Instant>,
    /// `None` before the first decision of this process; what the status has saved goes on then.
    history: Option<History>,
    told: Option<Instant>,
}

/// `status.scaling`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Told {
    #[serde(flatten)]
    decision: Decision,
    /// Of use to the operator only: it goes on here after a restart.
    history: History,
}

/// The workers at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers {
    /// Asked for.
    pub desired: u32,
    /// At work.
    pub ready: u32,
}

impl Scaling {
    /// `status.scaling` from now on. Decides once a look at Kafka; what has been told stands while there is no new one.
    pub fn decide(
        &mut self,
        pipeline: &Pipeline,
        seen: &Seen,
        workers: Option<Workers>,
        told: Option<&Reserved>,
        (now, time): (Instant, Timestamp),
    ) -> Option<Reserved> {
        if pipeline.scaling.mode == ScalingMode::Off {
            *self = Self::default();
            return None;
        }
        let keep = told.cloned();
        let (Some(reading), Some(workers), false) = (seen.history.last(), workers, pipeline.paused.workers)
        else {
            return keep;
        };
        if self.reading == Some(reading.at) {
            return keep;
        }
        self.reading = Some(reading.at);
        let before = told.and_then(parse);
        let saved = || before.as_ref().map(|told| told.history.clone());
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
        let lately = self.told.is_some_and(|told| now < told + RETELL);
        if before.is_some_and(|before| says_the_same(&before.decision, &decision, lately)) {
            return keep;
        }
        self.told = Some(now);
        match serde_json::to_value(Told { decision, history }) {
            Ok(serde_json::Value::Object(members)) => Some(Reserved(members)),
            other => {
                tracing::error!(?other, "a decision cannot be written: a defect");
                keep
            }
        }
    }
}

fn parse(told: &Reserved) -> Option<Told> {
    serde_json::from_value(serde_json::Value::Object(told.0.clone())).ok()
}

/// What stands in `status.scaling`.
#[must_use]
pub fn told(scaling: Option<&Reserved>) -> Option<Decision> {
    Some(parse(scaling?)?.decision)
}

/// The event of a changed number.
#[must_use]
pub fn transition(old: Option<&Decision>, new: Option<&Decision>) -> Option<Transition> {
    let new = new.filter(|new| old.is_some_and(|old| old.replicas != new.replicas))?;
    Some(Transition {
        kind: "Scale".to_owned(),
        reason: new.reason.code().to_owned(),
        message: new.text.clone(),
        warning: false,
    })
}

/// The condition about the sink, once it has ever been saturated.
pub(crate) fn sink(scaling: Option<&Reserved>, previous: &[Condition]) -> Option<Said> {
    let decision = told(scaling)?;
    let known = previous.iter().any(|condition| condition.type_ == SINK_SATURATED);
    if decision.sink_saturated {
        Some(Said::new(
            SINK_SATURATED,
            Truth::True,
            "SinkSaturated",
            decision.text,
        ))
    } else {
        let text = "the sink takes what the workers give it";
        known.then(|| Said::new(SINK_SATURATED, Truth::False, "SinkKeepsUp", text))
    }
}

/// Whether there is nothing to tell. Figures alone are news only from time to time, and not at all while they are the same.
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

/// A partition as the scaler sees it, read this moment.
#[must_use]
pub fn reading(topic: &Arc<str>, partition: &PartitionLag, report: Option<&Telemetry>) -> PartitionReading {
    PartitionReading {
        id: PartitionId::new(topic, partition.partition),
        log: partition.range.map(|range| LogRange {
            start: range.start,
            end: range.end,
        }),
        committed: partition.committed.map_or(Committed::Never, Committed::At),
        age_seconds: 0.0,
        records_per_busy_second: report.and_then(|report| report.records_per_busy_second),
        sink_wait_share: report.and_then(|report| report.sink_wait_share),
        newest_event_ms: report.and_then(|report| report.newest_event_ms),
        handover: report
            .and_then(|report| report.handover)
            .map(|handover| Handover {
                at_ms: handover.at_ms,
                pause_seconds: Duration::from_millis(handover.pause_ms).as_secs_f64(),
            }),
    }
}

#[cfg(test)]
mod tests {
    use ::kafka::lag::Range;

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

    #[test]
    fn a_worker_s_report_travels_with_its_partition() {
        let lag = |metadata: Option<&str>, committed| PartitionLag {
            partition: 3,
            range: Some(Range { start: 5, end: 90 }),
            committed,
            metadata: metadata.map(str::to_owned),
        };
        let topic = "plays".into();
        let readings = [
            lag(Some(r#"{"r":2500.0,"w":0.25,"t":7,"d":0}"#), Some(40)),
            lag(Some("by another program"), None),
        ]
        .map(|partition| reading(&topic, &partition, partition.report().as_ref()));
        assert_eq!(readings[0].id.to_string(), "plays/3");
        assert_eq!(readings[0].records_per_busy_second, Some(2500.0));
        assert_eq!(
            (readings[0].lag(false), readings[1].lag(false)),
            (Some(50), Some(85))
        );
        assert_eq!(readings[1].committed, Committed::Never);
        assert_eq!(readings[1].records_per_busy_second, None);
    }
}
