//! Events about pipelines. What happens again soon counts the event up that told of it first, as Kubernetes' own
//! components do; of an event no more is remembered than that takes, since a thousand pipelines tell a lot when they start.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use api::StreamPipeline;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;

use crate::objects::OPERATOR;
use crate::status::Transition;

/// What happens again after so long is told anew.
const SERIES: SignedDuration = SignedDuration::from_mins(6);

/// Kubernetes takes no longer notes.
const NOTE: usize = 1000;

/// Tells events, and remembers what was told lately.
pub struct Events {
    client: Client,
    /// This process's name.
    instance: String,
    told: Mutex<HashMap<What, Told>>,
}

/// What the events of a series have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct What {
    uid: String,
    action: String,
    reason: String,
    warning: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    /// The event's.
    name: String,
    count: i32,
    last: Timestamp,
}

impl Events {
    /// Events are told by `instance`.
    #[must_use]
    pub fn new(client: Client, instance: String) -> Self {
        Self {
            client,
            instance,
            told: Mutex::default(),
        }
    }

    /// Tells of a transition at `now`.
    pub(crate) async fn tell(
        &self,
        pipeline: &StreamPipeline,
        transition: &Transition,
        now: Timestamp,
    ) -> Result<(), kube::Error> {
        let what = What {
            uid: pipeline.uid().unwrap_or_default(),
            action: transition.kind.clone(),
            reason: transition.reason.clone(),
            warning: transition.warning,
        };
        let known = self.known(&what, now);
        let namespace = pipeline.namespace().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        if let Some(told) = &known {
            let series = json!({ "series": { "count": told.count, "lastObservedTime": MicroTime(now) } });
            let parameters = PatchParams::default();
            match api.patch(&told.name, &parameters, &Patch::Merge(series)).await {
                // It is gone, and told anew.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                outcome => {
                    self.told().insert(what, told.clone());
                    return outcome.map(drop);
                }
            }
        }
        let event = self.event(pipeline, transition, now);
        let told = Told {
            name: event.name_any(),
            count: 1,
            last: now,
        };
        api.create(&PostParams::default(), &event).await?;
        self.told().insert(what, told);
        Ok(())
    }

    /// The event that is to be counted up, with its new count. Old ones are forgotten.
    fn known(&self, what: &What, now: Timestamp) -> Option<Told> {
        let mut told = self.told();
        // Looking through all of them each time would be work that grows with the square of the pipelines.
        if told.len() == told.capacity() {
            told.retain(|_, told| told.last + SERIES > now);
        }
        let told = told.get(what).filter(|told| told.last + SERIES > now)?;
        Some(Told {
            count: told.count + 1,
            last: now,
            ..told.clone()
        })
    }

    fn event(&self, pipeline: &StreamPipeline, transition: &Transition, now: Timestamp) -> Event {
        let kind = if transition.warning { "Warning" } else { "Normal" };
        Event {
            type_: Some(kind.to_owned()),
            action: Some(transition.kind.clone()),
            reason: Some(transition.reason.clone()),
            note: Some(transition.message.chars().take(NOTE).collect()),
            event_time: Some(MicroTime(now)),
            regarding: Some(pipeline.object_ref(&())),
            reporting_controller: Some(OPERATOR.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            metadata: ObjectMeta {
                namespace: pipeline.namespace(),
                // Several conditions may change at one instant.
                name: Some(format!(
                    "{}.{}.{:x}",
                    pipeline.name_any(),
                    transition.kind.to_lowercase(),
                    now.as_nanosecond()
                )),
                ..ObjectMeta::default()
            },
            ..Event::default()
        }
    }

    fn told(&self) -> MutexGuard<'_, HashMap<What, Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
