//! From what was observed to what the pipeline's status says. No I/O; the clock is an argument.

mod condition;
mod figures;
mod generation;
mod models;
mod parts;
mod preparation;
mod processing;
pub(crate) mod scaling;
mod surplus;
#[cfg(test)]
mod tests;
mod transitions;

use std::time::Duration;

use api::crd::{Reserved, StreamPipelineStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

pub(crate) use models::ObservedModel;
pub(crate) use transitions::{Transition, transitions};

use crate::kafka::{KafkaObservation, Reading};
use crate::names::{Role, selector_text};
use crate::pods::PodSummary;
use crate::validate::Valid;
use crate::watch::live::{DeploymentState, JobState};
use condition::{Condition, ConditionStatus};
use parts::Parts;

/// Everything that a status is made from.
#[derive(Debug)]
pub(crate) struct StatusInput<'a> {
    /// The manifest's.
    pub(crate) generation: Option<i64>,
    pub(crate) valid: &'a Valid,
    pub(crate) blocker: Option<Blocker>,
    pub(crate) kafka: &'a KafkaObservation,
    /// From one reading of Kafka to the next.
    pub(crate) interval: Duration,
    /// The Job for the present manifest.
    pub(crate) job: Option<JobState>,
    /// The Job that has given up is tried again after this.
    pub(crate) retry_in: Option<Duration>,
    /// The Job's pods, if it has given up or hesitates.
    pub(crate) job_pods: &'a PodSummary,
    pub(crate) worker: Workload<'a>,
    pub(crate) generator: Workload<'a>,
    pub(crate) models: Vec<ObservedModel>,
    /// The generator's configuration has produced all that it was to produce.
    pub(crate) complete: bool,
    /// `status.scaling` from now on.
    pub(crate) scaling: Option<Reserved>,
    /// Now, for measuring.
    pub(crate) now: Instant,
    /// Now, for people.
    pub(crate) time: Timestamp,
}

/// A Deployment as it was observed.
#[derive(Debug, Clone)]
pub(crate) struct Workload<'a> {
    /// `None` if it is not there.
    pub(crate) state: Option<DeploymentState>,
    /// The one that it got when it was applied last; 0 before that.
    pub(crate) generation: i64,
    /// Whether it has been given what the manifest says now.
    pub(crate) current: bool,
    /// Pods that it should have now.
    pub(crate) wanted: u32,
    /// Empty if it is as it should be.
    pub(crate) pods: &'a PodSummary,
}

/// Why a pipeline does not go on: a reason in CamelCase; what is wrong and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blocker {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl StatusInput<'_> {
    /// The last reading of Kafka, if it is not older than three may take.
    fn fresh_reading(&self) -> Option<&Reading> {
        let last = self.kafka.history.last()?;
        let age = self.now.saturating_duration_since(last.at);
        (age <= self.interval * 3 + Duration::from_secs(5)).then_some(last)
    }
}

impl Workload<'_> {
    /// It has the newest template, everywhere, and all pods that it should have.
    fn rolled_out(&self) -> bool {
        self.current
            && self.state.as_ref().is_some_and(|state| {
                state.observed_generation >= self.generation
                    && state.updated == state.wanted
                    && state.replicas == state.updated
                    && state.available >= state.wanted
            })
    }

    /// It has the newest template, and at least one pod of it works while the others come or go.
    fn serves(&self) -> bool {
        self.current
            && self.state.as_ref().is_some_and(|state| {
                let old = (state.replicas - state.updated).max(0);
                state.observed_generation >= self.generation && state.available > old
            })
    }

    /// Pods that are ready, as far as the Deployment's controller knows.
    fn available(&self) -> i32 {
        self.state.as_ref().map_or(0, |state| state.available)
    }
}

/// The status that follows from what was observed. `previous` is what was there: times of transitions are kept where
/// nothing has changed.
#[must_use]
pub(crate) fn status(input: &StatusInput<'_>, previous: &StreamPipelineStatus) -> StreamPipelineStatus {
    let parts = Parts::new(input);
    let phase = parts.phase(input);
    let name = input.valid.pipeline.name.as_str();
    let mut conditions = parts.conditions();
    conditions.extend(models::condition(input));
    conditions.extend(scaling::sink_saturated(
        input.scaling.as_ref(),
        &previous.conditions,
    ));
    let mut status = StreamPipelineStatus {
        phase: Some(phase.to_owned()),
        observed_generation: input.generation,
        workers: Some(input.worker.state.as_ref().map_or(0, |state| state.replicas)),
        desired_workers: Some(input.worker.wanted as i32),
        selector: Some(selector_text(name, Some(Role::Worker))),
        conditions: condition::merge(
            conditions,
            &previous.conditions,
            input.generation,
            &Time(input.time),
        ),
        scaling: input.scaling.clone(),
        models: models::statuses(&input.models),
        ..StreamPipelineStatus::default()
    };
    figures::add(input, &mut status);
    status
}

/// The status of a pipeline whose manifest cannot be used. Nothing else is known: what ran goes on, so its numbers stay.
#[must_use]
pub(crate) fn invalid(
    generation: Option<i64>,
    blocker: Blocker,
    time: Timestamp,
    previous: &StreamPipelineStatus,
) -> StreamPipelineStatus {
    let ready = Condition::new("Ready", ConditionStatus::False, blocker.reason, blocker.message);
    StreamPipelineStatus {
        phase: Some("Invalid".to_owned()),
        observed_generation: generation,
        conditions: condition::merge_some(vec![ready], &previous.conditions, generation, &Time(time)),
        ..previous.clone()
    }
}
