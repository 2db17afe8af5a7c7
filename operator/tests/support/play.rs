//! What Kubernetes' own controllers would do, at once: Deployments become ready, Jobs complete, and what has no owner
//! any more goes.

use serde_json::{Value, json};

use super::store::{Key, Store};

/// Everything works.
pub(crate) fn well(store: &mut Store) {
    loop {
        let before = store.version;
        deployments(store);
        jobs(
            store,
            |_| json!({"succeeded": 1, "conditions": [condition("Complete")]}),
        );
        collect_garbage(store);
        if store.version == before {
            return;
        }
    }
}

/// Everything works, and the generator's program has come to its end and is started again and again.
pub(crate) fn generator_ends(store: &mut Store) {
    well(store);
    let Some(deployment) = store
        .objects
        .get(&super::key("deployments", "music-generator"))
        .cloned()
    else {
        return;
    };
    let replicas = deployment["spec"]["replicas"].as_i64().unwrap();
    let mut changed = deployment.clone();
    changed["status"]["availableReplicas"] = json!(0);
    store.put(super::key("deployments", "music-generator"), changed);
    let pod = super::key("pods", "music-generator-1");
    if replicas == 0 {
        let _ = store.delete(&pod, None);
        return;
    }
    let template = &deployment["spec"]["template"]["metadata"];
    let ended = json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": { "labels": template["labels"], "annotations": template["annotations"] },
        "status": { "containerStatuses": [{
            "name": "generator", "ready": false, "restartCount": 2, "image": "i", "imageID": "i",
            "state": { "waiting": { "reason": "CrashLoopBackOff" } },
            "lastState": { "terminated": { "exitCode": 0 } },
        }]},
    });
    let _ = store.delete(&pod, None);
    let _ = store.create(pod, ended);
}

/// Nothing but the garbage collector works.
pub(crate) fn nothing(store: &mut Store) {
    loop {
        let before = store.version;
        collect_garbage(store);
        if store.version == before {
            return;
        }
    }
}

/// Jobs give up, all else works.
pub(crate) fn failing_jobs(store: &mut Store) {
    loop {
        let before = store.version;
        deployments(store);
        jobs(
            store,
            |_| json!({"failed": 3, "conditions": [condition("Failed")]}),
        );
        collect_garbage(store);
        if store.version == before {
            return;
        }
    }
}

fn condition(kind: &str) -> Value {
    json!({"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

fn each(store: &mut Store, plural: &str, change: impl Fn(&mut Value)) {
    let keys: Vec<Key> = store
        .objects
        .keys()
        .filter(|key| key.1 == plural)
        .cloned()
        .collect();
    for key in keys {
        let mut object = store.objects[&key].clone();
        change(&mut object);
        store.put(key, object);
    }
}

fn deployments(store: &mut Store) {
    each(store, "deployments", |object| {
        let replicas = object["spec"]["replicas"].clone();
        let observed = object["status"]["observedGeneration"].clone();
        if observed != object["metadata"]["generation"] || object["status"]["replicas"] != replicas {
            object["status"] = json!({
                "observedGeneration": object["metadata"]["generation"],
                "replicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas, "readyReplicas": replicas,
            });
        }
    });
}

fn jobs(store: &mut Store, status: impl Fn(&Value) -> Value) {
    each(store, "jobs", |object| {
        if object["status"].is_null() {
            object["status"] = status(object);
        }
    });
}

fn collect_garbage(store: &mut Store) {
    let uids: Vec<String> = store
        .objects
        .values()
        .filter_map(|object| object["metadata"]["uid"].as_str())
        .map(str::to_owned)
        .collect();
    let orphans: Vec<Key> = store
        .objects
        .iter()
        .filter(|(_, object)| {
            let owners = object["metadata"]["ownerReferences"].as_array();
            owners.is_some_and(|owners| {
                owners
                    .iter()
                    .all(|owner| !uids.iter().any(|uid| owner["uid"] == *uid))
            })
        })
        .map(|(key, _)| key.clone())
        .collect();
    for key in orphans {
        let _ = store.delete(&key, None);
    }
}
