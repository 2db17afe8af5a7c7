//! What there is in the cluster of what the operator made, as its watches have seen it: names, versions and states,
//! but no contents, so that a thousand pipelines take little memory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, Time};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Event;

use crate::kind::Kind;
use crate::objects::OPERATOR;

/// An object that a pipeline owns.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// Its kind.
    pub kind: Kind,
    /// Where it is.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Which object it is.
    pub uid: String,
    /// Changes with every change of it.
    pub resource_version: String,
    /// Changes with every change of what is wanted, for kinds that have it.
    pub generation: Option<i64>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Name and uid of the pipeline that owns it.
    pub owner: Option<(String, String)>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// What it says about itself.
    pub state: State,
}

/// What an object says about itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum State {
    /// Nothing of interest.
    #[default]
    None,
    /// A Deployment.
    Deployment(DeploymentState),
    /// A Job.
    Job(JobState),
    /// A CronJob.
    CronJob(CronJobState),
}

/// How far a Deployment is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeploymentState {
    /// Pods that it should have.
    pub wanted: i32,
    /// Pods that it has.
    pub replicas: i32,
    /// Pods of its newest template.
    pub updated: i32,
    /// Pods that are ready.
    pub available: i32,
    /// The generation that these numbers are about.
    pub observed_generation: i64,
    /// Another program that has set the number of pods, besides this one.
    pub replicas_set_by: Option<String>,
}

/// How far a Job is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobState {
    /// It has done its work.
    pub complete: bool,
    /// It has given up.
    pub failed: bool,
}

/// How far a CronJob is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CronJobState {
    /// When its last run was due, if there was one.
    pub last_run: Option<Time>,
    /// When a run ended well last.
    pub last_success: Option<Time>,
    /// Whether a run is under way.
    pub running: bool,
}

/// All that is there.
#[derive(Debug, Default)]
pub struct Index(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    objects: HashMap<(Kind, String, String), Arc<Live>>,
    /// By the owner's uid.
    owned: HashMap<String, BTreeMap<(Kind, String), Arc<Live>>>,
    /// Versions of all secrets, by namespace and name.
    secrets: HashMap<(String, String), String>,
}

/// Keys that a list which is being received has named so far.
#[derive(Debug, Default)]
pub struct Listing(HashSet<(String, String)>);

impl Index {
    /// What a pipeline owns.
    #[must_use]
    pub fn owned_by(&self, uid: &str) -> Vec<Arc<Live>> {
        let inner = self.lock();
        inner
            .owned
            .get(uid)
            .map(|owned| owned.values().map(Arc::clone).collect())
            .unwrap_or_default()
    }

    /// An object by its name.
    #[must_use]
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Live>> {
        self.lock()
            .objects
            .get(&(kind, namespace.to_owned(), name.to_owned()))
            .map(Arc::clone)
    }

    /// The version of a secret; `None` if there is no such secret.
    #[must_use]
    pub fn secret_version(&self, namespace: &str, name: &str) -> Option<String> {
        self.lock()
            .secrets
            .get(&(namespace.to_owned(), name.to_owned()))
            .cloned()
    }

    /// Takes in what a watch of `kind` tells; gives the pipelines (namespace, name) that it concerns.
    pub fn observe<K>(
        &self,
        kind: Kind,
        listing: &mut Listing,
        event: &Event<K>,
        live: impl Fn(&K) -> Live,
    ) -> Vec<(String, String)> {
        let mut inner = self.lock();
        match event {
            Event::Init => {
                listing.0.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                let object = live(object);
                listing.0.insert((object.namespace.clone(), object.name.clone()));
                inner.put(object)
            }
            Event::Apply(object) => inner.put(live(object)),
            Event::Delete(object) => {
                let object = live(object);
                inner.remove(&(kind, object.namespace, object.name))
            }
            Event::InitDone => {
                let gone: Vec<_> = inner
                    .objects
                    .keys()
                    .filter(|(other, namespace, name)| {
                        *other == kind && !listing.0.contains(&(namespace.clone(), name.clone()))
                    })
                    .cloned()
                    .collect();
                listing.0.clear();
                gone.iter().flat_map(|key| inner.remove(key)).collect()
            }
        }
    }

