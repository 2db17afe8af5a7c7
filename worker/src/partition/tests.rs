//! A partition's task, with the consumer's side of the conversation played by the test.

use api::Pipeline;
use kafka::broker::Access;
use prometheus_client::registry::Registry;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use runtime::health::Health;
use runtime::secrets::Secrets;
use sinks::staged::Staged;
use sinks::staged::ledger::{Disk, Fault};
use tokio::sync::mpsc::UnboundedReceiver;

use super::*;
use crate::plan::{self, Wanted};
use crate::records::Record;
use crate::state::GapReason;

const RECORDS: i64 = 6;

fn partition() -> Partition {
    Partition {
        topic: "plays".into(),
        number: 0,
    }
}

/// A manifest whose rows tell it from another.
fn pipeline(bootstrap: &str, factor: i64) -> Pipeline {
    let manifest = format!(
        "apiVersion: streampipeline.dev/v1alpha1
kind: StreamPipeline
metadata: {{name: test}}
spec:
  kafka: {{bootstrapServers: \"{bootstrap}\"}}
  topics:
    - {{name: plays, fields: {{amount: long}}}}
  tables:
    - {{name: log, sql: \"SELECT _offset AS at, amount * {factor} AS amount FROM plays\"}}
  sink: {{sqlite: {{path: test.db}}}}
"
    );
    api::validate(&api::parse(&manifest).unwrap()).unwrap()
}

fn records(offsets: std::ops::Range<i64>) -> Records {
    let mut records = Records::new(partition(), offsets.start);
    for offset in offsets {
        records.push(Record {
            offset,
            timestamp: None,
            key: None,
            value: Some(format!(r#"{{"amount":{}}}"#, offset + 1).as_bytes()),
            sequence: None,
        });
    }
    records
}

/// A broker that has so many records, for whoever asks where the log ends.
fn broker(
    count: i64,
) -> (
    MockCluster<'static, rdkafka::producer::DefaultProducerContext>,
    String,
) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("plays", 1, 1).unwrap();
    let bootstrap = cluster.bootstrap_servers();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &bootstrap);
    let producer: BaseProducer = config.create().unwrap();
    for _ in 0..count {
        let record = BaseRecord::<(), str>::to("plays").partition(0).payload("{}");
        producer.send(record).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
    (cluster, bootstrap)
}

async fn sink(disk: &Arc<Disk>, pipeline: &Pipeline, plans: &Plans) -> Sink {
    let ledger = Staged::on(disk, pipeline.name.clone(), plans.definitions()).unwrap();
    let sink = Sink::Ledger(Arc::new(ledger));
    sink.prepare().await.unwrap();
    sink.under(plan::document(pipeline).unwrap(), plans.definitions())
        .unwrap()
}

/// A worker with the first manifest begins a batch of four records and dies before the position moves.
async fn interrupted(disk: &Arc<Disk>, bootstrap: &str) {
    let pipeline = pipeline(bootstrap, 1);
    let plans = Arc::new(plan::plan(&pipeline, Wanted::Rows).await.unwrap());
    let sink = sink(disk, &pipeline, &plans).await;
    let claim = sink.claim(&partition(), "first").await.unwrap();
    let mut writer = PartitionWriter::new(
        sink,
        plans,
        pipeline.dead_letters,
        &claim,
        0,
        PartitionState::default(),
        Timestamp::now,
    );
    // After the intent and the rows.
    disk.inject(disk.calls() + 2, Fault::Lost);
    let outcome = writer.store(&records(0..4), &mut Stored::default()).await;
    assert!(outcome.is_err());
    assert_eq!(disk.unfinished(), 1);
}

/// The task of a worker that has the next manifest.
async fn task(
    disk: &Arc<Disk>,
    bootstrap: &str,
) -> (PartitionTask, mpsc::Sender<Input>, UnboundedReceiver<Command>) {
    let pipeline = Arc::new(pipeline(bootstrap, 1_000));
    let plans = Arc::new(plan::plan(&pipeline, Wanted::Rows).await.unwrap());
    let secrets = Secrets::new(None, |_| None);
    let errors = ErrorReporter::new("test");
    let access = Access::new(&pipeline.kafka, &secrets, "test").unwrap();
    // Nothing is read: the driver need not run.
    let (fetcher, _, _) = kafka::fetch::open(access, 1024 * 1024, errors.clone());
    let (commands, received) = mpsc::unbounded_channel();
    let (sender, input) = mpsc::channel(1);
    let shared = Shared {
        sink: sink(disk, &pipeline, &plans).await,
        plans,
        fetcher,
        errors,
        commands,
        metrics: Metrics::register(&mut Registry::default()),
        progress: Arc::default(),
        sink_health: Health::new().condition("sink"),
        concurrency: Semaphore::new(2),
        load: Load::new(1, || None),
        owner: "second".to_owned(),
        policy: pipeline.dead_letters,
        pipeline,
    };
    let task = PartitionTask {
        shared: Arc::new(shared),
        partition: partition(),
        start_from: StartFrom::Earliest,
        input,
        stop: CancellationToken::new(),
        ownership: Ownership::default(),
    };
    (task, sender, received)
}

/// Reads for the task as the consumer does, until everything is stored. Gives what it was asked for.
async fn read(
    input: mpsc::Sender<Input>,
    mut commands: UnboundedReceiver<Command>,
) -> Vec<(i64, Option<i64>)> {
    let mut begun = Vec::new();
    loop {
        let command = tokio::time::timeout(Duration::from_mins(1), commands.recv());
        match command.await.unwrap().unwrap() {
            Command::Begin {
                attempt,
                offset,
                until,
                ..
            } => {
                begun.push((offset, until));
                let batch = Batch::of(attempt, records(offset..until.unwrap_or(RECORDS)));
                input.send(Input::Batch(batch)).await.unwrap();
            }
            Command::Stored { next: RECORDS, .. } => return begun,
            _ => {}
        }
    }
}

/// Offset and amount of each row, sorted.
fn rows(sink: &Sink) -> Vec<(i64, i64)> {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;

    let Sink::Ledger(ledger) = sink else {
        panic!("not a ledger");
    };
    let mut rows = Vec::new();
    for batch in ledger.seen("log").unwrap() {
        let column = |column: usize| batch.column(column).as_primitive::<Int64Type>().values().to_vec();
        rows.extend(column(0).into_iter().zip(column(1)));
    }
    rows.sort_unstable();
    rows
}

#[tokio::test]
async fn an_unfinished_batch_comes_first_and_under_its_own_plan() {
    let (_cluster, bootstrap) = broker(RECORDS);
    let disk = Arc::default();
    interrupted(&disk, &bootstrap).await;
    let (task, input, commands) = task(&disk, &bootstrap).await;
    let (sink, stop) = (task.shared.sink.clone(), task.stop.clone());
    let task = tokio::spawn(task.run());
    assert_eq!(read(input, commands).await, [(0, Some(4)), (4, None)]);
    assert_eq!(
        rows(&sink),
        [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5_000), (5, 6_000)]
    );
    assert_eq!((disk.unfinished(), disk.violations()), (0, Vec::new()));
    stop.cancel();
    task.await.unwrap();
}

/// The log ends before the batch does: nobody can finish it.
#[tokio::test]
async fn an_unfinished_batch_whose_records_are_gone_is_given_up() {
    let (_cluster, bootstrap) = broker(3);
    let disk = Arc::default();
    interrupted(&disk, &bootstrap).await;
    let (task, input, commands) = task(&disk, &bootstrap).await;
    let (sink, stop) = (task.shared.sink.clone(), task.stop.clone());
    let task = tokio::spawn(task.run());
    assert_eq!(read(input, commands).await, [(0, None)]);
    // Four rows of the batch that was given up are there besides.
    assert_eq!(rows(&sink).len(), 4 + RECORDS as usize);
    let position = sink.position(&partition()).await.unwrap().unwrap();
    let state = PartitionState::from_json(position.state.as_deref().unwrap()).unwrap();
    assert_eq!(
        (state.incarnation, state.gaps[0].reason),
        (1, GapReason::Unfinished)
    );
    assert_eq!(disk.unfinished(), 0);
    stop.cancel();
    task.await.unwrap();
}
