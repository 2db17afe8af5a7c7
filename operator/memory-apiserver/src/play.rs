//! What Kubernetes' own controllers would do, at once: Deployments become ready, Jobs complete, and what has no owner
//! any more goes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::store::{Key, Store};

/// Everything works.
pub fn well(store: &mut Store) {
    each_change(store, |store, changed| {
        deployments(store, changed);
        jobs(
            store,
            changed,
            &json!({"succeeded": 1, "conditions": [condition("Complete")]}),
        );
    });
}

/// Jobs give up, all else works.
pub fn failing_jobs(store: &mut Store) {
    each_change(store, |store, changed| {
        deployments(store, changed);
        jobs(
            store,
            changed,
            &json!({"failed": 3, "conditions": [condition("Failed")]}),
        );
    });
}

/// Nothing but the garbage collector works. Whoever plays next sees all that was changed meanwhile.
pub fn nothing(store: &mut Store) {
    let played = store.played;
    each_change(store, |_, _| ());
    store.played = played;
}

/// Looks at what has changed, until nothing changes any more.
fn each_change(store: &mut Store, act: impl Fn(&mut Store, &BTreeSet<Key>)) {
    while store.played < store.version {
        let (changed, gone) = store.changed_since(store.played);
        store.played = store.version;
        act(store, &changed);
        collect_garbage(store, &changed, gone);
    }
}

fn condition(kind: &str) -> Value {
    json!({"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

fn each(store: &mut Store, changed: &BTreeSet<Key>, plural: &str, change: impl Fn(&mut Value)) {
    for key in changed.iter().filter(|key| key.1 == plural) {
        let Some(mut object) = store.objects.get(key).cloned() else {
            continue;
        };
        change(&mut object);
        store.put(key.clone(), object);
    }
}

fn deployments(store: &mut Store, changed: &BTreeSet<Key>) {
    each(store, changed, "deployments", |object| {
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

fn jobs(store: &mut Store, changed: &BTreeSet<Key>, status: &Value) {
    each(store, changed, "jobs", |object| {
        if object["status"].is_null() {
            object["status"] = status.clone();
        }
    });
}

/// What all owners of are gone goes: of what was changed, or of everything if something `gone` may have been an owner.
fn collect_garbage(store: &mut Store, changed: &BTreeSet<Key>, gone: bool) {
    let orphaned = |key: &Key| {
        let owners = store.objects.get(key)?["metadata"]["ownerReferences"].as_array()?;
        let lives = |owner: &Value| {
            owner["uid"]
                .as_str()
                .is_some_and(|uid| store.living.contains(uid))
        };
        (!owners.iter().any(lives)).then(|| key.clone())
    };
    let orphans: Vec<Key> = if gone {
        store.objects.keys().filter_map(orphaned).collect()
    } else {
        changed.iter().filter_map(orphaned).collect()
    };
    for key in orphans {
        let _ = store.delete(&key, None);
    }
}
