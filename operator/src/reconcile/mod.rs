//! One reconcile: dereference → validate → build → apply → status.

mod act;
pub mod apply;
pub mod context;
mod deletion_cost;
pub mod dereference;
pub mod events;
pub mod finalize;
pub mod memory;
mod observe;
mod report;
mod rollout;
pub(crate) mod unreadable;

use std::sync::atomic::Ordering;
use std::time::Duration;

use api::StreamPipeline;
use api::crd::StreamPipelineStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use tokio::time::Instant;

use self::act::{apply, prune, retry_job};
use self::apply::{Applier, ApplyError};
use self::context::{Context, Key, Remembered};
use self::dereference::{DereferenceError, PodsSeen};
use self::observe::{Scene, look};
use self::report::{WriteError, tell, write_status};
use crate::kafka::{Seen, Wish};
use crate::objects::{self, BuildError, Decisions, Role};
use crate::scaling;
use crate::scaling::workers::desired_workers;
use crate::status::{self, Observed, Obstacle, Workload};
use crate::validate::{self, Refusal};

/// Why a reconcile failed.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Something that the pipeline refers to cannot be read.
    #[error(transparent)]
    Dereference(#[from] DereferenceError),
    /// A defect.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// An object is not as it should be.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// Status or finalizer could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Some call was never answered.
    #[error("the reconcile took longer than {0:?}")]
    TimedOut(Duration),
}

impl ReconcileError {
    /// A bounded label for metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Dereference(_) => "Dereference",
            Self::Build(_) => "Build",
            Self::Apply(ApplyError::NameConflict { .. }) => "NameConflict",
            Self::Apply(_) => "Apply",
            Self::Write(_) => "Write",
            Self::TimedOut(_) => "TimedOut",
        }
    }
}

/// Without anything new a pipeline is looked at again after this.
const RESYNC: Duration = Duration::from_mins(5);
/// While something is under way, its next step may be only a moment away and no watch tells of it.
const UNDER_WAY: Duration = Duration::from_secs(5);

/// Brings the cluster one step nearer to what `resource` says.
pub async fn reconcile(resource: &StreamPipeline, context: &Context) -> Result<Action, ReconcileError> {
    let key = (resource.namespace().unwrap_or_default(), resource.name_any());
    let remembered = context.remembered(&key);
    let mut remembered = remembered.lock().await;
    let uid = resource.uid().unwrap_or_default();
    if remembered.uid != uid {
        // Another object of the same name: nothing that is remembered is about it.
        *remembered = Remembered {
            uid,
            ..Remembered::default()
        };
        context.links.forget(&key);
    }
    let began = Instant::now();
    let result = if resource.meta().deletion_timestamp.is_some() {
        finalize::reconcile(resource, &key, &mut remembered, context).await
    } else {
        living(resource, &key, &mut remembered, context).await
    };
    let outcome = result.as_ref().err().map_or("Ok", ReconcileError::category);
    context.metrics.reconciled(outcome, began.elapsed());
    if result.is_ok() {
        remembered.failures = 0;
        context.resting().remove(&key);
    }
    result
}

