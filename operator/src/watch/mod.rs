//! The operator's watches: each event goes into the index (or the store of pipelines) and gives the pipelines that have
//! to be reconciled.

pub(crate) mod index;
pub(crate) mod live;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use api::StreamPipeline;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Secret;
use kube::api::DynamicObject;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::reflector;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::utils::WatchStreamExt;
use kube::runtime::watcher::{Config, Error, Event, watcher};
use kube::{Api, Client, Resource};
use tokio::sync::watch;

use self::index::{Index, Listing};
use self::live::LiveObject;
use crate::kind::Kind;
use crate::names::MANAGED;

/// A pipeline, or what of one could be read.
pub(crate) type Guarded = DeserializeGuard<StreamPipeline>;

/// What has to be reconciled.
pub(crate) type Requests = BoxStream<'static, Result<ObjectRef<Guarded>, Error>>;

/// Where the operator looks: in one namespace, or everywhere.
#[derive(Clone)]
pub(crate) struct WatchScope {
    pub(crate) client: Client,
    pub(crate) namespace: Option<String>,
}

/// Which first lists are still missing. Before all are in, what is not in the index may be there all the same.
#[derive(Debug)]
pub(crate) struct Ready(watch::Sender<BTreeSet<&'static str>>);

/// How often it is looked whether the cluster knows PodMonitors by now.
const DISCOVERY: Duration = Duration::from_mins(5);
const SECRETS: &str = "Secret";

impl Default for Ready {
    fn default() -> Self {
        let kinds = Kind::ALL
            .into_iter()
            .filter(|kind| *kind != Kind::PodMonitor)
            .map(Kind::as_str);
        Self(watch::Sender::new(kinds.chain([SECRETS]).collect()))
    }
}

impl Ready {
    /// Waits until all first lists are in.
    pub(crate) async fn wait(&self) {
        // The sender is ours, so it cannot be gone.
        let _ = self.0.subscribe().wait_for(BTreeSet::is_empty).await;
    }

    fn listed(&self, what: &'static str) {
        self.0.send_if_modified(|missing| missing.remove(what));
    }

    fn is_listed(&self, what: &str) -> bool {
        !self.0.borrow().contains(what)
    }

    /// Whether all are in, or which are not.
    pub(crate) fn state(&self) -> Result<(), String> {
        let missing = self.0.borrow();
        if missing.is_empty() {
            return Ok(());
        }
        let kinds: Vec<&str> = missing.iter().copied().collect();
        Err(format!("waiting for the first list of {}", kinds.join(", ")))
    }
}

impl WatchScope {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    fn metadata(&self, kind: Kind) -> Api<PartialObjectMeta<DynamicObject>> {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &kind.resource()),
            None => Api::all_with(self.client.clone(), &kind.resource()),
        }
    }
}

/// A list comes in pages of so many objects. Of each watch one page is in memory as text and as objects, and when the API
/// server comes back all watches list at the same time.
const PAGE: u32 = 50;

fn listed() -> Config {
    Config::default().page_size(PAGE)
}

/// The pipelines themselves. The store is complete once the first list is in.
pub(crate) fn pipelines(scope: &WatchScope) -> (Store<Guarded>, Requests) {
    let writer = Writer::<Guarded>::default();
    let store = writer.as_reader();
    let events = watcher(scope.api::<Guarded>(), listed())
        .default_backoff()
        .modify(|guard| guard.meta_mut().managed_fields = None);
    let requests = reflector(writer, events).try_filter_map(|event| async move {
        Ok(match event {
            Event::Apply(object) | Event::InitApply(object) => Some(ObjectRef::from_obj(&object)),
            _ => None,
        })
    });
    (store, requests.boxed())
}

/// What pipelines own.
pub(crate) fn owned(scope: &WatchScope, index: &Arc<Index>, ready: &Arc<Ready>) -> Requests {
    let made = || listed().labels(MANAGED);
    let deployments = watcher(scope.api::<Deployment>(), made()).default_backoff();
    let jobs = watcher(scope.api::<Job>(), made()).default_backoff();
    let cron_jobs = watcher(scope.api::<CronJob>(), made()).default_backoff();
    let mut requests = vec![
        indexed(
            deployments,
            Kind::Deployment,
            index,
            ready,
            LiveObject::deployment,
        ),
        indexed(jobs, Kind::Job, index, ready, LiveObject::job),
        indexed(cron_jobs, Kind::CronJob, index, ready, LiveObject::cron_job),
    ];
    for kind in Kind::ALL {
        if !matches!(
            kind,
            Kind::Deployment | Kind::Job | Kind::CronJob | Kind::PodMonitor
        ) {
            let events = watcher(scope.metadata(kind), made()).default_backoff();
            requests.push(indexed(events, kind, index, ready, move |object| {
                LiveObject::new(kind, &object.metadata)
            }));
        }
    }
    stream::select_all(requests).boxed()
}

