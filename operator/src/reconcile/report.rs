//! The end of a reconcile: what the pipeline's status says from now on, and when it is reconciled again.

use std::time::Duration;

use api::StreamPipeline;
use api::crd::StreamPipelineStatus;
use kube::Resource;
use kube::runtime::controller::Action;
use tokio::time::Instant;

use super::act::Acted;
use super::apply::ApplyError;
use super::context::Context;
use super::desire::DesiredState;
use super::error::ReconcileError;
use super::memory::PipelineMemory;
use super::observe::{self, ObservedState};
use super::write::{emit, write_status};
use crate::names::Role;
use crate::status::{self, Blocker, StatusInput};
use crate::validate::ValidationError;

/// Without anything new a pipeline is reconciled again after this.
const RESYNC: Duration = Duration::from_mins(5);
/// While something is under way, its next step may be only a moment away and no watch shows it.
const UNDER_WAY: Duration = Duration::from_secs(5);

pub(super) async fn report(
    resource: &StreamPipeline,
    observed: &ObservedState,
    desired: &DesiredState,
    acted: Acted,
    previous: &StreamPipelineStatus,
    memory: &mut PipelineMemory,
    context: &Context,
) -> Result<Action, ReconcileError> {
    let DesiredState { valid, objects, .. } = desired;
    let Acted { failure, retry_in } = acted;
    let workload = |role, part| observed.workload(role, part, &memory.applied, context, valid);
    let input = StatusInput {
        generation: resource.meta().generation,
        valid,
        blocker: failure
            .as_ref()
            .and_then(blocker)
            .or_else(|| observed.contested(desired.workers)),
        kafka: &observed.kafka,
        interval: context.monitors.interval(),
        job: observed.job.clone(),
        retry_in,
        job_pods: &observed.job_pods,
        worker: workload(Role::Worker, &objects.worker),
        generator: workload(Role::Generator, &objects.generator),
        models: observe::models(valid, context),
        complete: desired.complete,
        scaling: desired.scaling.clone(),
        now: Instant::now(),
        time: desired.time,
    };
    let status = status::status(&input, previous);
    let steady = is_ready(&status);
    write_status(resource, status, previous, &mut memory.status, context).await?;
    if let Some(scaled) = &desired.scaled {
        emit(resource, scaled, context).await;
    }
    match failure {
        Some(failure) => Err(failure.into()),
        None => Ok(again(steady, retry_in)),
    }
}

/// The pipeline cannot be built as it is: what runs of it goes on.
pub(super) async fn invalid(
    resource: &StreamPipeline,
    error: &ValidationError,
    previous: &StreamPipelineStatus,
    memory: &mut PipelineMemory,
    context: &Context,
) -> Result<Action, ReconcileError> {
    let blocker = Blocker {
        reason: error.reason(),
        message: error.to_string(),
    };
    let status = status::invalid(resource.meta().generation, blocker, (context.clock)(), previous);
    write_status(resource, status, previous, &mut memory.status, context).await?;
    // The manifest or the secret has to change, and both are watched.
    Ok(Action::requeue(RESYNC))
}

fn is_ready(status: &StreamPipelineStatus) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn again(steady: bool, retry_in: Option<Duration>) -> Action {
    if steady {
        return Action::requeue(RESYNC);
    }
    let pause = retry_in.map_or(UNDER_WAY, |pause| pause.clamp(Duration::from_secs(1), UNDER_WAY));
    Action::requeue(pause)
}

/// What a person has to see to; what passes by itself is only tried again.
fn blocker(error: &ApplyError) -> Option<Blocker> {
    match error {
        ApplyError::Read { .. } => None,
        ApplyError::NameConflict { kind, name, owner } => Some(Blocker {
            reason: "NameConflict",
            message: format!(
                "{kind} {name} is there and belongs to {owner}; delete it, or rename the pipeline"
            ),
        }),
        ApplyError::Refused { source, .. } => match &**source {
            kube::Error::Api(status) if matches!(status.code, 400 | 403 | 422) => Some(Blocker {
                reason: "ApplyRefused",
                message: format!("{error}: {}", status.message),
            }),
            _ => None,
        },
    }
}
