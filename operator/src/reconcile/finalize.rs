//! The end of a pipeline. What it owns in the cluster goes by its owner references; only what `deletionPolicy: Delete`
//! takes out of Kafka needs the operator, and so a finalizer.

use std::sync::Arc;
use std::time::Duration;

use api::{DeletionPolicy, StreamPipeline};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::context::Context;
use super::dereference::DereferenceError;
use super::error::ReconcileError;
use super::memory::{Cleanup, PipelineMemory};
use super::write::{WriteError, emit, write_finalizers};
use crate::kafka::DesiredTopics;
use crate::kind::Kind;
use crate::names::{FINALIZER, PipelineKey, selector_text};
use crate::status::Transition;
use crate::validate;

/// A cleanup that does not succeed is given up after so long: no namespace waits without end for brokers that are gone.
const PATIENCE: Duration = Duration::from_mins(5);
/// Until a cleanup that is under way is looked at again.
const POLL: Duration = Duration::from_secs(1);

/// Adds or removes the finalizer of a pipeline that lives.
pub(super) async fn keep_finalizer(resource: &StreamPipeline, context: &Context) -> Result<(), WriteError> {
    let wanted = resource.spec.deletion_policy == DeletionPolicy::Delete;
    if wanted == has_finalizer(resource) {
        return Ok(());
    }
    let mut finalizers = others(resource);
    if wanted {
        finalizers.push(FINALIZER.to_owned());
    }
    write_finalizers(resource, &finalizers, context).await
}

/// Brings a pipeline that is being deleted nearer to its end.
pub(super) async fn finalize(
    resource: &StreamPipeline,
    key: &PipelineKey,
    memory: &mut PipelineMemory,
    context: &Context,
) -> Result<Action, ReconcileError> {
    context.monitors.forget(key);
    if !has_finalizer(resource) {
        return Ok(Action::await_change());
    }
    let message = match clean(resource, key, memory, context).await? {
        CleanupProgress::Done => None,
        CleanupProgress::UnderWay(error) => {
            let begun = *memory.cleanup.begun.get_or_insert_with(Instant::now);
            match error {
                Some(error) if begun.elapsed() > PATIENCE => Some(error),
                _ => return Ok(Action::requeue(POLL)),
            }
        }
        CleanupProgress::Impossible(error) => Some(error),
    };
    if let Some(message) = message {
        tracing::warn!(
            namespace = key.0,
            pipeline = key.1,
            error = message,
            "topics and groups stay in Kafka"
        );
        let transition = Transition {
            kind: "Deleting".to_owned(),
            reason: "LeftInKafka".to_owned(),
            message: format!("topics and consumer groups stay in Kafka: {message}"),
            warning: true,
        };
        emit(resource, &transition, context).await;
    }
    write_finalizers(resource, &others(resource), context).await?;
    Ok(Action::await_change())
}

/// How far a cleanup is.
enum CleanupProgress {
    Done,
    /// With the error of the last attempt, if there was one.
    UnderWay(Option<String>),
    Impossible(String),
}

async fn clean(
    resource: &StreamPipeline,
    key: &PipelineKey,
    memory: &mut PipelineMemory,
    context: &Context,
) -> Result<CleanupProgress, ReconcileError> {
    let pipeline = match validate::manifest(resource) {
        Ok(pipeline) => pipeline,
        Err(error) => return Ok(CleanupProgress::Impossible(error.to_string())),
    };
    // Whoever reads or writes a topic would make it again.
    if !workloads_gone(resource, key, memory, context).await? {
        return Ok(CleanupProgress::UnderWay(None));
    }
    let Cleanup {
        task, error, next, ..
    } = &mut memory.cleanup;
    match task {
        Some(running) if !running.is_finished() => return Ok(CleanupProgress::UnderWay(error.clone())),
        Some(_) => {}
        None if next.is_some_and(|next| Instant::now() < next) => {
            return Ok(CleanupProgress::UnderWay(error.clone()));
        }
        None => {
            let secrets = context.fetch_secrets(&pipeline, &key.0).await?;
            let topics = DesiredTopics::new(&memory.uid, &pipeline, &secrets);
            let monitors = Arc::clone(&context.monitors);
            *task = Some(AbortOnDropHandle::new(tokio::spawn(async move {
                monitors.delete(&topics).await
            })));
            return Ok(CleanupProgress::UnderWay(error.clone()));
        }
    }
    let Some(finished) = task.take() else {
        return Ok(CleanupProgress::UnderWay(error.clone()));
    };
    match finished.await {
        Ok(Ok(())) => Ok(CleanupProgress::Done),
        Ok(Err(failure)) => {
            *error = Some(failure.to_string());
            *next = Instant::now().checked_add(POLL * 5);
            Ok(CleanupProgress::UnderWay(error.clone()))
        }
        Err(_) => Ok(CleanupProgress::UnderWay(error.clone())),
    }
}

/// Deletes what runs, and tells whether all of its pods are gone.
async fn workloads_gone(
    resource: &StreamPipeline,
    key: &PipelineKey,
    memory: &mut PipelineMemory,
    context: &Context,
) -> Result<bool, ReconcileError> {
    let uid = resource.uid().unwrap_or_default();
    let applier = context.applier(&key.0, &uid);
    let running = context.index.owned_by(&uid);
    let running: Vec<_> = running
        .iter()
        .filter(|live| matches!(live.kind, Kind::Deployment | Kind::Job))
        .collect();
    for live in running.iter().filter(|live| !live.deleting) {
        applier.delete(live, &mut memory.applied).await?;
        context.metrics.wrote(live.kind.as_str());
    }
    if !running.is_empty() {
        return Ok(false);
    }
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &key.0);
    let selector = selector_text(&key.1, None);
    let pods = api
        .list_metadata(&ListParams::default().labels(&selector).limit(1))
        .await;
    let pods = pods.map_err(|source| DereferenceError::Pods {
        role: "pipeline",
        source,
    })?;
    Ok(pods.items.is_empty())
}

fn has_finalizer(resource: &StreamPipeline) -> bool {
    resource
        .finalizers()
        .iter()
        .any(|finalizer| finalizer == FINALIZER)
}

fn others(resource: &StreamPipeline) -> Vec<String> {
    resource
        .finalizers()
        .iter()
        .filter(|finalizer| *finalizer != FINALIZER)
        .cloned()
        .collect()
}
