//! Whether the process works (liveness) and whether it can do its task right now (readiness).
//!
//! A component that must not stall beats its [`Heartbeat`]; one that depends on something outside sets its
//! [`Condition`]. Liveness fails only for a stall that a restart would cure, never because a server is away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The health of one process; a cheap handle to shared state.
#[derive(Debug, Clone, Default)]
pub struct Health {
    state: Arc<Mutex<State>>,
}

/// Shows that a component still goes round its loop; ends being watched when dropped.
#[derive(Debug)]
pub struct Heartbeat {
    health: Health,
    component: String,
}

/// States whether one thing that the process needs is there; forgotten when dropped.
#[derive(Debug)]
pub struct Condition {
    health: Health,
    component: String,
}

#[derive(Debug, Default)]
struct State {
    beats: BTreeMap<String, Beat>,
    conditions: BTreeMap<String, Result<(), String>>,
}

#[derive(Debug, Clone, Copy)]
struct Beat {
    last: Instant,
    max_age: Duration,
}

impl Health {
    /// Nothing is watched yet: alive and ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Watches `component`: it beats at least every `max_age`, from now on, or the process is not alive.
    #[must_use]
    pub fn heartbeat(&self, component: &str, max_age: Duration) -> Heartbeat {
        self.lock().beats.insert(
            component.to_owned(),
            Beat {
                last: Instant::now(),
                max_age,
            },
        );
        Heartbeat {
            health: self.clone(),
            component: component.to_owned(),
        }
    }

    /// Adds the condition `component`, not met until it is set.
    #[must_use]
    pub fn condition(&self, component: &str) -> Condition {
        self.lock()
            .conditions
            .insert(component.to_owned(), Err("starting".to_owned()));
        Condition {
            health: self.clone(),
            component: component.to_owned(),
        }
    }

    /// `Err` has a line for each component whose beat is overdue at `now`.
    pub fn liveness(&self, now: Instant) -> Result<(), Vec<String>> {
        let overdue = |(component, beat): (&String, &Beat)| {
            let age = now.saturating_duration_since(beat.last);
            (age > beat.max_age).then(|| {
                format!(
                    "{component}: no sign of life for {:.1?}, allowed are {:.1?}",
                    age, beat.max_age
                )
            })
        };
        problems(self.lock().beats.iter().filter_map(overdue).collect())
    }

    /// `Err` has a line for each condition that is not met.
    pub fn readiness(&self) -> Result<(), Vec<String>> {
        let unmet = |(component, state): (&String, &Result<(), String>)| {
            state
                .as_ref()
                .err()
                .map(|reason| format!("{component}: {reason}"))
        };
        problems(self.lock().conditions.iter().filter_map(unmet).collect())
    }

    /// The state is plain values that no panic can leave half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heartbeat {
    /// The component is alive now.
    pub fn beat(&self) {
        self.beat_at(Instant::now());
    }

    fn beat_at(&self, now: Instant) {
        if let Some(beat) = self.health.lock().beats.get_mut(&self.component) {
            beat.last = now;
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.health.lock().beats.remove(&self.component);
    }
}

impl Condition {
    /// Met, or why not (one line, lower case, for people).
    pub fn set(&self, state: Result<(), String>) {
        self.health
            .lock()
            .conditions
            .insert(self.component.clone(), state);
    }
}

impl Drop for Condition {
    fn drop(&mut self) {
        self.health.lock().conditions.remove(&self.component);
    }
}

fn problems(lines: Vec<String>) -> Result<(), Vec<String>> {
    if lines.is_empty() { Ok(()) } else { Err(lines) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_without_a_beat_is_named_with_its_age() {
        let health = Health::new();
        let start = Instant::now();
        let consumer = health.heartbeat("consumer", Duration::from_secs(30));
        let writer = health.heartbeat("writer", Duration::from_mins(1));
        consumer.beat_at(start);
        writer.beat_at(start);

        assert_eq!(health.liveness(start + Duration::from_secs(30)), Ok(()));
        assert_eq!(
            health.liveness(start + Duration::from_secs(45)),
            Err(vec![
                "consumer: no sign of life for 45.0s, allowed are 30.0s".to_owned()
            ])
        );
        consumer.beat_at(start + Duration::from_secs(45));
        assert_eq!(health.liveness(start + Duration::from_mins(1)), Ok(()));
    }

    /// A component that has ended in order is not stalled.
    #[test]
    fn a_dropped_heartbeat_is_not_watched() {
        let health = Health::new();
        drop(health.heartbeat("consumer", Duration::ZERO));
        assert_eq!(health.liveness(Instant::now() + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn ready_means_that_every_condition_is_met() {
        let health = Health::new();
        assert_eq!(health.readiness(), Ok(()));
        let sink = health.condition("sink");
        let kafka = health.condition("kafka");
        assert_eq!(
            health.readiness(),
            Err(vec!["kafka: starting".to_owned(), "sink: starting".to_owned()])
        );
        kafka.set(Ok(()));
        sink.set(Err("connection refused".to_owned()));
        assert_eq!(
            health.readiness(),
            Err(vec!["sink: connection refused".to_owned()])
        );
        sink.set(Ok(()));
        assert_eq!(health.readiness(), Ok(()));
        sink.set(Err("gone".to_owned()));
        drop(sink);
        assert_eq!(health.readiness(), Ok(()));
    }
}
