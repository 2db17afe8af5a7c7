//! What a reconcile does to a pipeline's objects: makes those that are due, and removes what is no longer wanted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use api::StreamPipeline;
use kube::{Api, Resource, ResourceExt};

use super::apply::{Applier, ApplyError};
use super::context::Context;
use super::deletion_cost;
use super::desire::DesiredState;
use super::memory::PipelineMemory;
use super::observe::ObservedState;
use super::rollout::{self, DueParts};
use crate::kind::Kind;
use crate::objects::Objects;
use crate::watch::live::LiveObject;

/// What came of it.
pub(super) struct Acted {
    pub(super) failure: Option<ApplyError>,
    /// When a Job that has given up is tried again.
    pub(super) retry_in: Option<Duration>,
}

pub(super) async fn act(
    resource: &StreamPipeline,
    observed: &ObservedState,
    desired: &DesiredState,
    memory: &mut PipelineMemory,
    context: &Context,
) -> Acted {
    let DesiredState { valid, objects, .. } = desired;
    spare_the_busy(observed, desired, context).await;
    let progress = observed.progress(valid, desired.workers);
    let applier = context.applier(&valid.namespace, &valid.uid);
    let retry_in = memory.retry_in(observed.job.as_ref());
    let applied = apply(objects, rollout::due(progress), &applier, memory, context).await;
    let pruned = match (&applied, progress.prepared, retry_in) {
        (Ok(()), _, Some(Duration::ZERO)) => retry_job(objects, &applier, memory, context).await,
        (Ok(()), true, _) => {
            memory.attempts = 0;
            prune(resource, observed, objects, &applier, memory, context).await
        }
        _ => Ok(()),
    };
    Acted {
        failure: applied.and(pruned).err(),
        retry_in,
    }
}

/// Has the cluster stop those workers first that have the least to do. A courtesy: without it others are stopped.
async fn spare_the_busy(observed: &ObservedState, desired: &DesiredState, context: &Context) {
    let DesiredState { valid, workers, .. } = desired;
    let fewer = *workers > 0 && observed.wanted_workers().is_some_and(|wanted| *workers < wanted);
    let Some(reading) = observed.kafka.history.last().filter(|_| fewer) else {
        return;
    };
    let name = valid.pipeline.name.as_str();
    let marked = deletion_cost::mark(&context.client, &valid.namespace, name, &reading.workers).await;
    if let Err(error) = marked {
        tracing::warn!(%error, "the workers that are to stop first could not be marked");
    }
}

/// Makes the objects that are due as they should be.
async fn apply(
    objects: &Objects,
    due: DueParts,
    applier: &Applier<'_>,
    memory: &mut PipelineMemory,
    context: &Context,
) -> Result<(), ApplyError> {
    // Identity and rules come before the pods that they are for, and a ConfigMap before who mounts it.
    let parts = [
        (true, &objects.base),
        (due.prepare, &objects.prepare),
        (due.worker, &objects.worker),
        (due.worker, &objects.models),
        (due.generator, &objects.generator),
    ];
    let now = parts.into_iter().filter(|(now, _)| *now);
    for desired in now.flat_map(|(_, part)| part) {
        match applier.apply(desired, &mut memory.applied).await {
            Ok(true) => {
                context.metrics.wrote(desired.kind.as_str());
                tracing::info!(kind = %desired.kind, object = desired.name, "applied");
            }
            Ok(false) => {}
            // The Prometheus operator was removed: nobody reads them any more.
            Err(error) if desired.kind == Kind::PodMonitor && error.is_not_found() => {
                context.pod_monitors.store(false, Ordering::Relaxed);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Removes a Job that has given up, so that the next reconcile makes it anew.
async fn retry_job(
    objects: &Objects,
    applier: &Applier<'_>,
    memory: &mut PipelineMemory,
    context: &Context,
) -> Result<(), ApplyError> {
    let live = context
        .index
        .get(Kind::Job, applier.namespace, &objects.prepare_name);
    if let Some(live) = live.filter(|live| !live.deleting) {
        applier.delete(&live, &mut memory.applied).await?;
        memory.attempts = memory.attempts.saturating_add(1);
        memory.gave_up = None;
        context.metrics.wrote(Kind::Job.as_str());
    }
    Ok(())
}

/// Deletes what the pipeline owns and no longer wants. First the API server is asked whether the manifest is still the
/// one that this follows from: a watch that lags must not delete what a newer manifest has brought.
async fn prune(
    resource: &StreamPipeline,
    observed: &ObservedState,
    objects: &Objects,
    applier: &Applier<'_>,
    memory: &mut PipelineMemory,
    context: &Context,
) -> Result<(), ApplyError> {
    let orphans: Vec<&Arc<LiveObject>> = observed
        .owned
        .iter()
        .filter(|live| !live.deleting)
        .filter(|live| {
            !objects
                .iter()
                .any(|desired| desired.kind == live.kind && desired.name == live.name)
        })
        .collect();
    if orphans.is_empty() {
        return Ok(());
    }
    let api: Api<StreamPipeline> = Api::namespaced(context.client.clone(), applier.namespace);
    let name = resource.name_any();
    let now = api
        .get_metadata_opt(&name)
        .await
        .map_err(|source| ApplyError::Read {
            name: name.clone(),
            source: Box::new(source),
        })?;
    let same = now.is_some_and(|now| {
        now.metadata.uid == resource.meta().uid
            && now.metadata.generation == resource.meta().generation
            && now.metadata.deletion_timestamp.is_none()
    });
    if !same {
        return Ok(());
    }
    for orphan in orphans {
        applier.delete(orphan, &mut memory.applied).await?;
        context.metrics.wrote(orphan.kind.as_str());
        tracing::info!(kind = %orphan.kind, object = orphan.name, "deleted, since the manifest no longer has it");
    }
    Ok(())
}
