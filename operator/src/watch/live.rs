//! Objects as watches have seen them: names, versions and states, but no contents, so that a thousand pipelines take
//! little memory.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, Time};

use crate::kind::Kind;
use crate::names::OPERATOR;

/// An object that a pipeline owns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LiveObject {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    /// Changes with every change of it.
    pub(crate) resource_version: String,
    /// Changes with every change of what is wanted, for kinds that have it.
    pub(crate) generation: Option<i64>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    /// Name and uid of the pipeline that owns it.
    pub(crate) owner: Option<(String, String)>,
    pub(crate) deleting: bool,
    pub(crate) state: ObjectState,
}

/// What an object says about itself; `None` where nothing of it is of interest.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum ObjectState {
    #[default]
    None,
    Deployment(DeploymentState),
    Job(JobState),
    CronJob(CronJobState),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct DeploymentState {
    pub(crate) wanted: i32,
    pub(crate) replicas: i32,
    /// Pods of its newest template.
    pub(crate) updated: i32,
    pub(crate) available: i32,
    /// The generation that these numbers are about.
    pub(crate) observed_generation: i64,
    /// Another program that has set the number of pods, besides this one.
    pub(crate) replicas_set_by: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct JobState {
    /// It has done its work.
    pub(crate) complete: bool,
    /// It has given up.
    pub(crate) failed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct CronJobState {
    /// When its last run was due, if there was one.
    pub(crate) last_run: Option<Time>,
    /// When a run ended well last.
    pub(crate) last_success: Option<Time>,
    /// Whether a run is under way.
    pub(crate) running: bool,
}

impl LiveObject {
    /// An object of which only the metadata matters.
    #[must_use]
    pub(crate) fn new(kind: Kind, meta: &ObjectMeta) -> Self {
        let owner = meta.owner_references.iter().flatten().find(|owner| {
            owner.kind == "StreamPipeline" && owner.api_version.starts_with("streampipeline.dev/")
        });
        Self {
            kind,
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            generation: meta.generation,
            labels: meta.labels.clone().unwrap_or_default(),
            annotations: meta.annotations.clone().unwrap_or_default(),
            owner: owner.map(|owner| (owner.name.clone(), owner.uid.clone())),
            deleting: meta.deletion_timestamp.is_some(),
            state: ObjectState::None,
        }
    }

    #[must_use]
    pub(crate) fn deployment(deployment: &Deployment) -> Self {
        let status = deployment.status.clone().unwrap_or_default();
        let spec = deployment.spec.as_ref();
        let state = DeploymentState {
            wanted: spec.and_then(|spec| spec.replicas).unwrap_or(1),
            replicas: status.replicas.unwrap_or(0),
            updated: status.updated_replicas.unwrap_or(0),
            available: status.available_replicas.unwrap_or(0),
            observed_generation: status.observed_generation.unwrap_or(0),
            replicas_set_by: replicas_set_by(
                deployment.metadata.managed_fields.as_deref().unwrap_or_default(),
            ),
        };
        Self {
            state: ObjectState::Deployment(state),
            ..Self::new(Kind::Deployment, &deployment.metadata)
        }
    }

    #[must_use]
    pub(crate) fn job(job: &Job) -> Self {
        let status = job.status.clone().unwrap_or_default();
        let condition = |kind: &str| {
            let mut conditions = status.conditions.iter().flatten();
            conditions.any(|condition| condition.status == "True" && condition.type_ == kind)
        };
        let state = JobState {
            complete: condition("Complete"),
            failed: condition("Failed"),
        };
        Self {
            state: ObjectState::Job(state),
            ..Self::new(Kind::Job, &job.metadata)
        }
    }

    #[must_use]
    pub(crate) fn cron_job(cron_job: &CronJob) -> Self {
        let status = cron_job.status.clone().unwrap_or_default();
        let state = CronJobState {
            last_run: status.last_schedule_time,
            last_success: status.last_successful_time,
            running: status.active.is_some_and(|active| !active.is_empty()),
        };
        Self {
            state: ObjectState::CronJob(state),
            ..Self::new(Kind::CronJob, &cron_job.metadata)
        }
    }

    /// What changes when somebody changes what is wanted of the object.
    #[must_use]
    pub(crate) fn version(&self) -> String {
        match self.generation {
            Some(generation) if self.kind.has_generation() => generation.to_string(),
            _ => self.resource_version.clone(),
        }
    }

    /// Whether the pipeline with this uid owns it.
    #[must_use]
    pub(crate) fn is_owned_by(&self, uid: &str) -> bool {
        self.owner.as_ref().is_some_and(|(_, owner)| owner == uid)
    }

    /// Whose the object is, if the pipeline with this uid does not own it.
    #[must_use]
    pub(crate) fn other_owner(&self, uid: &str) -> Option<String> {
        if self.is_owned_by(uid) {
            return None;
        }
        Some(match &self.owner {
            Some((name, _)) => format!("the pipeline {name}, or to an earlier one of that name"),
            None => "somebody else".to_owned(),
        })
    }
}

/// Who else says how many pods a Deployment has.
fn replicas_set_by(entries: &[ManagedFieldsEntry]) -> Option<String> {
    entries
        .iter()
        .filter(|entry| {
            entry
                .fields_v1
                .as_ref()
                .is_some_and(|fields| fields.0.pointer("/f:spec/f:replicas").is_some())
        })
        .filter_map(|entry| entry.manager.clone())
        .find(|manager| manager != OPERATOR)
}
