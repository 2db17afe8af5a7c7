//! A cluster in memory with the real controller in it.

pub(crate) mod kafka;
mod play;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::crd::PullPolicy;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use memory_apiserver::{ApiServer, Key, Store};
use operator::controller::{self, ControllerSettings};
use operator::kafka::MonitorConfig;
use operator::metrics::Metrics;
use operator::objects::Defaults;
use runtime::health::Health;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use kafka::FakeKafka;
pub(crate) use play::generator_ends;

pub(crate) const NAMESPACE: &str = "streams";

pub(crate) struct World {
    pub(crate) api: ApiServer,
    pub(crate) kafka: FakeKafka,
    pub(crate) metrics: Metrics,
    began: tokio::time::Instant,
    running: Vec<(JoinHandle<()>, CancellationToken)>,
}

pub(crate) fn key(plural: &str, name: &str) -> Key {
    let group = match plural {
        "deployments" => "apps",
        "jobs" | "cronjobs" => "batch",
        "networkpolicies" => "networking.k8s.io",
        "poddisruptionbudgets" => "policy",
        "streampipelines" => "streampipeline.dev",
        _ => "",
    };
    (
        group.to_owned(),
        plural.to_owned(),
        NAMESPACE.to_owned(),
        name.to_owned(),
    )
}

/// A manifest as the API server stores it, with generator.
pub(crate) fn pipeline(name: &str) -> Value {
    json!({
        "apiVersion": "streampipeline.dev/v1alpha1",
        "kind": "StreamPipeline",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": {
            "kafka": { "bootstrapServers": "kafka:9092" },
            "topics": [{
                "name": format!("{name}_plays"), "partitions": 4,
                "fields": { "user_id": "int", "track_id": "int", "event_timestamp": "timestamp", "event_type": "string" },
            }],
            "generator": { "music": {}, "rate": 100.0 },
            // What the scaler decides depends on when it looked, and ends are compared here.
            "scaling": { "mode": "Off" },
            "tables": [{ "name": "stored", "sql": format!("SELECT user_id FROM {name}_plays") }],
            "sink": { "postgres": { "host": "db", "database": "music", "secretRef": { "name": "music-postgres" } } },
        },
    })
}

impl World {
    /// A cluster in which everything works, with the secret that pipelines name.
    pub(crate) fn new() -> Self {
        Self::playing(memory_apiserver::play::well)
    }

    pub(crate) fn playing(play: fn(&mut Store)) -> Self {
        let world = Self {
            api: ApiServer::new(play),
            kafka: FakeKafka::default(),
            metrics: Metrics::default(),
            began: tokio::time::Instant::now(),
            running: Vec::new(),
        };
        world.secret("music-postgres", "first");
        world
    }

