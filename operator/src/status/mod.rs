//! From what was observed to what the pipeline's status says. No I/O; the clock is an argument.

mod condition;
mod figures;
mod generation;
mod input;
mod models;
mod parts;
mod preparation;
mod processing;
pub(crate) mod scaling;
mod surplus;
#[cfg(test)]
mod tests;
mod transitions;

use api::crd::StreamPipelineStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

pub(crate) use input::{Blocker, ObservedModel, StatusInput, Workload};
pub(crate) use transitions::{Transition, transitions};

use crate::names::{Role, selector_text};
use condition::{Condition, ConditionStatus};
use parts::Parts;

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
