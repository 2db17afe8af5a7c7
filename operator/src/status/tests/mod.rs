//! The status of a pipeline in each situation.

mod changes;
mod conditions;
mod figures;
mod models;

use std::time::Duration;

use ::kafka::lag::{PartitionLag, Range};
use api::crd::StreamPipelineStatus;
use tokio::time::Instant;

use super::*;
use crate::kafka::{KafkaError, KafkaErrorKind, KafkaObservation, KafkaReading};
use crate::pods::PodSummary;
use crate::testing::valid;
use crate::validate::Valid;
use crate::watch::live::{CronJobState, DeploymentState, JobState};

struct Situation {
    valid: Valid,
    kafka: KafkaObservation,
    job: Option<JobState>,
    pods: PodSummary,
    worker: Option<DeploymentState>,
    generator: Option<DeploymentState>,
    models: Vec<ObservedModel>,
    current: bool,
    complete: bool,
    blocker: Option<Blocker>,
    now: Instant,
}

fn running(replicas: i32) -> DeploymentState {
    DeploymentState {
        wanted: replicas,
        replicas,
        updated: replicas,
        available: replicas,
        observed_generation: 1,
        replicas_set_by: None,
    }
}

fn reading(at: Instant, stored: i64, end: i64, report: &str) -> KafkaReading {
    let partition = PartitionLag {
        partition: 0,
        range: Some(Range { start: 0, end }),
        committed: Some(stored),
        metadata: (!report.is_empty()).then(|| report.to_owned()),
    };
    KafkaReading::new(at, &[("plays".to_owned(), vec![partition])])
}

/// A pipeline at work: topics, tables, a worker, a generator, everything stored.
fn at_work(more: &str) -> Situation {
    let now = Instant::now();
    let mut kafka = KafkaObservation {
        topics: Some(Ok(vec![4])),
        ..KafkaObservation::default()
    };
    kafka
        .history
        .push(reading(now, 100, 100, r#"{"n":{"stored":90},"d":10}"#));
    Situation {
        valid: valid(&format!("generator: {{music: {{}}, rate: 5}}\n  {more}")),
        kafka,
        job: Some(JobState {
            complete: true,
            failed: false,
        }),
        pods: PodSummary::default(),
        worker: Some(running(2)),
        generator: Some(running(1)),
        models: Vec::new(),
        current: true,
        complete: false,
        blocker: None,
        now,
    }
}

impl Situation {
    fn status(&self) -> StreamPipelineStatus {
        self.status_after(&StreamPipelineStatus::default())
    }

    fn status_after(&self, previous: &StreamPipelineStatus) -> StreamPipelineStatus {
        let workload = |state: &Option<DeploymentState>| Workload {
            state: state.clone(),
            generation: 1,
            current: self.current,
            wanted: state.as_ref().map_or(0, |state| state.wanted as u32),
            pods: &self.pods,
        };
        let input = StatusInput {
            generation: Some(3),
            valid: &self.valid,
            blocker: self.blocker.clone(),
            kafka: &self.kafka,
            interval: Duration::from_secs(10),
            job: self.job.clone(),
            retry_in: None,
            job_pods: &self.pods,
            worker: workload(&self.worker),
            generator: workload(&self.generator),
            models: self.models.clone(),
            complete: self.complete,
            scaling: None,
            now: self.now,
            time: Timestamp::from_second(1000).unwrap(),
        };
        status(&input, previous)
    }

    /// Conditions as `Ready=True RowsFlow`, only those asked for.
    fn conditions(&self, kinds: &[&str]) -> Vec<String> {
        let status = self.status();
        let find = |kind: &&str| {
            status
                .conditions
                .iter()
                .find(|condition| condition.type_ == **kind)
                .unwrap()
                .clone()
        };
        kinds
            .iter()
            .map(find)
            .map(|condition| format!("{}={} {}", condition.type_, condition.status, condition.reason))
            .collect()
    }

    fn message(&self, kind: &str) -> String {
        self.status()
            .conditions
            .iter()
            .find(|condition| condition.type_ == kind)
            .unwrap()
            .message
            .clone()
    }

    fn phase(&self) -> String {
        self.status().phase.unwrap()
    }
}
