//! What there is of one pipeline, gathered for one reconcile.

use std::sync::Arc;

use api::Pipeline;
use scaler::Decision;

use super::context::Context;
use super::dereference::{self, DereferenceError, PodsSeen};
use super::memory::Memory;
use super::rollout::Progress;
use crate::kafka::Seen;
use crate::kind::Kind;
use crate::objects::{self, COMPLETE, Decisions, Desired, Role};
use crate::scaling::Workers;
use crate::scaling::workers::desired_workers;
use crate::status::{ModelSeen, Obstacle, Workload};
use crate::validate::Valid;
use crate::watch::index::{DeploymentState, JobState, Live, State};

/// What there is of a pipeline.
pub(crate) struct Scene {
    worker: Option<Arc<Live>>,
    generator: Option<Arc<Live>>,
    worker_pods: PodsSeen,
    generator_pods: PodsSeen,
    /// The generator's configuration that is complete.
    pub(crate) completed: Option<String>,
    /// The Job for the present manifest.
    pub(crate) job: Option<JobState>,
    pub(crate) job_pods: PodsSeen,
}

/// Looks at what the watches have seen, and at pods that do not work.
pub(crate) async fn look(
    valid: &Valid,
    owned: &[Arc<Live>],
    context: &Context,
) -> Result<Scene, DereferenceError> {
    let name = valid.pipeline.name.as_str();
    let deployment = |role: Role| {
        let name = format!("{name}-{}", role.as_str());
        owned
            .iter()
            .find(|live| live.kind == Kind::Deployment && live.name == name)
            .cloned()
    };
    let mut scene = Scene {
        worker: deployment(Role::Worker),
        generator: deployment(Role::Generator),
        worker_pods: PodsSeen::default(),
        generator_pods: PodsSeen::default(),
        completed: None,
        job: None,
        job_pods: PodsSeen::default(),
    };
    if lacks_pods(scene.worker.as_deref()) {
        scene.worker_pods = dereference::pods(&context.client, &valid.namespace, name, Role::Worker).await?;
    }
    if lacks_pods(scene.generator.as_deref()) {
        scene.generator_pods =
            dereference::pods(&context.client, &valid.namespace, name, Role::Generator).await?;
    }
    scene.completed = scene
        .generator
        .as_ref()
        .and_then(|live| live.annotations.get(COMPLETE).cloned());
    let wanted = valid
        .pipeline
        .generator
        .as_ref()
        .filter(|generator| generator.limit != api::GeneratorLimit::default());
    if let Some(generator) = wanted {
        let ended = scene
            .generator_pods
            .completed
            .iter()
            .find(|(_, pods)| **pods >= u32::from(generator.replicas));
        if let Some((hash, _)) = ended {
            scene.completed = Some(hash.clone());
        }
    }
    Ok(scene)
}

fn deployment_state(live: Option<&Live>) -> Option<DeploymentState> {
    match live.map(|live| &live.state) {
        Some(State::Deployment(state)) => Some(state.clone()),
        _ => None,
    }
}

fn lacks_pods(live: Option<&Live>) -> bool {
    deployment_state(live).is_some_and(|state| state.available < state.wanted)
}

impl Scene {
    /// Adds the Job, whose name follows from what was built.
    pub(crate) async fn for_job(
        &mut self,
        name: &str,
        owned: &[Arc<Live>],
        valid: &Valid,
        context: &Context,
    ) -> Result<(), DereferenceError> {
        let live = owned
            .iter()
            .find(|live| live.kind == Kind::Job && live.name == name);
        let Some(Live {
            state: State::Job(job),
            ..
        }) = live.map(Arc::as_ref)
        else {
            return Ok(());
        };
        if !job.complete {
            let pipeline = valid.pipeline.name.as_str();
            self.job_pods =
                dereference::pods(&context.client, &valid.namespace, pipeline, Role::Prepare).await?;
        }
        self.job = Some(job.clone());
        Ok(())
    }

    /// How far the pipeline is.
    pub(crate) fn progress(&self, valid: &Valid, kafka: &Seen, workers: u32) -> Progress {
        Progress {
            topics_ready: matches!(kafka.topics, Some(Ok(_))),
            job_exists: self.job.is_some(),
            prepared: self.job.as_ref().is_some_and(|job| job.complete),
            workers_paused: workers == 0,
            workers_serve: deployment_state(self.worker.as_deref()).is_some_and(|state| state.available > 0),
            generator_exists: self.generator.is_some(),
            generator_rests: valid
                .pipeline
                .generator
                .as_ref()
                .is_none_or(|generator| generator.paused),
        }
    }

    /// Workers or generator, next to what they should be.
    pub(crate) fn workload<'a>(
        &'a self,
        role: Role,
        desired: &[Desired],
        memory: &Memory,
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
                memory.is_current(desired, live.as_deref())
            }),
            generation: deployment
                .and_then(|desired| memory.generation(desired))
                .unwrap_or(0),
            state: deployment_state(newest.as_deref()),
            wanted: deployment
                .and_then(|desired| desired.body.pointer("/spec/replicas")?.as_u64())
                .unwrap_or(0) as u32,
            pods,
        }
    }

    /// The models with their CronJobs.
    pub(crate) fn models(valid: &Valid, context: &Context) -> Vec<ModelSeen> {
        let seen = |model: &api::Model| {
            let name = objects::model_name(valid.pipeline.name.as_str(), &model.name);
            let live = context.index.get(Kind::CronJob, &valid.namespace, &name);
            let own = live.filter(|live| live.is_owned_by(&valid.uid));
            ModelSeen {
                name: model.name.to_string(),
                state: own.and_then(|live| match &live.state {
                    State::CronJob(state) => Some(state.clone()),
                    _ => None,
                }),
            }
        };
        valid.pipeline.models.iter().map(seen).collect()
    }

    /// The workers as the scaler sees them; `None` before there is a Deployment. What was `decided` last counts, not what
    /// somebody has made of the Deployment since: a decision to leave things as they are would make that the operator's
    /// own.
    pub(crate) fn workers(&self, pipeline: &Pipeline, decided: Option<&Decision>) -> Option<Workers> {
        let state = deployment_state(self.worker.as_deref())?;
        let count = |number: i32| u32::try_from(number).unwrap_or(0);
        Some(Workers {
            desired: decided.map_or(count(state.wanted), |decided| {
                desired_workers(pipeline, Some(decided.replicas))
            }),
            ready: count(state.available),
        })
    }

    /// Workers that the Deployment asks for at present.
    pub(crate) fn workers_wanted(&self) -> Option<u32> {
        u32::try_from(deployment_state(self.worker.as_deref())?.wanted).ok()
    }

    /// Somebody else keeps changing the number of workers.
    pub(crate) fn contested(&self, decisions: &Decisions) -> Option<Obstacle> {
        let state = deployment_state(self.worker.as_deref())?;
        let manager = state.replicas_set_by?;
        (state.wanted != decisions.workers as i32).then(|| Obstacle {
            reason: "ReplicasContested",
            message: format!(
                "{manager} has set the Deployment to {} workers, where {} are wanted; let it scale the StreamPipeline instead (kubectl scale sp, or scaleTargetRef of kind StreamPipeline)",
                state.wanted, decisions.workers
            ),
        })
    }
}
