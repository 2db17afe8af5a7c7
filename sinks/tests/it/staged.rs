//! Sinks without transactions: the promises that every sink makes about batches, and what happens when a worker dies, is
//! frozen or is not heard between any two of the steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::{MergeColumn, MergeFunction, Write};
use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};
use jiff::Timestamp;
use sinks::staged::Staged;
use sinks::staged::ledger::{Disk, Fault};
use sinks::{
    Advance, BatchId, Claim, ComputedWith, DeadLetter, Intent, PlanDocument, Sink, SinkError, SinkErrorKind,
    TableDefinition,
};

use crate::promises::{
    Home, advance, claim, definition, names, partition, pipeline, play, play_rows, plays, promises, rows,
};

struct Memory {
    disk: Arc<Disk>,
}

impl Memory {
    fn new() -> Self {
        Self { disk: Arc::default() }
    }
}

impl Home for Memory {
    async fn sink(&self, name: &str, tables: Vec<TableDefinition>) -> Sink {
        Sink::Ledger(Arc::new(Staged::on(&self.disk, pipeline(name), &tables).unwrap()))
    }

    async fn by_hand(&self, sql: &str) {
        panic!("{sql}: the ledger has no SQL of its own");
    }
}

// What a sink promises about batches and questions. That a missing table is refused when it is written is not among them:
// rows are sent with the commit, see `a_missing_table_is_refused_and_the_batch_waits_for_it`.
promises!(of every sink, std::future::ready(Memory::new()));

#[tokio::test]
async fn a_missing_table_is_refused_and_the_batch_waits_for_it() {
    let home = Memory::new();
    let sink = home.sink("music", vec![plays(Write::Append)]).await;
    let error = sink.claim(&partition(0), "test").await.unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("run prepare again"), "{error}");
    sink.prepare().await.unwrap();
    home.disk.drop_table("plays");
    let lease = claim(&sink, 0).await.lease;
    let mut transaction = sink.begin(&lease).await.unwrap();
    let rows_of_one = [play_rows(&[play(1, "a", 1)])];
    transaction.write(0, &rows_of_one).await.unwrap();
    let error = transaction.commit(&advance(None, 1)).await.unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Refused, "{error}");
    sink.prepare().await.unwrap();
    let unfinished = claim(&sink, 0).await.unfinished.unwrap();
    assert_eq!((unfinished.intent.expected, unfinished.intent.end), (None, 1));
    let lease = claim(&sink, 0).await.lease;
    let mut transaction = sink.begin(&lease).await.unwrap();
    transaction.repeat(&unfinished.intent);
    transaction.write(0, &rows_of_one).await.unwrap();
    transaction.commit(&advance(None, 1)).await.unwrap();
    assert_eq!(rows(&sink, "SELECT id, name, amount FROM plays").await, ["1|a|1"]);
}

/// Offsets of the log that the tests below store, and batches that they are cut into.
const END: i64 = 6;
const BATCH: i64 = 3;

/// A log whose record at offset `n` is of user `n % 2`; offset 4 cannot be stored.
const BAD: i64 = 4;

fn tables() -> Vec<TableDefinition> {
    let merge = Write::Merge {
        key: names(&["user"]),
        columns: vec![MergeColumn {
            name: "total".to_owned(),
            function: MergeFunction::Sum,
        }],
    };
    let last = Write::Upsert {
        key: names(&["user"]),
        latest_by: None,
    };
    let of = |name, write, columns: [&'static str; 2]| {
        definition(name, write, &columns.map(|column| (column, DataType::Int64)))
    };
    vec![
        of("log", Write::Append, ["at", "instant"]),
        of("sums", merge, ["user", "total"]),
        of("lasts", last, ["user", "at"]),
    ]
}

