//! Events about pipelines. What happens again soon counts the first event of it up, as Kubernetes' own components do; of
//! an event no more is remembered than that takes, since a thousand pipelines emit many when they start.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use api::StreamPipeline;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;

use crate::names::OPERATOR;
use crate::status::Transition;

/// What happens again after so long is another event.
const SERIES: SignedDuration = SignedDuration::from_mins(6);

/// Kubernetes takes no longer notes.
const NOTE: usize = 1000;

/// Emits events, and remembers those of the last minutes.
pub(crate) struct Events {
    client: Client,
    instance: String,
    series: Mutex<HashMap<SeriesKey, Series>>,
}

/// What the events of a series have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SeriesKey {
    uid: String,
    action: String,
    reason: String,
    warning: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Series {
    /// The first event's.
    name: String,
    count: i32,
    last: Timestamp,
}

impl Events {
    /// `instance` is this process.
    #[must_use]
    pub(crate) fn new(client: Client, instance: String) -> Self {
        Self {
            client,
            instance,
            series: Mutex::default(),
        }
    }

    pub(crate) async fn emit(
        &self,
        pipeline: &StreamPipeline,
        transition: &Transition,
        now: Timestamp,
    ) -> Result<(), kube::Error> {
        let key = SeriesKey {
            uid: pipeline.uid().unwrap_or_default(),
            action: transition.kind.clone(),
            reason: transition.reason.clone(),
            warning: transition.warning,
        };
        let known = self.counted_up(&key, now);
        let namespace = pipeline.namespace().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        if let Some(series) = &known {
            let patch = json!({ "series": { "count": series.count, "lastObservedTime": MicroTime(now) } });
            let parameters = PatchParams::default();
            match api.patch(&series.name, &parameters, &Patch::Merge(patch)).await {
                // It is gone: another is created.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                outcome => {
                    self.series().insert(key, series.clone());
                    return outcome.map(drop);
                }
            }
        }
        let event = self.event(pipeline, transition, now);
        let series = Series {
            name: event.name_any(),
            count: 1,
            last: now,
        };
        api.create(&PostParams::default(), &event).await?;
        self.series().insert(key, series);
        Ok(())
    }

    /// The series to which what happens belongs, with its new count. Old ones are forgotten.
    fn counted_up(&self, key: &SeriesKey, now: Timestamp) -> Option<Series> {
        let mut all = self.series();
        // Looking through all of them each time would be work that grows with the square of the pipelines.
        if all.len() == all.capacity() {
            all.retain(|_, series| series.last + SERIES > now);
        }
        let series = all.get(key).filter(|series| series.last + SERIES > now)?;
        Some(Series {
            count: series.count + 1,
            last: now,
            ..series.clone()
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

    fn series(&self) -> MutexGuard<'_, HashMap<SeriesKey, Series>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
