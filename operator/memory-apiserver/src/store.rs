//! The objects: versions, server-side apply, deletion, and the log that watches read.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::{Map, Value, json};

/// Group, plural, namespace, name.
pub type Key = (String, String, String, String);

/// Changes that are kept for watches; who asks for older ones has to list anew.
const KEPT: usize = 4096;

/// A change, for watches.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) key: Key,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

/// An answer that is no success: code, reason and message.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused(
    /// HTTP's code.
    pub u16,
    pub &'static str,
    pub String,
);

#[derive(Default)]
pub struct Store {
    pub objects: BTreeMap<Key, Value>,
    pub(crate) log: Vec<Change>,
    /// Of the last change.
    pub version: u64,
    /// Watches from before this version are told that they are too old.
    pub(crate) oldest: u64,
    /// Controllers have looked at all changes up to this version.
    pub(crate) played: u64,
    /// Uids of what is there.
    pub(crate) living: HashSet<String>,
    pub(crate) uids: u64,
    /// What each manager applied last.
    pub(crate) applied: BTreeMap<(Key, String, bool), Value>,
    /// How often each was created.
    pub created: BTreeMap<Key, u32>,
    /// How often each was deleted.
    pub deleted: BTreeMap<Key, u32>,
}

/// Puts a merge patch into `target`.
pub fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (name, value) in patch {
                if value.is_null() {
                    target.remove(name);
                } else {
                    merge(target.entry(name.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (target, patch) => *target = without_nulls(patch),
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), without_nulls(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// Takes away what was applied before and is not any more.
fn remove_dropped(target: &mut Value, old: &Value, new: &Value) {
    let (Value::Object(target), Value::Object(old)) = (target, old) else {
        return;
    };
    for (name, old) in old {
        match new.get(name) {
            Some(new) => {
                if let Some(target) = target.get_mut(name) {
                    remove_dropped(target, old, new);
                }
            }
            None => drop(target.remove(name)),
        }
    }
}

impl Store {
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    /// Makes an object that is not there.
    pub fn create(&mut self, key: Key, mut object: Value) -> Result<Value, Refused> {
        if self.objects.contains_key(&key) {
            return Err(Refused(409, "AlreadyExists", format!("{} exists", key.3)));
        }
        self.uids += 1;
        let kind = object["kind"].clone();
        object["metadata"]["name"] = json!(key.3);
        if !key.2.is_empty() {
            object["metadata"]["namespace"] = json!(key.2);
        }
        let uid = format!("uid-{}", self.uids);
        object["metadata"]["uid"] = json!(uid);
        self.living.insert(uid);
        object["metadata"]["generation"] = json!(1);
        // As old as it is high: enough for an order.
        let second = self.uids % 60;
        object["metadata"]["creationTimestamp"] = json!(format!("2026-01-01T00:00:{second:02}Z"));
        if kind == "StreamPipeline" {
            object.as_object_mut().unwrap().remove("status");
        }
        *self.created.entry(key.clone()).or_default() += 1;
        Ok(self.put(key, object))
    }

    /// Stores `object` if it differs from what is there.
    pub fn put(&mut self, key: Key, mut object: Value) -> Value {
        let before = self.objects.get(&key).cloned();
        if let Some(before) = &before {
            object["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
            object["metadata"]["generation"] = before["metadata"]["generation"].clone();
            if *before == object {
                return object;
            }
            let wanted = |object: &Value| {
                let mut object = object.clone();
                let members = object.as_object_mut().unwrap();
                members.remove("status");
                members.remove("metadata");
                object
            };
            let deletion = before["metadata"]["deletionTimestamp"] != object["metadata"]["deletionTimestamp"];
            if wanted(before) != wanted(&object) || deletion {
                let generation = before["metadata"]["generation"].as_i64().unwrap();
                object["metadata"]["generation"] = json!(generation + 1);
            }
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let finalizers = object["metadata"]["finalizers"]
            .as_array()
            .is_some_and(|list| !list.is_empty());
        let gone = !object["metadata"]["deletionTimestamp"].is_null() && !finalizers;
        if gone {
            self.objects.remove(&key);
            self.living
                .remove(object["metadata"]["uid"].as_str().unwrap_or_default());
            self.applied.retain(|(other, _, _), _| *other != key);
            *self.deleted.entry(key.clone()).or_default() += 1;
        } else {
            self.objects.insert(key.clone(), object.clone());
        }
        self.log.push(Change {
            version: self.version,
            key,
            before,
            after: (!gone).then(|| object.clone()),
        });
        self.compact();
        object
    }

    fn compact(&mut self) {
        if self.log.len() < 2 * KEPT {
            return;
        }
        let old: Vec<Change> = self.log.drain(..KEPT).collect();
        self.oldest = self.oldest.max(old.last().map_or(0, |change| change.version));
    }

    /// Server-side apply by `manager`.
    pub fn apply(&mut self, key: Key, patch: &Value, manager: &str, status: bool) -> Result<Value, Refused> {
        let patch = without_nulls(patch);
        if let (Some(live), Some(uid)) = (self.objects.get(&key), patch["metadata"]["uid"].as_str())
            && live["metadata"]["uid"] != uid
        {
            return Err(Refused(409, "Conflict", "another uid".to_owned()));
        }
        let mut meant = patch.clone();
        if let Some(metadata) = meant["metadata"].as_object_mut() {
            metadata.remove("uid");
        }
        let id = (key.clone(), manager.to_owned(), status);
        if !self.objects.contains_key(&key) {
            if status {
                return Err(Refused(404, "NotFound", format!("{} not found", key.3)));
            }
            let created = self.create(key, meant.clone())?;
            self.applied.insert(id, meant);
            return Ok(created);
        }
        let mut object = self.objects[&key].clone();
        // The status, and everything else, are written by different requests.
        let members: Vec<&str> = if status {
            vec!["status"]
        } else {
            vec!["metadata", "spec", "data"]
        };
        let old = self.applied.get(&id).cloned().unwrap_or(json!({}));
        let all = meant
            .as_object()
            .unwrap()
            .keys()
            .chain(old.as_object().unwrap().keys());
        let touched: Vec<String> = all
            .filter(|name| {
                if status {
                    members.contains(&name.as_str())
                } else {
                    *name != "status"
                }
            })
            .cloned()
            .collect();
        for name in touched {
            remove_dropped(&mut object[&name], &old[&name], &meant[&name]);
            if let Some(new) = meant.get(&name) {
                merge(&mut object[&name], new);
            }
        }
        self.applied.insert(id, meant);
        Ok(self.put(key, object))
    }

    pub fn merge_patch(&mut self, key: Key, patch: &Value, status: bool) -> Result<Value, Refused> {
        let Some(live) = self.objects.get(&key) else {
            return Err(Refused(404, "NotFound", format!("{} not found", key.3)));
        };
        if let Some(version) = patch["metadata"]["resourceVersion"].as_str()
            && live["metadata"]["resourceVersion"] != version
        {
            return Err(Refused(
                409,
                "Conflict",
                "the object has been modified".to_owned(),
            ));
        }
        let mut object = live.clone();
        let mut patch = patch.clone();
        if !status && key.1 == "streampipelines" {
            patch.as_object_mut().unwrap().remove("status");
        }
        merge(&mut object, &patch);
        Ok(self.put(key, object))
    }

    /// Deletes an object, or marks it if it has finalizers.
    pub fn delete(&mut self, key: &Key, uid: Option<&str>) -> Result<Value, Refused> {
        let Some(live) = self.objects.get(key) else {
            return Err(Refused(404, "NotFound", format!("{} not found", key.3)));
        };
        if uid.is_some_and(|uid| live["metadata"]["uid"] != uid) {
            return Err(Refused(409, "Conflict", "another uid".to_owned()));
        }
        let mut object = live.clone();
        if object["metadata"]["deletionTimestamp"].is_null() {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        Ok(self.put(key.clone(), object))
    }

    /// The objects that `wanted` names, as they were at a version.
    pub(crate) fn at(&self, version: u64, wanted: impl Fn(&Key) -> bool) -> Vec<Value> {
        let now = self.objects.iter().filter(|(key, _)| wanted(key));
        if version >= self.version {
            return now.map(|(_, object)| object.clone()).collect();
        }
        let mut objects: BTreeMap<&Key, &Value> = now.collect();
        let later = self
            .log
            .iter()
            .rev()
            .take_while(|change| change.version > version);
        for change in later.filter(|change| wanted(&change.key)) {
            match &change.before {
                Some(before) => drop(objects.insert(&change.key, before)),
                None => drop(objects.remove(&change.key)),
            }
        }
        objects.into_values().cloned().collect()
    }

    /// What has changed since a version, and whether anything went.
    pub(crate) fn changed_since(&self, version: u64) -> (BTreeSet<Key>, bool) {
        let first = self.log.partition_point(|change| change.version <= version);
        let changes = self.log.get(first..).unwrap_or_default();
        let gone = changes.iter().any(|change| change.after.is_none());
        (changes.iter().map(|change| change.key.clone()).collect(), gone)
    }
}