fn columns(columns: [(&str, Vec<i64>); 2]) -> RecordBatch {
    let columns = columns.map(|(name, values)| (name, Arc::new(Int64Array::from(values)) as ArrayRef, true));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// A worker, as far as a sink sees one: it claims, finishes what it finds, and goes on.
struct Worker {
    sink: Sink,
    /// What its clock says next.
    instant: i64,
    /// Records of a batch.
    batch: i64,
}

impl Worker {
    fn on(disk: &Arc<Disk>, number: i64) -> Self {
        let sink = Staged::on(disk, pipeline("music"), &tables()).unwrap();
        let plan = PlanDocument {
            hash: Arc::from(format!("plan {number}")),
            text: Arc::from("{}"),
        };
        Self {
            sink: Sink::Ledger(Arc::new(sink.under(plan, &tables()).unwrap())),
            instant: 1_000 * (number + 1),
            batch: BATCH - number,
        }
    }

    /// Works until everything is stored, or an error.
    async fn work(&mut self) -> Result<(), SinkError> {
        let Claim {
            lease,
            mut next_offset,
            unfinished,
            ..
        } = self.sink.claim(&partition(0), "worker").await?;
        if let Some(unfinished) = unfinished {
            let mut transaction = self.sink.begin(&lease).await?;
            transaction.repeat(&unfinished.intent);
            self.store(transaction, &unfinished.intent).await?;
            next_offset = Some(unfinished.intent.end);
        }
        while next_offset.unwrap_or(0) < END {
            let start = next_offset.unwrap_or(0);
            self.instant += 1;
            let intent = Intent {
                batch: BatchId {
                    partition: partition(0),
                    topic_id: None,
                    incarnation: 0,
                    leader_epoch: Some(7),
                    start,
                },
                end: END.min(start + self.batch),
                records: String::new(),
                computed_with: ComputedWith {
                    plan: Arc::clone(&self.sink.plan().unwrap().hash),
                    now: Timestamp::from_microsecond(self.instant).unwrap(),
                },
                rejected: [BAD].into_iter().filter(|bad| *bad >= start).collect(),
                cuts: Vec::new(),
                expected: next_offset,
                state: "{}".to_owned(),
            };
            let transaction = self.sink.begin(&lease).await?;
            self.store(transaction, &intent).await?;
            next_offset = Some(intent.end);
        }
        Ok(())
    }

    async fn store(&self, mut transaction: sinks::Transaction, intent: &Intent) -> Result<(), SinkError> {
        let now = intent.computed_with.now.as_microsecond();
        let good: Vec<i64> = (intent.batch.start..intent.end)
            .filter(|offset| *offset != BAD)
            .collect();
        let users: Vec<i64> = good.iter().map(|offset| offset % 2).collect();
        let log = columns([("at", good.clone()), ("instant", vec![now; good.len()])]);
        transaction.write(0, &[log]).await?;
        let sums = columns([("user", users.clone()), ("total", good.clone())]);
        transaction.write(1, &[sums]).await?;
        let lasts = columns([("user", users), ("at", good)]);
        transaction.write(2, &[lasts]).await?;
        if (intent.batch.start..intent.end).contains(&BAD) {
            let letter = DeadLetter {
                offset: BAD,
                timestamp: None,
                key: None,
                value: Some(b"bad".to_vec()),
                stage: "decode",
                error: "bad".to_owned(),
            };
            transaction.dead_letters(&[letter]).await?;
        }
        transaction
            .commit(&Advance {
                start: intent.expected,
                end: intent.end,
                state: intent.state.clone(),
                intent: Some(intent.clone()),
            })
            .await
    }
}

/// Lets a worker work, and another one whenever the last has failed.
async fn work_in_turn(disk: &Arc<Disk>) {
    for number in 0..8 {
        if Worker::on(disk, number % 3).work().await.is_ok() {
            return;
        }
    }
    panic!("there are no more faults, and it still does not work");
}

/// A table of whole numbers as readers see it, sorted.
fn seen(sink: &Sink, table: &str) -> Vec<Vec<i64>> {
    let Sink::Ledger(ledger) = sink else {
        panic!("not a ledger");
    };
    let mut seen = Vec::new();
    for batch in ledger.seen(table).unwrap() {
        let column = |column: usize| batch.column(column).as_primitive::<Int64Type>().values().to_vec();
        let columns: Vec<Vec<i64>> = (0..batch.num_columns()).map(column).collect();
        let row = |row: usize| columns.iter().map(|column| column[row]).collect();
        seen.extend((0..batch.num_rows()).map(row));
    }
    seen.sort();
    seen
}

/// What is stored is what the log has: computed here from the log alone.
async fn assert_exact(disk: &Arc<Disk>, what: &str) {
    assert_eq!(disk.violations(), [""; 0], "{what}");
    assert_eq!(disk.unfinished(), 0, "{what}");
    let sink = Worker::on(disk, 0).sink;
    let good: Vec<i64> = (0..END).filter(|offset| *offset != BAD).collect();
    let log: Vec<i64> = seen(&sink, "log").iter().map(|row| row[0]).collect();
    assert_eq!(log, good, "{what}");
    let mut sums: BTreeMap<i64, i64> = BTreeMap::new();
    let mut lasts: BTreeMap<i64, i64> = BTreeMap::new();
    for offset in good {
        *sums.entry(offset % 2).or_default() += offset;
        lasts.insert(offset % 2, offset);
    }
    for (table, expected) in [("sums", sums), ("lasts", lasts)] {
        let expected: Vec<Vec<i64>> = expected
            .into_iter()
            .map(|(key, value)| vec![key, value])
            .collect();
        assert_eq!(seen(&sink, table), expected, "{table}: {what}");
    }
    let letters = sink.newest_dead_letters(9).await.unwrap();
    let letters: Vec<i64> = letters.iter().map(|letter| letter.id.offset).collect();
    assert_eq!(letters, [BAD], "{what}");
}

async fn prepared_disk() -> Arc<Disk> {
    let disk = Arc::default();
    Worker::on(&disk, 0).sink.prepare().await.unwrap();
    disk
}

/// Calls of a run in which nothing goes wrong.
async fn calls() -> u64 {
    let disk = prepared_disk().await;
    work_in_turn(&disk).await;
    assert_exact(&disk, "nothing went wrong").await;
    disk.calls()
}

const FAULTS: [Fault; 9] = [
    Fault::Lost,
    Fault::Unheard,
    Fault::Torn,
    Fault::Late(1),
    Fault::Late(4),
    Fault::Late(9),
    Fault::Twice(2),
    Fault::Twice(7),
    Fault::Twice(15),
];

/// The worker dies at the call, and its successor, which cuts batches otherwise and has another clock and plan, takes over.
/// Late calls are those of a process that was frozen after it had sent them.
#[tokio::test]
async fn every_fault_at_every_step_leaves_each_record_stored_once() {
    for call in 0..calls().await {
        for fault in FAULTS {
            let disk = prepared_disk().await;
            disk.inject(call, fault);
            work_in_turn(&disk).await;
            assert_exact(&disk, &format!("{fault:?} at call {call}")).await;
        }
    }
}

/// Every two faults at any two steps: the second one mostly meets whoever is finishing what the first has left.
#[tokio::test]
async fn every_two_faults_leave_each_record_stored_once() {
    let calls = calls().await;
    for first in 0..calls {
        for second in first + 1..calls + 6 {
            for (one, other) in pairs(first * calls + second) {
                let disk = prepared_disk().await;
                disk.inject(first, one);
                disk.inject(second, other);
                work_in_turn(&disk).await;
                let what = format!("{one:?} at call {first}, {other:?} at call {second}");
                assert_exact(&disk, &what).await;
            }
        }
    }
}

/// Eight of the 81 pairs of faults, others with each number: over all steps each pair comes often.
fn pairs(number: u64) -> impl Iterator<Item = (Fault, Fault)> {
    let count = FAULTS.len() as u64;
    (0..8).map(move |step| {
        let pair = (number * 8 + step * 11) % (count * count);
        (FAULTS[(pair / count) as usize], FAULTS[(pair % count) as usize])
    })
}

/// A worker that is frozen before any of its calls wakes up at any later moment, and goes on as if nothing had happened.
#[tokio::test]
async fn a_worker_that_wakes_up_at_any_step_changes_nothing() {
    for call in 0..calls().await {
        for calls in 0..30 {
            let disk = prepared_disk().await;
            disk.inject(call, Fault::Frozen(calls));
            let mut zombie = Worker::on(&disk, 0);
            let zombie = tokio::spawn(async move { zombie.work().await });
            while disk.calls() <= call {
                tokio::task::yield_now().await;
            }
            work_in_turn(&disk).await;
            disk.thaw();
            // It ends in one of two ways: it was too late, or its successor was.
            let outcome = zombie.await.unwrap();
            let fenced = |error: SinkError| error.kind == SinkErrorKind::Fenced;
            assert!(outcome.map_err(fenced) != Err(false), "call {call}");
            work_in_turn(&disk).await;
            let what = format!("frozen at call {call} for {calls} calls");
            assert_exact(&disk, &what).await;
        }
    }
}
