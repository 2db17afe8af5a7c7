//! One reconcile: dereference → validate → observe → desire → act → report.

mod act;
mod applied;
mod apply;
pub(crate) mod context;
mod deletion_cost;
pub(crate) mod dereference;
mod desire;
pub(crate) mod error;
pub(crate) mod events;
mod finalize;
mod memory;
mod observe;
mod report;
mod rollout;
pub(crate) mod unreadable;
mod write;

use api::StreamPipeline;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use tokio::time::Instant;

use self::context::Context;
use self::dereference::DereferenceError;
use self::error::ReconcileError;
use self::memory::PipelineMemory;
use crate::kafka::DesiredTopics;
use crate::names::PipelineKey;
use crate::validate::{self, Valid, ValidationError};

/// Brings the cluster one step nearer to what `resource` says.
pub(crate) async fn reconcile(
    resource: &StreamPipeline,
    context: &Context,
) -> Result<Action, ReconcileError> {
    let key = (resource.namespace().unwrap_or_default(), resource.name_any());
    let memory = context.memory(&key);
    let mut memory = memory.lock().await;
    let uid = resource.uid().unwrap_or_default();
    if memory.uid != uid {
        // Another object of the same name: nothing that is remembered is about it.
        *memory = PipelineMemory {
            uid,
            ..PipelineMemory::default()
        };
        context.monitors.forget(&key);
    }
    let began = Instant::now();
    let result = if resource.meta().deletion_timestamp.is_some() {
        finalize::finalize(resource, &key, &mut memory, context).await
    } else {
        advance(resource, &key, &mut memory, context).await
    };
    let outcome = result.as_ref().err().map_or("Ok", ReconcileError::category);
    context.metrics.reconciled(outcome, began.elapsed());
    if result.is_ok() {
        memory.failures = 0;
        context.resting().remove(&key);
    }
    result
}

/// The steps of a pipeline that is not being deleted.
async fn advance(
    resource: &StreamPipeline,
    key: &PipelineKey,
    memory: &mut PipelineMemory,
    context: &Context,
) -> Result<Action, ReconcileError> {
    finalize::keep_finalizer(resource, context).await?;
    let previous = memory.status.newest(resource);
    let (valid, topics) = match validated(resource, key, &memory.uid, context).await? {
        Ok(validated) => validated,
        Err(error) => return report::invalid(resource, &error, &previous, memory, context).await,
    };
    let kafka = context.monitors.ensure(key, topics);
    let mut observed = observe::observe(&valid, kafka, context).await?;
    let reported = previous.scaling.as_ref();
    let desired = desire::desire(valid, &observed, reported, &mut memory.autoscaler, context)?;
    observed
        .add_job(&desired.objects.prepare_name, &desired.valid, context)
        .await?;
    let acted = act::act(resource, &observed, &desired, memory, context).await;
    report::report(resource, &observed, &desired, acted, &previous, memory, context).await
}

/// The pipeline with what it refers to, or why it cannot be built as it is.
async fn validated(
    resource: &StreamPipeline,
    (namespace, _): &PipelineKey,
    uid: &str,
    context: &Context,
) -> Result<Result<(Valid, DesiredTopics), ValidationError>, DereferenceError> {
    let pipeline = match validate::manifest(resource) {
        Ok(pipeline) => pipeline,
        Err(error) => return Ok(Err(error)),
    };
    if let Some(error) = context.rival(resource) {
        return Ok(Err(error));
    }
    let secrets = context.fetch_secrets(&pipeline, namespace).await?;
    let topics = DesiredTopics::new(uid, &pipeline, &secrets);
    Ok(validate::validate(resource, pipeline, &secrets).map(|valid| (valid, topics)))
}
