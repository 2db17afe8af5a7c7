//! What reconciles share, and what is remembered of each pipeline from one to the next.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::StreamPipeline;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::reflector::Store;
use kube::{Client, ResourceExt};
use tokio::time::Instant;

use super::dereference::SecretCache;
use super::events::Events;
use super::finalize;
use super::memory::Memory;
use super::report::StatusMemory;
use super::rollout;
use crate::kafka::Links;
use crate::metrics::Metrics;
use crate::objects::Defaults;
use crate::scaling::Scaling;
use crate::validate::{self, Refusal};
use crate::watch::Guarded;
use crate::watch::index::{Index, JobState};

/// What reconciles share.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// What pipelines may override.
    pub defaults: Defaults,
    /// What the operator's watches have seen.
    pub index: Arc<Index>,
    /// Secrets that were read.
    pub secrets: SecretCache,
    /// Kafka.
    pub links: Arc<Links>,
    /// What is told of pipelines.
    pub events: Events,
    /// Counts.
    pub metrics: Metrics,
    /// All pipelines.
    pub(crate) store: Store<Guarded>,
    /// Whether the cluster knows PodMonitors.
    pub pod_monitors: AtomicBool,
    /// Time, for telling.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// What is remembered of each pipeline.
    pub(crate) pipelines: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<Remembered>>>>,
    /// Pipelines whose reconciles fail, and until when Kafka's news about them do not matter.
    pub(crate) resting: Mutex<HashMap<Key, Instant>>,
}

/// Namespace and name.
pub(crate) type Key = (String, String);

/// What is remembered of one pipeline between reconciles.
#[derive(Default)]
pub(crate) struct Remembered {
    pub(crate) uid: String,
    pub(crate) memory: Memory,
    pub(crate) status: StatusMemory,
    pub(crate) scaling: Scaling,
    /// Jobs that have given up, one after the other.
    pub(crate) attempts: u32,
    /// When it was seen that the present one has: clocks of machines differ and jump, so theirs are not asked.
    pub(crate) gave_up: Option<Instant>,
    /// Reconciles that have failed, one after the other.
    pub(crate) failures: u32,
    pub(crate) cleanup: finalize::State,
    /// What was told last about an object that is no pipeline, with its generation.
    pub(crate) unreadable: Option<(Option<i64>, String)>,
}

impl Remembered {
    /// When a Job that has given up is tried again.
    pub(crate) fn retry_in(&mut self, job: Option<&JobState>) -> Option<Duration> {
        let gave_up = job.is_some_and(|job| job.failed);
        self.gave_up = gave_up.then(|| self.gave_up.unwrap_or_else(Instant::now));
        let seen = self.gave_up?;
        Some(rollout::retry_in(seen.elapsed(), self.attempts))
    }
}

impl Context {
    pub(crate) fn remembered(&self, key: &Key) -> Arc<tokio::sync::Mutex<Remembered>> {
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(pipelines.entry(key.clone()).or_default())
    }

    /// An older pipeline of the same name at the same Kafka.
    pub(crate) fn rival(&self, resource: &StreamPipeline) -> Option<Refusal> {
        let rival = self.store.find(|other| {
            other
                .0
                .as_ref()
                .is_ok_and(|other| validate::is_rival(resource, other))
        })?;
        Some(Refusal::NameInUse {
            namespace: rival.namespace().unwrap_or_default(),
            name: rival.name_any(),
        })
    }

    pub(crate) fn resting(&self) -> MutexGuard<'_, HashMap<Key, Instant>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops what is remembered of pipelines that are gone.
    pub(crate) fn retain(&self, keep: impl Fn(&Key) -> bool) {
        self.links.retain(&keep);
        self.resting().retain(|key, _| keep(key));
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        pipelines.retain(|key, _| keep(key));
        self.secrets
            .retain(|namespace| pipelines.keys().any(|(other, _)| other == namespace));
    }
}
