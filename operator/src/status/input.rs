//! What a status is made from.

use std::time::Duration;

use api::crd::Reserved;
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use crate::kafka::{KafkaObservation, KafkaReading};
use crate::pods::PodSummary;
use crate::validate::Valid;
use crate::watch::live::{CronJobState, DeploymentState, JobState};

/// Everything that a status is made from.
#[derive(Debug)]
pub(crate) struct StatusInput<'a> {
    /// The manifest's.
    pub(crate) generation: Option<i64>,
    pub(crate) valid: &'a Valid,
    pub(crate) blocker: Option<Blocker>,
    pub(crate) kafka: &'a KafkaObservation,
    /// From one reading of Kafka to the next.
    pub(crate) interval: Duration,
    /// The Job for the present manifest.
    pub(crate) job: Option<JobState>,
    /// The Job that has given up is tried again after this.
    pub(crate) retry_in: Option<Duration>,
    /// The Job's pods, if it has given up or hesitates.
    pub(crate) job_pods: &'a PodSummary,
    pub(crate) worker: Workload<'a>,
    pub(crate) generator: Workload<'a>,
    pub(crate) models: Vec<ObservedModel>,
    /// The generator's configuration has produced all that it was to produce.
    pub(crate) complete: bool,
    /// `status.scaling` from now on.
    pub(crate) scaling: Option<Reserved>,
    /// Now, for measuring.
    pub(crate) now: Instant,
    /// Now, for people.
    pub(crate) time: Timestamp,
}

/// A Deployment as it was observed.
#[derive(Debug, Clone)]
pub(crate) struct Workload<'a> {
    /// `None` if it is not there.
    pub(crate) state: Option<DeploymentState>,
    /// The one that it got when it was applied last; 0 before that.
    pub(crate) generation: i64,
    /// Whether it has been given what the manifest says now.
    pub(crate) current: bool,
    /// Pods that it should have now.
    pub(crate) wanted: u32,
    /// Empty if it is as it should be.
    pub(crate) pods: &'a PodSummary,
}

/// A model with its CronJob, if that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObservedModel {
    pub(crate) name: String,
    pub(crate) state: Option<CronJobState>,
}

/// Why a pipeline does not go on: a reason in CamelCase; what is wrong and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blocker {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl StatusInput<'_> {
    /// The last reading of Kafka, if it is not older than three may take.
    pub(super) fn fresh_reading(&self) -> Option<&KafkaReading> {
        let last = self.kafka.history.last()?;
        let age = self.now.saturating_duration_since(last.at);
        (age <= self.interval * 3 + Duration::from_secs(5)).then_some(last)
    }
}

impl Workload<'_> {
    /// It has the newest template, everywhere, and all pods that it should have.
    pub(super) fn rolled_out(&self) -> bool {
        self.current
            && self.state.as_ref().is_some_and(|state| {
                state.observed_generation >= self.generation
                    && state.updated == state.wanted
                    && state.replicas == state.updated
                    && state.available >= state.wanted
            })
    }

    /// It has the newest template, and at least one pod of it works while the others come or go.
    pub(super) fn serves(&self) -> bool {
        self.current
            && self.state.as_ref().is_some_and(|state| {
                let old = (state.replicas - state.updated).max(0);
                state.observed_generation >= self.generation && state.available > old
            })
    }

    /// Pods that are ready, as far as the Deployment's controller knows.
    pub(super) fn available(&self) -> i32 {
        self.state.as_ref().map_or(0, |state| state.available)
    }
}