/// `PodMonitors`, as soon as the cluster knows them; `known` is called then.
pub(crate) fn pod_monitors(
    scope: WatchScope,
    index: &Arc<Index>,
    ready: &Arc<Ready>,
    known: impl Fn() + Send + 'static,
) -> Requests {
    let (index, ready) = (Arc::clone(index), Arc::clone(ready));
    let waiting = async move {
        while !has_pod_monitors(&scope.client).await {
            tokio::time::sleep(DISCOVERY).await;
        }
        known();
        let kind = Kind::PodMonitor;
        let events = watcher(scope.metadata(kind), listed().labels(MANAGED)).default_backoff();
        indexed(events, kind, &index, &ready, move |object| {
            LiveObject::new(kind, &object.metadata)
        })
    };
    stream::once(waiting).flatten().boxed()
}

pub(crate) async fn has_pod_monitors(client: &Client) -> bool {
    let found = client.list_api_group_resources("monitoring.coreos.com/v1").await;
    found.is_ok_and(|found| {
        found
            .resources
            .iter()
            .any(|resource| resource.kind == "PodMonitor")
    })
}

/// Secrets, by name and version only; and of these not what helm keeps its releases in.
pub(crate) fn secrets(
    scope: &WatchScope,
    index: &Arc<Index>,
    ready: &Arc<Ready>,
    pipelines: &Store<Guarded>,
) -> Requests {
    let (index, ready, pipelines) = (Arc::clone(index), Arc::clone(ready), pipelines.clone());
    let config = listed().fields("type!=helm.sh/release.v1");
    let mut listing = Listing::default();
    watcher(scope.api::<PartialObjectMeta<Secret>>(), config)
        .default_backoff()
        .map_ok(move |event| {
            let first_list = !ready.is_listed(SECRETS);
            let changed = index.observe_secret(&mut listing, &event);
            if matches!(event, Event::InitDone) {
                ready.listed(SECRETS);
            }
            // All pipelines are looked at after the first list anyway.
            let changed = if first_list { Vec::new() } else { changed };
            let concerned: Vec<_> = changed
                .into_iter()
                .flat_map(|(namespace, name)| users_of(&pipelines, &namespace, &name))
                .collect();
            stream::iter(concerned.into_iter().map(Ok))
        })
        .try_flatten()
        .boxed()
}

fn users_of(pipelines: &Store<Guarded>, namespace: &str, secret: &str) -> Vec<ObjectRef<Guarded>> {
    let users = pipelines.state_filter(|guard| match &guard.0 {
        Ok(pipeline) => pipeline.metadata.namespace.as_deref() == Some(namespace) && names(pipeline, secret),
        Err(_) => false,
    });
    users
        .iter()
        .map(|guard| ObjectRef::from_obj(guard.as_ref()))
        .collect()
}

fn names(pipeline: &StreamPipeline, secret: &str) -> bool {
    let security = pipeline.spec.kafka.security.as_ref();
    let tls = security.and_then(|security| security.tls.as_ref());
    [
        security
            .and_then(|security| security.sasl.as_ref())
            .map(|sasl| &sasl.secret_ref),
        tls.and_then(|tls| tls.ca_secret_ref.as_ref()),
        tls.and_then(|tls| tls.certificate_secret_ref.as_ref()),
        pipeline
            .spec
            .sink
            .postgres
            .as_ref()
            .map(|postgres| &postgres.secret_ref),
    ]
    .into_iter()
    .flatten()
    .any(|reference| reference.name == secret)
}

fn indexed<K: Send + 'static>(
    events: impl Stream<Item = Result<Event<K>, Error>> + Send + 'static,
    kind: Kind,
    index: &Arc<Index>,
    ready: &Arc<Ready>,
    live: impl Fn(&K) -> LiveObject + Send + 'static,
) -> Requests {
    let (index, ready) = (Arc::clone(index), Arc::clone(ready));
    let mut listing = Listing::default();
    events
        .map_ok(move |event| {
            let concerned = index.observe(kind, &mut listing, &event, &live);
            if matches!(event, Event::InitDone) {
                ready.listed(kind.as_str());
            }
            let references = concerned
                .into_iter()
                .map(|(namespace, name)| ObjectRef::new(&name).within(&namespace));
            stream::iter(references.map(Ok))
        })
        .try_flatten()
        .boxed()
}
