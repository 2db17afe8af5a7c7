//! The worker's wiring: plans, sink, consumer thread and partition tasks, from start to a clean end.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::{Partition, Pipeline, StartFrom};
use kafka::broker::{Access, AccessError};
use kafka::client::{ClientError, client_config};
use kafka::context::ErrorReporter;
use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use runtime::health::Health;
use runtime::secrets::Secrets;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::consumer::{Context, Inbox, Input, Reader, Spawn};
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
    /// Kafka's client cannot be set up.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The fetcher cannot be set up.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// librdkafka refused its settings.
    #[error("cannot create the Kafka consumer")]
    Consumer(#[source] KafkaError),
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
        let mut config = consumer_config(&pipeline, &secrets, &name)?;
        let errors = ErrorReporter::new("worker", &mut config);
        let context = Context::new(errors);
        let consumer =
            BaseConsumer::from_config_and_context(&config, context).map_err(WorkerError::Consumer)?;
        let consumer = Arc::new(consumer);
        let topics: Vec<Arc<str>> = pipeline
            .topics
            .iter()
            .map(|topic| Arc::from(topic.name.as_str()))
            .collect();
        let names: Vec<&str> = topics.iter().map(AsRef::as_ref).collect();
        consumer.subscribe(&names).map_err(WorkerError::Consumer)?;

        let access = Access::new(&pipeline.kafka, &secrets, &name)?;
        // Of its own: that the group works does not mean that records come, nor the other way round.
        let errors = ErrorReporter::new("records", &mut ClientConfig::new());
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
            consumer,
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
            topics,
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

fn consumer_config(pipeline: &Pipeline, secrets: &Secrets, name: &str) -> Result<ClientConfig, ClientError> {
    let mut config = client_config(&pipeline.kafka, secrets, name)?;
    config
        .set("group.id", pipeline.worker_group())
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // A killed worker's partitions go to others after this.
        .set("session.timeout.ms", "10000")
        // By its heartbeats a worker learns that there is a rebalance, and that partitions which others let go of are
        // its own now: nobody reads them before.
        .set("heartbeat.interval.ms", "500")
        // Added partitions and topics made again are noticed within this.
        .set("topic.metadata.refresh.interval.ms", "5000");
    Ok(config)
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