    /// Takes in what the watch of secrets tells; gives the secret (namespace, name) that it concerns.
    pub fn observe_secret(
        &self,
        listing: &mut Listing,
        event: &Event<PartialObjectMeta<Secret>>,
    ) -> Vec<(String, String)> {
        let key = |secret: &PartialObjectMeta<Secret>| {
            let meta = &secret.metadata;
            (
                meta.namespace.clone().unwrap_or_default(),
                meta.name.clone().unwrap_or_default(),
            )
        };
        let mut inner = self.lock();
        match event {
            Event::Init => {
                listing.0.clear();
                Vec::new()
            }
            Event::Apply(secret) | Event::InitApply(secret) => {
                let version = secret.metadata.resource_version.clone().unwrap_or_default();
                let key = key(secret);
                if matches!(event, Event::InitApply(_)) {
                    listing.0.insert(key.clone());
                }
                let known = inner.secrets.insert(key.clone(), version.clone());
                if known == Some(version) {
                    Vec::new()
                } else {
                    vec![key]
                }
            }
            Event::Delete(secret) => {
                let key = key(secret);
                inner.secrets.remove(&key);
                vec![key]
            }
            Event::InitDone => {
                let gone: Vec<_> = inner
                    .secrets
                    .keys()
                    .filter(|key| !listing.0.contains(key))
                    .cloned()
                    .collect();
                for key in &gone {
                    inner.secrets.remove(key);
                }
                listing.0.clear();
                gone
            }
        }
    }

    /// Objects that are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().objects.len()
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn put(&mut self, object: Live) -> Vec<(String, String)> {
        let key = (object.kind, object.namespace.clone(), object.name.clone());
        let mut concerned = self.remove(&key);
        let object = Arc::new(object);
        if let Some((name, uid)) = &object.owner {
            self.owned
                .entry(uid.clone())
                .or_default()
                .insert((object.kind, object.name.clone()), Arc::clone(&object));
            concerned.push((object.namespace.clone(), name.clone()));
            concerned.dedup();
        }
        self.objects.insert(key, object);
        concerned
    }

    fn remove(&mut self, key: &(Kind, String, String)) -> Vec<(String, String)> {
        let Some(object) = self.objects.remove(key) else {
            return Vec::new();
        };
        let Some((name, uid)) = &object.owner else {
            return Vec::new();
        };
        if let Some(owned) = self.owned.get_mut(uid) {
            owned.remove(&(object.kind, object.name.clone()));
            if owned.is_empty() {
                self.owned.remove(uid);
            }
        }
        vec![(object.namespace.clone(), name.clone())]
    }
}

impl Live {
    /// An object of which only the metadata matters.
    #[must_use]
    pub fn new(kind: Kind, meta: &ObjectMeta) -> Self {
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
            state: State::None,
        }
    }

    /// A Deployment.
    #[must_use]
    pub fn deployment(deployment: &Deployment) -> Self {
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
            state: State::Deployment(state),
            ..Self::new(Kind::Deployment, &deployment.metadata)
        }
    }

    /// A Job.
    #[must_use]
    pub fn job(job: &Job) -> Self {
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
            state: State::Job(state),
            ..Self::new(Kind::Job, &job.metadata)
        }
    }

    /// A CronJob.
    #[must_use]
    pub fn cron_job(cron_job: &CronJob) -> Self {
        let status = cron_job.status.clone().unwrap_or_default();
        let state = CronJobState {
            last_run: status.last_schedule_time,
            last_success: status.last_successful_time,
            running: status.active.is_some_and(|active| !active.is_empty()),
        };
        Self {
            state: State::CronJob(state),
            ..Self::new(Kind::CronJob, &cron_job.metadata)
        }
    }

    /// What changes when somebody changes what is wanted of the object.
    #[must_use]
    pub fn version(&self) -> String {
        match self.generation {
            Some(generation) if self.kind.has_generation() => generation.to_string(),
            _ => self.resource_version.clone(),
        }
    }

    /// Whether the pipeline with this uid owns it.
    #[must_use]
    pub fn is_owned_by(&self, uid: &str) -> bool {
        self.owner.as_ref().is_some_and(|(_, owner)| owner == uid)
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
