//! What there is in the cluster of what the operator made, as its watches have seen it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Event;

use super::live::LiveObject;
use crate::kind::Kind;
use crate::names::PipelineKey;

#[derive(Debug, Default)]
pub(crate) struct Index(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    objects: HashMap<(Kind, String, String), Arc<LiveObject>>,
    /// By the owner's uid.
    owned: HashMap<String, BTreeMap<(Kind, String), Arc<LiveObject>>>,
    /// Versions of all secrets, by namespace and name.
    secrets: HashMap<(String, String), String>,
}

/// Keys that a list which is being received has named so far.
#[derive(Debug, Default)]
pub(crate) struct Listing(HashSet<(String, String)>);

impl Index {
    /// What a pipeline owns.
    #[must_use]
    pub(crate) fn owned_by(&self, uid: &str) -> Vec<Arc<LiveObject>> {
        let inner = self.lock();
        inner
            .owned
            .get(uid)
            .map(|owned| owned.values().map(Arc::clone).collect())
            .unwrap_or_default()
    }

    /// An object by its name.
    #[must_use]
    pub(crate) fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<LiveObject>> {
        self.lock()
            .objects
            .get(&(kind, namespace.to_owned(), name.to_owned()))
            .map(Arc::clone)
    }

    /// The version of a secret; `None` if there is no such secret.
    #[must_use]
    pub(crate) fn secret_version(&self, namespace: &str, name: &str) -> Option<String> {
        self.lock()
            .secrets
            .get(&(namespace.to_owned(), name.to_owned()))
            .cloned()
    }

    /// Takes in an event of the watch of `kind`; gives the pipelines that it concerns.
    pub(crate) fn observe<K>(
        &self,
        kind: Kind,
        listing: &mut Listing,
        event: &Event<K>,
        live: impl Fn(&K) -> LiveObject,
    ) -> Vec<PipelineKey> {
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

    /// Takes in an event of the watch of secrets; gives the secrets (namespace, name) that it concerns.
    pub(crate) fn observe_secret(
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

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn put(&mut self, object: LiveObject) -> Vec<PipelineKey> {
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

    fn remove(&mut self, key: &(Kind, String, String)) -> Vec<PipelineKey> {
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
