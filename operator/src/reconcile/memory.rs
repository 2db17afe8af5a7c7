//! What is remembered of each pipeline from one reconcile to the next.

use std::time::Duration;

use api::StreamPipeline;
use api::crd::StreamPipelineStatus;
use kube::ResourceExt;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::applied::AppliedObjects;
use super::rollout;
use crate::kafka::KafkaError;
use crate::scaling::PipelineScaler;
use crate::watch::live::JobState;

#[derive(Default)]
pub(crate) struct PipelineMemory {
    pub(crate) uid: String,
    pub(crate) applied: AppliedObjects,
    pub(crate) status: WrittenStatus,
    pub(crate) autoscaler: PipelineScaler,
    /// Jobs that have given up, one after the other.
    pub(crate) attempts: u32,
    /// When it was seen that the present one has: clocks of machines differ and jump, so theirs are not asked.
    pub(crate) gave_up: Option<Instant>,
    /// Reconciles that have failed, one after the other.
    pub(crate) failures: u32,
    pub(crate) cleanup: Cleanup,
    /// What the status of an object that is no pipeline was given last: its generation, and the message.
    pub(crate) unreadable: Option<(Option<i64>, String)>,
}

impl PipelineMemory {
    /// When a Job that has given up is tried again.
    pub(crate) fn retry_in(&mut self, job: Option<&JobState>) -> Option<Duration> {
        let gave_up = job.is_some_and(|job| job.failed);
        self.gave_up = gave_up.then(|| self.gave_up.unwrap_or_else(Instant::now));
        let since = self.gave_up?;
        Some(rollout::retry_in(since.elapsed(), self.attempts))
    }
}

/// The status that was written last, and where it will be seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct WrittenStatus(Option<Written>);

#[derive(Debug, Clone)]
struct Written {
    status: StreamPipelineStatus,
    /// The resource's version before; a watch that lags still shows it.
    before: Option<String>,
}

impl WrittenStatus {
    /// The status that the API server has: what was written last, while the watch still shows what was before.
    pub(crate) fn newest(&self, resource: &StreamPipeline) -> StreamPipelineStatus {
        match &self.0 {
            Some(written) if written.before == resource.resource_version() => written.status.clone(),
            _ => resource.status.clone().unwrap_or_default(),
        }
    }

    pub(crate) fn remember(&mut self, resource: &StreamPipeline, status: StreamPipelineStatus) {
        self.0 = Some(Written {
            status,
            before: resource.resource_version(),
        });
    }
}

/// How far the deletion of topics and groups is.
#[derive(Default)]
pub(crate) struct Cleanup {
    /// Kafka is slow at times, and a reconcile must not be: so it runs by itself.
    pub(crate) task: Option<AbortOnDropHandle<Result<(), KafkaError>>>,
    /// Why the last attempt failed.
    pub(crate) error: Option<String>,
    /// When the next attempt may begin.
    pub(crate) next: Option<Instant>,
    /// When it was begun, by this process.
    pub(crate) begun: Option<Instant>,
}
