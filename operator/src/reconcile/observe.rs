//! What there is of one pipeline, gathered for one reconcile: from the watches, from Kafka, and from pods that do not work.

use std::sync::Arc;

use api::Pipeline;
use scaler::Decision;

use super::applied::AppliedObjects;
use super::context::Context;
use super::dereference::{self, DereferenceError};
use super::rollout::RolloutProgress;
use crate::kafka::KafkaObservation;
use crate::kind::Kind;
use crate::names::{COMPLETE, Role, role_name};
use crate::objects::{self, Desired};
use crate::pods::PodSummary;
use crate::scaling::WorkerCounts;
use crate::scaling::workers::desired_workers;
use crate::status::{Blocker, ObservedModel, Workload};
use crate::validate::Valid;
use crate::watch::live::{DeploymentState, JobState, LiveObject, ObjectState};

pub(super) struct ObservedState {
    pub(super) kafka: Arc<KafkaObservation>,
    /// All that the pipeline owns.
    pub(super) owned: Vec<Arc<LiveObject>>,
    worker: Option<Arc<LiveObject>>,
    generator: Option<Arc<LiveObject>>,
    worker_pods: PodSummary,
    generator_pods: PodSummary,
    /// The generator's configuration that is complete.
    pub(super) completed: Option<String>,
    /// The Job for the present manifest.
    pub(super) job: Option<JobState>,
    pub(super) job_pods: PodSummary,
}

pub(super) async fn observe(
    valid: &Valid,
    kafka: Arc<KafkaObservation>,
    context: &Context,
) -> Result<ObservedState, DereferenceError> {
    let owned = context.index.owned_by(&valid.uid);
    let worker = find(
        &owned,
        Kind::Deployment,
        &role_name(valid.pipeline.name.as_str(), Role::Worker),
    )
    .cloned();
    let generator = find(
        &owned,
        Kind::Deployment,
        &role_name(valid.pipeline.name.as_str(), Role::Generator),
    )
    .cloned();
    let worker_pods = pods_if_lacking(worker.as_deref(), Role::Worker, valid, context).await?;
    let generator_pods = pods_if_lacking(generator.as_deref(), Role::Generator, valid, context).await?;
    Ok(ObservedState {
        kafka,
        completed: completed(valid, generator.as_deref(), &generator_pods),
        owned,
        worker,
        generator,
        worker_pods,
        generator_pods,
        job: None,
        job_pods: PodSummary::default(),
    })
}

/// Pods are only listed when a Deployment has fewer that work than it should have.
async fn pods_if_lacking(
    deployment: Option<&LiveObject>,
    role: Role,
    valid: &Valid,
    context: &Context,
) -> Result<PodSummary, DereferenceError> {
    if deployment_state(deployment).is_some_and(|state| state.available < state.wanted) {
        let name = valid.pipeline.name.as_str();
        return dereference::pods(&context.client, &valid.namespace, name, role).await;
    }
    Ok(PodSummary::default())
}

/// The generator's configuration that is complete: as the Deployment remembers it, or since enough pods have ended.
fn completed(valid: &Valid, generator: Option<&LiveObject>, pods: &PodSummary) -> Option<String> {
    let remembered = generator.and_then(|live| live.annotations.get(COMPLETE).cloned());
    let limited = valid
        .pipeline
        .generator
        .as_ref()
        .filter(|generator| generator.limit != api::GeneratorLimit::default());
    let ended = limited.and_then(|generator| {
        let mut completed = pods.completed.iter();
        completed.find(|(_, pods)| **pods >= u32::from(generator.replicas))
    });
    ended.map(|(hash, _)| hash.clone()).or(remembered)
}

fn find<'a>(owned: &'a [Arc<LiveObject>], kind: Kind, name: &str) -> Option<&'a Arc<LiveObject>> {
    owned.iter().find(|live| live.kind == kind && live.name == name)
}

fn deployment_state(live: Option<&LiveObject>) -> Option<DeploymentState> {
    match live.map(|live| &live.state) {
        Some(ObjectState::Deployment(state)) => Some(state.clone()),
        _ => None,
    }
}

