//! The worker's wiring: plans, sink, consumer thread and partition tasks, from start to a clean end.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::{Partition, Pipeline, StartFrom};
use kafka::broker::{Access, AccessError};
use kafka::health::ErrorReporter;
use kafka::librdkafka::{KafkaError, Subscriber, SubscriberError};
use runtime::health::Health;
use runtime::secrets::Secrets;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::consumer::{Inbox, Input, Reader, Spawn};
use crate::load::Load;
use crate::metrics::Metrics;
use crate::ownership::Ownership;
use crate::partition::{PartitionTask, Shared};
use crate::plan::{self, DocumentError, PlanningError, Wanted};
use crate::progress::Progress;
use crate::reference::ReferenceError;
use sinks::{Sink, SinkError};

/// Longest that the consumer's loop may take for one turn; a commit to a broker that is away takes up to a minute.
const MAX_TURN: Duration = Duration::from_mins(2);

/// Memory of what is fetched ahead of the batches.
const FETCH_BUDGET: usize = 8 * 1024 * 1024;

/// What a worker needs from the process that it runs in.
#[derive(Debug)]
pub struct Worker {
    /// The manifest that all of this worker's rows follow from.
    pub pipeline: Arc<Pipeline>,
    /// Of Kafka and the sink.
    pub secrets: Secrets,
    /// Told apart by people: the pod's name.
    pub name: String,
    /// Where the worker shows how far it is.
    pub progress: Arc<Mutex<Progress>>,
    /// Where it shows that it is well.
    pub health: Health,
}

/// Why a worker did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The pipeline's SQL or references cannot be used.
    #[error(transparent)]
    Plan(#[from] PlanningError),
    /// A reference table cannot be read.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// What rows depend on cannot be written down.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The sink cannot be used at all.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The fetcher cannot be set up.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The group cannot be joined.
    #[error(transparent)]
    Subscriber(#[from] SubscriberError),
    /// The operating system gave no thread.
    #[error("cannot start the consumer's thread")]
    Thread(#[source] std::io::Error),
    /// A defect: the reader panicked.
    #[error("the consumer's thread ended unexpectedly; the worker must be started again")]
    ReaderDied,
}

impl Worker {
    /// Plans, opens the sink, and starts to read. The worker works until `shutdown`; then it stores what was
    /// begun and leaves.
    ///
    /// # Errors
    /// Only what a person must fix before a start makes sense. A broker or sink that is away is waited for.
    pub async fn start(self, metrics: Metrics, shutdown: CancellationToken) -> Result<Running, WorkerError> {
        let Self {
            pipeline,
            secrets,
            name,
            progress,
            health,
        } = self;
        let plans = Arc::new(plan::plan(&pipeline, Wanted::Rows).await?);
        let mut sink = Sink::open(&pipeline, plans.definitions().to_vec(), &secrets).await?;
        if sink.plan().is_some() {
            sink = sink.under(plan::document(&pipeline)?, plans.definitions())?;
        }
        let topics: Vec<Arc<str>> = pipeline
            .topics
            .iter()
            .map(|topic| Arc::from(topic.name.as_str()))
            .collect();
        let group = pipeline.worker_group();
        let subscriber = Subscriber::join(&pipeline.kafka, &secrets, &name, &group, &topics)?;
        let access = Access::new(&pipeline.kafka, &secrets, &name)?;
        // Of its own: that the group works does not mean that records come, nor the other way round.
        let errors = ErrorReporter::new("records");
        let (fetcher, chunks, driver) = kafka::fetch::open(access, FETCH_BUDGET, errors.clone());
        let fetching = CancellationToken::new();
        let tokio = tokio::runtime::Handle::current();
        tokio.spawn(driver.run(fetching.clone()));
        let (commands, received) = mpsc::unbounded_channel();
        let concurrency = plan::concurrency(&pipeline);
        let shared = Arc::new(Shared {
            pipeline: Arc::clone(&pipeline),
            sink,
            plans,
            fetcher: fetcher.clone(),
            errors: errors.clone(),
            commands,
            metrics: metrics.clone(),
            progress,
            sink_health: health.condition("sink"),
            concurrency: Semaphore::new(concurrency),
            load: Load::new(threads(), crate::processor::time),
            owner: name,
            policy: pipeline.dead_letters,
        });
        let reader = Reader {
            subscriber,
            fetcher,
            errors,
            limits: pipeline.batch,
            concurrency,
            spawn: Tasks {
                shared,
                pipeline: Arc::clone(&pipeline),
                tokio: tokio.clone(),
                metrics,
                assigned: AtomicI64::new(0),
            },
            heartbeat: health.heartbeat("consumer", MAX_TURN),
            kafka_health: health.condition("kafka"),
            shutdown,
            tokio,
        };
        let inbox = Inbox {
            commands: received,
            chunks,
        };
        let (done, ended) = oneshot::channel();
        let run = move || {
            reader.run(inbox);
            fetching.cancel();
            // Nobody waits any more only when the whole process is being torn down.
            let _ = done.send(());
        };
        let thread = std::thread::Builder::new()
            .name("consumer".to_owned())
            .spawn(run)
            .map_err(WorkerError::Thread)?;
        Ok(Running { ended, thread })
    }
}

/// A worker at work.
#[derive(Debug)]
pub struct Running {
    ended: oneshot::Receiver<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Running {
    /// Waits until the worker has ended: after the shutdown that it was started with, or by a defect.
    ///
    /// # Errors
    /// [`WorkerError::ReaderDied`].
    pub async fn ended(self) -> Result<(), WorkerError> {
        let outcome = self.ended.await;
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        match (outcome, joined) {
            (Ok(()), Ok(Ok(()))) => Ok(()),
            _ => Err(WorkerError::ReaderDied),
        }
    }
}

/// Threads that batches are worked on with, as many as tokio has.
fn threads() -> u32 {
    u32::try_from(tokio::runtime::Handle::current().metrics().num_workers()).unwrap_or(u32::MAX)
}

/// Starts a task for each partition that is assigned.
struct Tasks {
    shared: Arc<Shared>,
    pipeline: Arc<Pipeline>,
    tokio: tokio::runtime::Handle,
    metrics: Metrics,
    /// Partitions of this worker.
    assigned: AtomicI64,
}

impl Spawn for Tasks {
    fn spawn(
        &self,
        partition: Partition,
        input: mpsc::Receiver<Input>,
        stop: CancellationToken,
    ) -> JoinHandle<()> {
        let start_from = self
            .pipeline
            .topic(&partition.topic)
            .map_or(StartFrom::Earliest, |topic| topic.start_from);
        let shared = Arc::clone(&self.shared);
        let task = PartitionTask {
            shared,
            partition,
            start_from,
            input,
            stop,
            ownership: Ownership::default(),
        };
        self.tokio.spawn(task.run())
    }

    fn assigned(&self, partitions: usize) {
        // Other workers of the process count in the same gauge.
        let before = self.assigned.swap(partitions as i64, Ordering::Relaxed);
        self.metrics.partitions.inc_by(partitions as i64 - before);
    }

    fn kafka_error(&self, error: &KafkaError) {
        self.metrics.kafka_errors.inc();
        tracing::debug!(%error, "the Kafka client reports");
    }
}
