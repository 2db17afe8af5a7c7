//! What a reconcile does to a pipeline's objects: makes those whose turn it is, and removes what is no longer wanted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use api::StreamPipeline;
use kube::{Api, Resource, ResourceExt};

use super::apply::{Applier, ApplyError};
use super::context::{Context, Remembered};
use super::rollout::Turn;
use crate::kind::Kind;
use crate::objects::Objects;
use crate::watch::index::Live;

/// Makes the objects whose turn it is as they should be.
pub(crate) async fn apply(
    objects: &Objects,
    turn: Turn,
    applier: &Applier<'_>,
    remembered: &mut Remembered,
    context: &Context,
) -> Result<(), ApplyError> {
    // Identity and rules come before the pods that they are for, and a ConfigMap before who mounts it.
    let parts = [
        (true, &objects.base),
        (turn.prepare, &objects.prepare),
        (turn.worker, &objects.worker),
        (turn.worker, &objects.models),
        (turn.generator, &objects.generator),
    ];
    let now = parts.into_iter().filter(|(now, _)| *now);
    for desired in now.flat_map(|(_, part)| part) {
        match applier.apply(desired, &mut remembered.memory).await {
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
pub(crate) async fn retry_job(
    objects: &Objects,
    applier: &Applier<'_>,
    remembered: &mut Remembered,
    context: &Context,
) -> Result<(), ApplyError> {
    let live = context
        .index
        .get(Kind::Job, applier.namespace, &objects.prepare_name);
    if let Some(live) = live.filter(|live| !live.deleting) {
        applier.delete(&live, &mut remembered.memory).await?;
        remembered.attempts = remembered.attempts.saturating_add(1);
        remembered.gave_up = None;
        context.metrics.wrote(Kind::Job.as_str());
    }
    Ok(())
}

/// Deletes what the pipeline owns and no longer wants. First the API server is asked whether the manifest is still the
/// one that this follows from: a watch that lags must not delete what a newer manifest has brought.
pub(crate) async fn prune(
    resource: &StreamPipeline,
    objects: &Objects,
    owned: &[Arc<Live>],
    applier: &Applier<'_>,
    remembered: &mut Remembered,
    context: &Context,
) -> Result<(), ApplyError> {
    let orphans: Vec<&Arc<Live>> = owned
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
        .map_err(|source| ApplyError::Look {
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
        applier.delete(orphan, &mut remembered.memory).await?;
        context.metrics.wrote(orphan.kind.as_str());
        tracing::info!(kind = %orphan.kind, object = orphan.name, "deleted, since the manifest no longer has it");
    }
    Ok(())
}
