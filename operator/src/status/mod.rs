//! From what was observed to what the pipeline's status says. No I/O; the clock is an argument.

mod conditions;
mod models;
mod parts;
mod surplus;
#[cfg(test)]
mod tests;

use std::time::Duration;

use api::crd::{Reserved, StreamPipelineStatus, TopicStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

pub(crate) use conditions::{SINK_SATURATED, Said, Truth};
pub use conditions::{Transition, transitions};
pub use models::ModelSeen;

use crate::kafka::Seen;
use crate::objects::{Role, selector_text};
use crate::reconcile::dereference::PodsSeen;
use crate::scaling;
use crate::validate::Valid;
use crate::watch::index::{DeploymentState, JobState};

/// Everything that a status is made from.
#[derive(Debug)]
pub struct Observed<'a> {
    /// The manifest's generation.
    pub generation: Option<i64>,
    /// The pipeline; `None` if its manifest cannot be used.
    pub valid: Option<&'a Valid>,
    /// Why it does not go on, if it does not: a reason and a sentence.
    pub obstacle: Option<Obstacle>,
    /// Kafka.
    pub kafka: &'a Seen,
    /// From one look at Kafka to the next.
    pub interval: Duration,
    /// The Job for the present manifest.
    pub job: Option<JobState>,
    /// The Job that has given up is tried again after this.
    pub retry_in: Option<Duration>,
    /// Its pods, if it has given up or hesitates.
    pub job_pods: &'a PodsSeen,
    /// The workers.
    pub worker: Workload<'a>,
    /// The generator.
    pub generator: Workload<'a>,
    /// The models.
    pub models: Vec<ModelSeen>,
    /// The generator's configuration has produced all that it was to produce.
    pub complete: bool,
    /// What the scaler has decided.
    pub scaling: Option<Reserved>,
    /// Now, for measuring.
    pub now: Instant,
    /// Now, for telling.
    pub time: Timestamp,
}

/// A Deployment as it was observed.
#[derive(Debug, Clone)]
pub struct Workload<'a> {
    /// How far it is; `None` if it is not there.
    pub state: Option<DeploymentState>,
    /// Its generation.
    pub generation: i64,
    /// Whether it has been given what the manifest says now.
    pub current: bool,
    /// Pods that it should have now.
    pub wanted: u32,
    /// Its pods, if it is not as it should be.
    pub pods: &'a PodsSeen,
}

/// Why a pipeline does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// One word in CamelCase.
    pub reason: &'static str,
    /// What is wrong and what would do.
    pub message: String,
}

impl Workload<'_> {
    /// It has the newest template, everywhere, and all pods that it should have.
    fn rolled_out(&self) -> bool {
        self.current
            && self.state.as_ref().is_some_and(|state| {
                state.observed_generation >= self.generation
                    && state.updated == state.wanted
                    && state.replicas == state.updated
                    && state.available >= state.wanted
            })
    }

    /// It has the newest template, and at least one pod of it works while the others come or go.
    fn serves(&self) -> bool {
        self.current
            && self.state.as_ref().is_some_and(|state| {
                let old = (state.replicas - state.updated).max(0);
                state.observed_generation >= self.generation && state.available > old
            })
    }

    /// The newest state that the Deployment's controller tells of.
    #[must_use]
    pub fn available(&self) -> i32 {
        self.state.as_ref().map_or(0, |state| state.available)
    }
}

/// The status that follows from what was observed. `previous` is what stood there: times of transitions are kept
/// where nothing has changed.
#[must_use]
pub fn status(observed: &Observed<'_>, previous: &StreamPipelineStatus) -> StreamPipelineStatus {
    let Some(valid) = observed.valid else {
        return refused(observed, previous);
    };
    let parts = parts::parts(observed, valid);
    let phase = parts.phase(observed, valid);
    let name = valid.pipeline.name.as_str();
    let mut said = parts.said();
    said.extend(models::said(observed, valid));
    said.extend(scaling::sink(observed.scaling.as_ref(), &previous.conditions));
    let mut status = StreamPipelineStatus {
        phase: Some(phase.to_owned()),
        observed_generation: observed.generation,
        workers: Some(observed.worker.state.as_ref().map_or(0, |state| state.replicas)),
        desired_workers: Some(observed.worker.wanted as i32),
        selector: Some(selector_text(name, Role::Worker)),
        conditions: conditions::merge(
            said,
            &previous.conditions,
            observed.generation,
            &Time(observed.time),
        ),
        scaling: observed.scaling.clone(),
        models: models::statuses(&observed.models),
        ..StreamPipelineStatus::default()
    };
    readings(observed, valid, &mut status);
    status
}

/// Nothing is known but that: what ran goes on, so its numbers stay.
fn refused(observed: &Observed<'_>, previous: &StreamPipelineStatus) -> StreamPipelineStatus {
    let mut status = previous.clone();
    status.phase = Some("Invalid".to_owned());
    status.observed_generation = observed.generation;
    let obstacle = observed.obstacle.clone().unwrap_or(Obstacle {
        reason: "InvalidManifest",
        message: "the manifest cannot be used".to_owned(),
    });
    let said = Said::new("Ready", Truth::False, obstacle.reason, obstacle.message);
    status.conditions = conditions::merge_some(
        vec![said],
        &previous.conditions,
        observed.generation,
        &Time(observed.time),
    );
    status
}

fn readings(observed: &Observed<'_>, valid: &Valid, status: &mut StreamPipelineStatus) {
    let history = &observed.kafka.history;
    let partitions = |index: usize| match &observed.kafka.topics {
        Some(Ok(partitions)) => partitions.get(index).copied(),
        _ => None,
    };
    let fresh = parts::fresh(observed);
    status.topics = valid
        .pipeline
        .topics
        .iter()
        .enumerate()
        .map(|(index, topic)| {
            let reading = fresh.and_then(|reading| reading.topics.get(index));
            TopicStatus {
                name: topic.name.to_string(),
                partitions: reading
                    .map(|reading| reading.partitions)
                    .or_else(|| partitions(index)),
                lag: reading.and_then(|reading| reading.lag).map(count),
                lag_seconds: reading.and_then(|_| history.lag_seconds(index)).map(rounded),
            }
        })
        .collect();
    let Some(last) = history.last() else { return };
    // Sums over all time stay true when Kafka is away; what is about this moment does not.
    status.rows = last
        .rows
        .iter()
        .map(|(table, rows)| (table.clone(), count(*rows)))
        .collect();
    if last.reports > 0 {
        status.dead_letters = Some(count(last.dead_letters));
        if valid.pipeline.generator.is_some() {
            status.audit = Some(parts::audit_text(&last.audit));
        }
    }
    if fresh.is_some() {
        status.lag = last.lag().map(count);
        status.rate = history.rate().map(rounded);
        let seconds = status.topics.iter().map(|topic| topic.lag_seconds);
        status.lag_seconds = seconds
            .collect::<Option<Vec<f64>>>()
            .map(|all| all.into_iter().fold(0.0, f64::max));
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Three digits are as many as mean something; a number that hardly changes is not written again and again.
fn rounded(number: f64) -> f64 {
    if number == 0.0 || !number.is_finite() {
        return 0.0;
    }
    let digits = 2 - number.abs().log10().floor() as i32;
    let scale = 10_f64.powi(digits.min(3));
    (number * scale).round() / scale
}
