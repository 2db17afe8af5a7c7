//! What is stored, as JSON: to be kept in a file, and to go on from.

use serde_json::{Value, json};

use crate::store::{Key, Store};

impl Store {
    /// An entry for each object, and for what each manager has applied of it. Events and leases are left out.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Value> {
        let kept = |key: &Key| key.1 != "events" && key.1 != "leases";
        let objects = self.objects.iter().filter(|(key, _)| kept(key));
        let objects = objects.map(|(key, object)| json!({"key": key, "object": object}));
        let applied = self.applied.iter().filter(|((key, _, _), _)| kept(key));
        let applied = applied.map(|((key, manager, status), object)| {
            json!({"key": key, "manager": manager, "status": status, "applied": object})
        });
        objects.chain(applied).collect()
    }

    /// The store of a [`snapshot`](Self::snapshot). Watches have to begin anew, and controllers have seen all of it.
    #[must_use]
    pub fn restore(snapshot: impl IntoIterator<Item = Value>) -> Self {
        let mut store = Self::default();
        for mut entry in snapshot {
            let key = key(&entry["key"]);
            if let Some(manager) = entry["manager"].as_str() {
                let id = (key, manager.to_owned(), entry["status"] == true);
                store.applied.insert(id, entry["applied"].take());
                continue;
            }
            let object = entry["object"].take();
            let version = object["metadata"]["resourceVersion"].as_str().unwrap();
            store.version = store.version.max(version.parse().unwrap());
            let uid = object["metadata"]["uid"].as_str().unwrap();
            store.uids = store.uids.max(uid.trim_start_matches("uid-").parse().unwrap());
            store.living.insert(uid.to_owned());
            store.objects.insert(key, object);
        }
        store.oldest = store.version;
        store.played = store.version;
        store
    }
}

fn key(value: &Value) -> Key {
    let part = |index: usize| value[index].as_str().unwrap().to_owned();
    (part(0), part(1), part(2), part(3))
}
