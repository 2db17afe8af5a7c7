//! Which objects were applied, so that none is applied twice. It is lost with the process: the next one applies
//! everything once, which changes nothing in the cluster.

use std::collections::{BTreeMap, HashMap};

use crate::kind::Kind;
use crate::objects::Desired;
use crate::watch::live::LiveObject;

/// The objects of one pipeline, by kind and name.
#[derive(Debug, Clone, Default)]
pub(crate) struct AppliedObjects(HashMap<(Kind, String), Applied>);

#[derive(Debug, Clone)]
struct Applied {
    hash: String,
    uid: String,
    /// Version that the object had before, as far as was known; a watch that lags still shows it.
    before: Option<String>,
    /// Version that it had afterwards.
    after: String,
}

impl AppliedObjects {
    /// Whether the cluster has the object as it should be, as far as can be seen.
    #[must_use]
    pub(crate) fn is_current(&self, desired: &Desired, live: Option<&LiveObject>) -> bool {
        let Some(applied) = self.0.get(&(desired.kind, desired.name.clone())) else {
            return false;
        };
        if applied.hash != desired.hash {
            return false;
        }
        match live {
            // A watch that has not seen it yet, or an object that is gone: it was made a moment ago only if nothing was
            // there before.
            None => false,
            Some(live) if live.uid != applied.uid || live.deleting => false,
            Some(live) => {
                let version = live.version();
                let seen = version == applied.after || Some(&version) == applied.before.as_ref();
                seen && has_metadata(desired, live)
            }
        }
    }

    pub(crate) fn remember(&mut self, desired: &Desired, before: Option<&LiveObject>, after: &LiveObject) {
        let applied = Applied {
            hash: desired.hash.clone(),
            uid: after.uid.clone(),
            before: before.map(LiveObject::version),
            after: after.version(),
        };
        self.0.insert((desired.kind, desired.name.clone()), applied);
    }

    /// The generation that an object got when it was applied.
    #[must_use]
    pub(crate) fn generation(&self, desired: &Desired) -> Option<i64> {
        self.0
            .get(&(desired.kind, desired.name.clone()))?
            .after
            .parse()
            .ok()
    }

    pub(crate) fn forget(&mut self, kind: Kind, name: &str) {
        self.0.remove(&(kind, name.to_owned()));
    }
}

/// Labels and annotations do not raise a generation.
fn has_metadata(desired: &Desired, live: &LiveObject) -> bool {
    let has = |member: &str, there: &BTreeMap<String, String>| {
        desired
            .body
            .pointer(&format!("/metadata/{member}"))
            .and_then(serde_json::Value::as_object)
            .is_none_or(|wanted| {
                wanted
                    .iter()
                    .all(|(key, value)| there.get(key).map(String::as_str) == value.as_str())
            })
    };
    has("labels", &live.labels) && has("annotations", &live.annotations)
}