impl ObservedState {
    /// Adds the Job, whose name follows from what is desired.
    pub(super) async fn add_job(
        &mut self,
        name: &str,
        valid: &Valid,
        context: &Context,
    ) -> Result<(), DereferenceError> {
        let live = find(&self.owned, Kind::Job, name);
        let Some(ObjectState::Job(job)) = live.map(|live| &live.state) else {
            return Ok(());
        };
        let job = job.clone();
        if !job.complete {
            let pipeline = valid.pipeline.name.as_str();
            self.job_pods =
                dereference::pods(&context.client, &valid.namespace, pipeline, Role::Prepare).await?;
        }
        self.job = Some(job);
        Ok(())
    }

    /// How far the pipeline is, if it is to have `workers`.
    pub(super) fn progress(&self, valid: &Valid, workers: u32) -> RolloutProgress {
        RolloutProgress {
            topics_ready: matches!(self.kafka.topics, Some(Ok(_))),
            job_exists: self.job.is_some(),
            prepared: self.job.as_ref().is_some_and(|job| job.complete),
            workers_paused: workers == 0,
            workers_serve: deployment_state(self.worker.as_deref()).is_some_and(|state| state.available > 0),
            generator_exists: self.generator.is_some(),
            generator_paused: valid
                .pipeline
                .generator
                .as_ref()
                .is_none_or(|generator| generator.paused),
        }
    }

    /// Workers or generator, next to what they should be.
    pub(super) fn workload<'a>(
        &'a self,
        role: Role,
        desired: &[Desired],
        applied: &AppliedObjects,
        context: &Context,
        valid: &Valid,
    ) -> Workload<'a> {
        let (live, pods) = match role {
            Role::Worker => (&self.worker, &self.worker_pods),
            _ => (&self.generator, &self.generator_pods),
        };
        let deployment = desired.iter().find(|desired| desired.kind == Kind::Deployment);
        let newest =
            deployment.and_then(|desired| context.index.get(desired.kind, &valid.namespace, &desired.name));
        let newest = newest.or_else(|| live.clone());
        Workload {
            current: desired.iter().all(|desired| {
                let live = context.index.get(desired.kind, &valid.namespace, &desired.name);
                applied.is_current(desired, live.as_deref())
            }),
            generation: deployment
                .and_then(|desired| applied.generation(desired))
                .unwrap_or(0),
            state: deployment_state(newest.as_deref()),
            wanted: deployment
                .and_then(|desired| desired.body.pointer("/spec/replicas")?.as_u64())
                .unwrap_or(0) as u32,
            pods,
        }
    }

    /// The workers as the scaler sees them; `None` before there is a Deployment. What was `decided` last counts, not what
    /// somebody has made of the Deployment since: a decision to leave things as they are would make that the operator's
    /// own.
    pub(super) fn workers(&self, pipeline: &Pipeline, decided: Option<&Decision>) -> Option<WorkerCounts> {
        let state = deployment_state(self.worker.as_deref())?;
        let count = |number: i32| u32::try_from(number).unwrap_or(0);
        Some(WorkerCounts {
            desired: decided.map_or(count(state.wanted), |decided| {
                desired_workers(pipeline, Some(decided.replicas))
            }),
            ready: count(state.available),
        })
    }

    /// Workers that the Deployment asks for at present.
    pub(super) fn wanted_workers(&self) -> Option<u32> {
        u32::try_from(deployment_state(self.worker.as_deref())?.wanted).ok()
    }

    /// Somebody else keeps changing the number of workers, of which there are to be `workers`.
    pub(super) fn contested(&self, workers: u32) -> Option<Blocker> {
        let state = deployment_state(self.worker.as_deref())?;
        let manager = state.replicas_set_by?;
        (state.wanted != workers as i32).then(|| Blocker {
            reason: "ReplicasContested",
            message: format!(
                "{manager} has set the Deployment to {} workers, where {workers} are wanted; let it scale the StreamPipeline instead (kubectl scale sp, or scaleTargetRef of kind StreamPipeline)",
                state.wanted
            ),
        })
    }
}

/// The models with their CronJobs.
pub(super) fn models(valid: &Valid, context: &Context) -> Vec<ObservedModel> {
    let observed = |model: &api::Model| {
        let name = objects::model_name(valid.pipeline.name.as_str(), &model.name);
        let live = context.index.get(Kind::CronJob, &valid.namespace, &name);
        let own = live.filter(|live| live.is_owned_by(&valid.uid));
        ObservedModel {
            name: model.name.to_string(),
            state: own.and_then(|live| match &live.state {
                ObjectState::CronJob(state) => Some(state.clone()),
                _ => None,
            }),
        }
    };
    valid.pipeline.models.iter().map(observed).collect()
}
