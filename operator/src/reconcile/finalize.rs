//! The end of a pipeline. What it owns in the cluster goes by its owner references; only what `deletionPolicy: Delete`
//! takes out of Kafka needs the operator, and so a finalizer.

use std::time::Duration;

use api::{DeletionPolicy, StreamPipeline};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::ReconcileError;
use super::apply::Applier;
use super::context::{Context, Key, Remembered};
use super::dereference::DereferenceError;
use super::report::{WriteError, tell, write_finalizers};
use crate::kafka::{Problem, Wish};
use crate::kind::Kind;
use crate::status::Transition;
use crate::validate;

/// Keeps a pipeline with `deletionPolicy: Delete` until Kafka is cleaned up.
pub const FINALIZER: &str = "streampipeline.dev/kafka";
/// A cleaning-up that does not succeed is given up after so long: nobody's namespace hangs for ever on
/// brokers that are gone.
const PATIENCE: Duration = Duration::from_mins(5);
/// Between looks at what is under way.
const LOOK: Duration = Duration::from_secs(1);

/// How far the cleaning-up is.
#[derive(Default)]
pub(crate) struct State {
    /// Kafka is slow at times, and a reconcile must not be: so it runs by itself.
    task: Option<AbortOnDropHandle<Result<(), Problem>>>,
    /// What went wrong last.
    problem: Option<String>,
    next: Option<Instant>,
    /// When it was begun, by this process.
    begun: Option<Instant>,
}

/// Adds or removes the finalizer of a pipeline that lives.
pub(crate) async fn keep_finalizer(resource: &StreamPipeline, context: &Context) -> Result<(), WriteError> {
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
pub(crate) async fn reconcile(
    resource: &StreamPipeline,
    key: &Key,
    remembered: &mut Remembered,
    context: &Context,
) -> Result<Action, ReconcileError> {
    context.links.forget(key);
    if !has_finalizer(resource) {
        return Ok(Action::await_change());
    }
    let outcome = clean(resource, key, remembered, context).await?;
    let message = match outcome {
        Outcome::Done => None,
        Outcome::Waiting(problem) => {
            let begun = *remembered.cleanup.begun.get_or_insert_with(Instant::now);
            match problem {
                Some(problem) if begun.elapsed() > PATIENCE => Some(problem),
                _ => return Ok(Action::requeue(LOOK)),
            }
        }
        Outcome::Impossible(problem) => Some(problem),
    };
    if let Some(message) = message {
        tracing::warn!(
            namespace = key.0,
            pipeline = key.1,
            problem = message,
            "topics and groups stay in Kafka"
        );
        let told = Transition {
            kind: "Deleting".to_owned(),
            reason: "LeftInKafka".to_owned(),
            message: format!("topics and consumer groups stay in Kafka: {message}"),
            warning: true,
        };
        tell(resource, &told, context).await;
    }
    write_finalizers(resource, &others(resource), context).await?;
    Ok(Action::await_change())
}

enum Outcome {
    Done,
    Waiting(Option<String>),
    Impossible(String),
}

async fn clean(
    resource: &StreamPipeline,
    key: &Key,
    remembered: &mut Remembered,
    context: &Context,
) -> Result<Outcome, ReconcileError> {
    let pipeline = match validate::manifest(resource) {
        Ok(pipeline) => pipeline,
        Err(refusal) => return Ok(Outcome::Impossible(refusal.to_string())),
    };
    // Whoever reads or writes a topic would make it again.
    if !workloads_gone(resource, key, remembered, context).await? {
        return Ok(Outcome::Waiting(None));
    }
    let State {
        task, problem, next, ..
    } = &mut remembered.cleanup;
    match task {
        Some(running) if !running.is_finished() => return Ok(Outcome::Waiting(problem.clone())),
        Some(_) => {}
        None if next.is_some_and(|next| Instant::now() < next) => {
            return Ok(Outcome::Waiting(problem.clone()));
        }
        None => {
            let secrets = context
                .secrets
                .fetch(&context.client, &context.index, &pipeline, &key.0)
                .await?;
            let wish = Wish::new(&remembered.uid, &pipeline, &secrets);
            let links = std::sync::Arc::clone(&context.links);
            *task = Some(AbortOnDropHandle::new(tokio::spawn(async move {
                links.delete(&wish).await
            })));
            return Ok(Outcome::Waiting(problem.clone()));
        }
    }
    let Some(finished) = task.take() else {
        return Ok(Outcome::Waiting(problem.clone()));
    };
    match finished.await {
        Ok(Ok(())) => Ok(Outcome::Done),
        Ok(Err(found)) => {
            *problem = Some(found.to_string());
            *next = Instant::now().checked_add(LOOK * 5);
            Ok(Outcome::Waiting(problem.clone()))
        }
        Err(_) => Ok(Outcome::Waiting(problem.clone())),
    }
}

/// Deletes what runs, and tells whether all of its pods are gone.
async fn workloads_gone(
    resource: &StreamPipeline,
    key: &Key,
    remembered: &mut Remembered,
    context: &Context,
) -> Result<bool, ReconcileError> {
    let uid = resource.uid().unwrap_or_default();
    let applier = Applier {
        client: &context.client,
        index: &context.index,
        namespace: &key.0,
        uid: &uid,
    };
    let running = context.index.owned_by(&uid);
    let running: Vec<_> = running
        .iter()
        .filter(|live| matches!(live.kind, Kind::Deployment | Kind::Job))
        .collect();
    for live in running.iter().filter(|live| !live.deleting) {
        applier.delete(live, &mut remembered.memory).await?;
        context.metrics.wrote(live.kind.as_str());
    }
    if !running.is_empty() {
        return Ok(false);
    }
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &key.0);
    let selector = format!(
        "app.kubernetes.io/name=streampipeline,app.kubernetes.io/instance={}",
        key.1
    );
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