    pub(crate) fn secret(&self, name: &str, password: &str) {
        // "YWRtaW4=" is admin; the value only has to be base64.
        let mut data = json!({ "username": "YWRtaW4=", "password": base64(password) });
        for key in ["ca.crt", "tls.crt", "tls.key"] {
            data[key] = json!(base64(password));
        }
        self.api.change(|store| {
            let secret = json!({"kind": "Secret", "apiVersion": "v1", "metadata": {}, "data": data});
            store.apply(key("secrets", name), &secret, "user", false).unwrap();
        });
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.api.clone(), NAMESPACE)
    }

    pub(crate) fn settings(&self) -> ControllerSettings {
        let began = self.began;
        let first: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        ControllerSettings {
            client: self.client(),
            kafka: Arc::new(self.kafka.clone()),
            monitors: MonitorConfig {
                // What Kafka tells has no part in most tests; but it must not get old.
                interval: Duration::from_secs(30),
                ..MonitorConfig::default()
            },
            defaults: Defaults {
                image: "streampipeline:1".to_owned(),
                pull_policy: PullPolicy::IfNotPresent,
                network_policies: true,
            },
            namespace: None,
            concurrency: 4,
            instance: "operator-1".to_owned(),
            metrics: self.metrics.clone(),
            health: Health::new(),
            clock: Arc::new(move || first + began.elapsed()),
        }
    }

    pub(crate) fn start(&mut self) {
        self.start_with(self.settings());
    }

    pub(crate) fn start_with(&mut self, settings: ControllerSettings) {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(controller::run(settings, shutdown.clone()));
        self.running.push((task, shutdown));
    }

    /// Ends the controllers without letting them finish anything.
    pub(crate) async fn crash(&mut self) {
        for (task, _) in self.running.drain(..) {
            task.abort();
            let _ = task.await;
        }
    }

    /// Ends the controllers in order.
    pub(crate) async fn stop(&mut self) {
        for (task, shutdown) in self.running.drain(..) {
            shutdown.cancel();
            task.await.unwrap();
        }
    }

    pub(crate) fn apply(&self, object: &Value) {
        let name = object["metadata"]["name"].as_str().unwrap();
        self.api.change(|store| {
            store
                .apply(key("streampipelines", name), object, "user", false)
                .unwrap()
        });
    }

    pub(crate) fn get(&self, plural: &str, name: &str) -> Option<Value> {
        self.api.lock().store.get(&key(plural, name)).cloned()
    }

    pub(crate) fn status(&self, name: &str) -> Value {
        self.get("streampipelines", name)
            .map(|object| object["status"].clone())
            .unwrap_or_default()
    }

    /// A condition as `status reason`.
    pub(crate) fn condition(&self, name: &str, kind: &str) -> String {
        let status = self.status(name);
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions
            .iter()
            .find(|condition| condition["type"] == kind)
            .cloned()
            .unwrap_or_default();
        let text = |member: &str| found[member].as_str().unwrap_or("-").to_owned();
        format!("{} {}", text("status"), text("reason"))
    }

    pub(crate) fn message(&self, name: &str, kind: &str) -> String {
        let status = self.status(name);
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions
            .iter()
            .find(|condition| condition["type"] == kind)
            .cloned()
            .unwrap_or_default();
        found["message"].as_str().unwrap_or_default().to_owned()
    }

    /// Lets time pass until `there` holds; at most two hours of it.
    pub(crate) async fn until(&self, what: &str, mut there: impl FnMut(&Self) -> bool) {
        for _ in 0..72_000 {
            if there(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!(
            "after two hours still not: {what}; status {:#}",
            self.status("music")
        );
    }

    pub(crate) async fn ready(&self, name: &str) {
        self.until(&format!("{name} ready"), |world| {
            world.condition(name, "Ready").starts_with("True")
        })
        .await;
    }

    /// Writes so far, without those of events and leases.
    pub(crate) fn writes(&self) -> usize {
        self.api.lock().calls.iter().filter(|call| call.writes()).count()
    }

    /// Lets time pass until nothing has been written for a minute.
    pub(crate) async fn settle(&self) {
        let mut writes = self.writes();
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_mins(1)).await;
            if self.writes() == writes {
                return;
            }
            writes = self.writes();
        }
        panic!(
            "after an hour still writing: {:?}",
            self.api.lock().calls.iter().rev().take(20).collect::<Vec<_>>()
        );
    }

    /// All objects without what differs from run to run.
    pub(crate) fn objects(&self) -> BTreeMap<Key, Value> {
        let server = self.api.lock();
        server
            .store
            .objects
            .iter()
            .filter(|(key, _)| key.1 != "events" && key.1 != "leases")
            .map(|(key, object)| {
                let mut object = object.clone();
                for member in ["uid", "resourceVersion", "generation", "creationTimestamp"] {
                    object["metadata"].as_object_mut().unwrap().remove(member);
                }
                // An API server keeps no empty list.
                if object["metadata"]["finalizers"] == json!([]) {
                    object["metadata"].as_object_mut().unwrap().remove("finalizers");
                }
                if let Some(owners) = object["metadata"]["ownerReferences"].as_array_mut() {
                    for owner in owners {
                        owner["uid"] = json!("");
                    }
                }
                if let Some(status) = object["status"].as_object_mut() {
                    status.remove("observedGeneration");
                    for condition in status
                        .get_mut("conditions")
                        .and_then(Value::as_array_mut)
                        .into_iter()
                        .flatten()
                    {
                        condition["lastTransitionTime"] = json!("");
                        condition["observedGeneration"] = json!(0);
                    }
                }
                (key.clone(), object)
            })
            .collect()
    }

    /// Creations and deletions of each object so far.
    pub(crate) fn counts(&self) -> (BTreeMap<Key, u32>, BTreeMap<Key, u32>) {
        let server = self.api.lock();
        let of = |counts: &BTreeMap<Key, u32>| {
            counts
                .iter()
                .filter(|(key, _)| key.1 != "events")
                .map(|(key, count)| (key.clone(), *count))
                .collect()
        };
        (of(&server.store.created), of(&server.store.deleted))
    }

    /// Names of a kind of object, sorted.
    pub(crate) fn names(&self, plural: &str) -> Vec<String> {
        let server = self.api.lock();
        server
            .store
            .objects
            .keys()
            .filter(|key| key.1 == plural)
            .map(|key| key.3.clone())
            .collect()
    }

    /// Nothing but what the table of rights names may have been asked for.
    pub(crate) fn assert_rights(&self) {
        for call in &self.api.lock().calls {
            assert!(
                operator::installation::rbac::allows(&call.group, &call.full_resource(), call.verb),
                "{call:?}"
            );
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_rights();
        }
    }
}

/// Minutes, so that nothing that is due in a minute is missed.
pub(crate) async fn minutes(number: u64) {
    tokio::time::sleep(Duration::from_mins(number)).await;
}

/// What a run without faults ends in.
pub(crate) async fn undisturbed() -> World {
    let mut world = World::new();
    world.start();
    world.apply(&pipeline("music"));
    world.ready("music").await;
    world.settle().await;
    world.stop().await;
    world
}

/// Two sets of objects are the same; else what differs is named.
pub(crate) fn assert_same(before: &BTreeMap<Key, Value>, after: &BTreeMap<Key, Value>, context: &str) {
    let mut differences = Vec::new();
    for key in before.keys().chain(after.keys()) {
        let (old, new) = (
            before.get(key).unwrap_or(&Value::Null),
            after.get(key).unwrap_or(&Value::Null),
        );
        differ(old, new, &format!("{} {}", key.1, key.3), &mut differences);
    }
    differences.dedup();
    assert!(differences.is_empty(), "{context}:\n{}", differences.join("\n"));
}

fn differ(old: &Value, new: &Value, path: &str, differences: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys()) {
                differ(&old[name], &new[name], &format!("{path}.{name}"), differences);
            }
        }
        _ if old == new => {}
        _ => differences.push(format!("{path}: {old} and {new}")),
    }
}

fn base64(text: &str) -> String {
    let secret = k8s_openapi::ByteString(text.as_bytes().to_vec());
    serde_json::to_value(secret).unwrap().as_str().unwrap().to_owned()
}
