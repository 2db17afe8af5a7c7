//! What reconciles share.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::{Pipeline, StreamPipeline};
use k8s_openapi::jiff::Timestamp;
use kube::runtime::reflector::Store;
use kube::{Client, ResourceExt};
use tokio::time::Instant;

use super::apply::Applier;
use super::dereference::{DereferenceError, SecretCache};
use super::events::Events;
use super::memory::PipelineMemory;
use crate::kafka::Monitors;
use crate::metrics::Metrics;
use crate::names::PipelineKey;
use crate::objects::Defaults;
use crate::secrets::SecretContents;
use crate::validate::{self, ValidationError};
use crate::watch::Guarded;
use crate::watch::index::Index;

pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) defaults: Defaults,
    pub(crate) index: Arc<Index>,
    pub(crate) secrets: SecretCache,
    pub(crate) monitors: Arc<Monitors>,
    pub(crate) events: Events,
    pub(crate) metrics: Metrics,
    pub(crate) store: Store<Guarded>,
    /// Whether the cluster knows PodMonitors.
    pub(crate) pod_monitors: AtomicBool,
    /// Time, for people; what is measured is measured by the monotonic clock.
    pub(crate) clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    pub(crate) pipelines: Mutex<HashMap<PipelineKey, Arc<tokio::sync::Mutex<PipelineMemory>>>>,
    /// Pipelines whose reconciles fail, and until when Kafka's news about them do not matter.
    pub(crate) resting: Mutex<HashMap<PipelineKey, Instant>>,
}

impl Context {
    /// What is remembered of one pipeline; who reconciles it holds the lock.
    pub(crate) fn memory(&self, key: &PipelineKey) -> Arc<tokio::sync::Mutex<PipelineMemory>> {
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(pipelines.entry(key.clone()).or_default())
    }

    /// An older pipeline of the same name at the same Kafka.
    pub(crate) fn rival(&self, resource: &StreamPipeline) -> Option<ValidationError> {
        let rival = self.store.find(|other| {
            other
                .0
                .as_ref()
                .is_ok_and(|other| validate::is_rival(resource, other))
        })?;
        Some(ValidationError::NameInUse {
            namespace: rival.namespace().unwrap_or_default(),
            name: rival.name_any(),
        })
    }

    /// The secrets that `pipeline` names and that are there.
    pub(crate) async fn fetch_secrets(
        &self,
        pipeline: &Pipeline,
        namespace: &str,
    ) -> Result<SecretContents, DereferenceError> {
        self.secrets
            .fetch(&self.client, &self.index, pipeline, namespace)
            .await
    }

    /// Applies to the namespace of the pipeline with `uid`, in its name.
    pub(crate) fn applier<'a>(&'a self, namespace: &'a str, uid: &'a str) -> Applier<'a> {
        Applier {
            client: &self.client,
            index: &self.index,
            namespace,
            uid,
        }
    }

    pub(crate) fn resting(&self) -> MutexGuard<'_, HashMap<PipelineKey, Instant>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops what is remembered of pipelines that are gone.
    pub(crate) fn retain(&self, keep: impl Fn(&PipelineKey) -> bool) {
        self.monitors.retain(&keep);
        self.resting().retain(|key, _| keep(key));
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        pipelines.retain(|key, _| keep(key));
        self.secrets
            .retain(|namespace| pipelines.keys().any(|(other, _)| other == namespace));
    }
}