async fn living(
    resource: &StreamPipeline,
    key: &Key,
    remembered: &mut Remembered,
    context: &Context,
) -> Result<Action, ReconcileError> {
    finalize::keep_finalizer(resource, context).await?;
    let previous = remembered.status.newest(resource);

    // Dereference and validate.
    let pipeline = match validate::manifest(resource) {
        Ok(pipeline) => pipeline,
        Err(refusal) => return refused(resource, &refusal, &previous, remembered, context).await,
    };
    if let Some(refusal) = context.rival(resource) {
        return refused(resource, &refusal, &previous, remembered, context).await;
    }
    let secrets = context
        .secrets
        .fetch(&context.client, &context.index, &pipeline, &key.0)
        .await?;
    let wish = Wish::new(&remembered.uid, &pipeline, &secrets);
    let valid = match validate::validate(resource, pipeline, &secrets) {
        Ok(valid) => valid,
        Err(refusal) => return refused(resource, &refusal, &previous, remembered, context).await,
    };
    let kafka = context.links.want(key, wish);

    // Build.
    let owned = context.index.owned_by(&valid.uid);
    let mut seen = look(&valid, &owned, context).await?;
    let time = (context.clock)();
    let told = previous.scaling.as_ref();
    let decided = scaling::told(told);
    let scaling = remembered.scaling.decide(
        &valid.pipeline,
        &kafka,
        seen.workers(&valid.pipeline, decided.as_ref()),
        told,
        (Instant::now(), time),
    );
    let decision = scaling::told(scaling.as_ref());
    let decisions = Decisions {
        workers: desired_workers(
            &valid.pipeline,
            decision.as_ref().map(|decision| decision.replicas),
        ),
        completed: seen.completed.clone(),
        pod_monitors: context.pod_monitors.load(Ordering::Relaxed),
    };
    let objects = objects::build(&valid, &context.defaults, &decisions)?;
    seen.for_job(&objects.prepare_name, &owned, &valid, context)
        .await?;

    // Apply.
    spare_the_busy(&seen, decisions.workers, &kafka, key, context).await;
    let progress = seen.progress(&valid, &kafka, decisions.workers);
    let turn = rollout::turn(progress);
    let applier = Applier {
        client: &context.client,
        index: &context.index,
        namespace: &valid.namespace,
        uid: &valid.uid,
    };
    let retry_in = remembered.retry_in(seen.job.as_ref());
    let applied = apply(&objects, turn, &applier, remembered, context).await;
    let pruned = match (&applied, progress.prepared, retry_in) {
        (Ok(()), _, Some(Duration::ZERO)) => retry_job(&objects, &applier, remembered, context).await,
        (Ok(()), true, _) => {
            remembered.attempts = 0;
            prune(resource, &objects, &owned, &applier, remembered, context).await
        }
        _ => Ok(()),
    };
    let failure = applied.and(pruned).err();

    // Status.
    let workload = |role, part| seen.workload(role, part, &remembered.memory, context, &valid);
    let observed = Observed {
        generation: resource.meta().generation,
        valid: Some(&valid),
        obstacle: failure
            .as_ref()
            .and_then(obstacle)
            .or_else(|| seen.contested(&decisions)),
        kafka: &kafka,
        interval: context.links.interval(),
        job: seen.job.clone(),
        retry_in,
        job_pods: &seen.job_pods,
        worker: workload(Role::Worker, &objects.worker),
        generator: workload(Role::Generator, &objects.generator),
        models: Scene::models(&valid, context),
        complete: seen.completed.as_deref() == Some(objects.generator_hash.as_str()),
        scaling,
        now: Instant::now(),
        time,
    };
    let status = status::status(&observed, &previous);
    let steady = is_ready(&status);
    write_status(resource, status, &previous, &mut remembered.status, context).await?;
    if let Some(transition) = scaling::transition(decided.as_ref(), decision.as_ref()) {
        tell(resource, &transition, context).await;
    }
    match failure {
        Some(failure) => Err(failure.into()),
        None => Ok(again(steady, retry_in)),
    }
}

/// Has the cluster stop those workers first that have the least to do. A courtesy: without it others are stopped.
async fn spare_the_busy(seen: &Scene, workers: u32, kafka: &Seen, key: &Key, context: &Context) {
    let fewer = workers > 0 && seen.workers_wanted().is_some_and(|wanted| workers < wanted);
    let Some(reading) = kafka.history.last().filter(|_| fewer) else {
        return;
    };
    let marked = deletion_cost::mark(&context.client, &key.0, &key.1, &reading.held).await;
    if let Err(error) = marked {
        tracing::warn!(%error, "the workers that are to stop first could not be marked");
    }
}

fn is_ready(status: &StreamPipelineStatus) -> bool {
    let said = |said: &Condition| said.type_ == "Ready" && said.status == "True";
    status.conditions.iter().any(said)
}

fn again(steady: bool, retry_in: Option<Duration>) -> Action {
    if steady {
        return Action::requeue(RESYNC);
    }
    let pause = retry_in.map_or(UNDER_WAY, |pause| pause.clamp(Duration::from_secs(1), UNDER_WAY));
    Action::requeue(pause)
}

async fn refused(
    resource: &StreamPipeline,
    refusal: &Refusal,
    previous: &StreamPipelineStatus,
    remembered: &mut Remembered,
    context: &Context,
) -> Result<Action, ReconcileError> {
    let (seen, pods) = (Seen::default(), PodsSeen::default());
    let workload = Workload {
        state: None,
        generation: 0,
        current: false,
        wanted: 0,
        pods: &pods,
    };
    let observed = Observed {
        generation: resource.meta().generation,
        valid: None,
        obstacle: Some(Obstacle {
            reason: refusal.reason(),
            message: refusal.to_string(),
        }),
        kafka: &seen,
        interval: context.links.interval(),
        job: None,
        retry_in: None,
        job_pods: &pods,
        worker: workload.clone(),
        generator: workload,
        models: Vec::new(),
        complete: false,
        scaling: previous.scaling.clone(),
        now: Instant::now(),
        time: (context.clock)(),
    };
    let status = status::status(&observed, previous);
    write_status(resource, status, previous, &mut remembered.status, context).await?;
    // The manifest or the secret has to change, and both are watched.
    Ok(Action::requeue(RESYNC))
}

/// What can be told to a person; what passes by itself is only tried again.
fn obstacle(error: &ApplyError) -> Option<Obstacle> {
    match error {
        ApplyError::Look { .. } => None,
        ApplyError::NameConflict { kind, name, owner } => Some(Obstacle {
            reason: "NameConflict",
            message: format!(
                "{kind} {name} is there and belongs to {owner}; delete it, or rename the pipeline"
            ),
        }),
        ApplyError::Refused { source, .. } => match &**source {
            kube::Error::Api(status) if matches!(status.code, 400 | 403 | 422) => Some(Obstacle {
                reason: "ApplyRefused",
                message: format!("{error}: {}", status.message),
            }),
            _ => None,
        },
    }
}
