//! Batches that are interrupted in a sink without transactions: a partition's writer over a ledger whose every call may fail,
//! and a log that may be truncated or made anew meanwhile.
//!
//! What must be stored follows from the log alone, see [`World::assert_exact`].

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use api::{Partition, Pipeline, StartFrom};
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sinks::staged::Staged;
use sinks::staged::ledger::{Disk, Fault};
use sinks::{BatchId, ComputedWith, Intent, Sink, SinkErrorKind, TopicId, Unfinished};
use worker::plan::{Wanted, document, plan, plan_again};
use worker::position::{self, Watermarks};
use worker::records::{Record, Records};
use worker::sql::Plans;
use worker::state::{Fingerprint, PartitionState, records_digest};
use worker::store::{PartitionWriter, StoreError, Stored};

/// Names the seed of a run that is to be repeated.
const SEED: &str = "STREAMPIPELINE_TEST_SEED";

/// Of the log: one is not JSON, the other fails in SQL.
const BAD: [i64; 2] = [3, 5];

fn partition() -> Partition {
    Partition {
        topic: "plays".into(),
        number: 0,
    }
}

/// A manifest whose rows are told from those of another by the factor.
fn pipeline(factor: i64) -> Pipeline {
    let manifest = format!(
        "apiVersion: streampipeline.dev/v1alpha1
kind: StreamPipeline
metadata: {{name: test}}
spec:
  kafka: {{bootstrapServers: \"localhost:9092\"}}
  topics:
    - {{name: plays, fields: {{who: long, amount: long, kind: string}}}}
  tables:
    - name: log
      sql: SELECT _offset AS at, amount * {factor} AS amount FROM plays WHERE CAST(kind AS INT) > 0 AND now() > TIMESTAMP '2000-01-01'
    - name: sums
      sql: SELECT who, sum(amount * {factor}) AS total, count(*) AS plays FROM plays GROUP BY 1
      write: {{merge: {{key: [who], sum: [total, plays]}}}}
    - name: lasts
      sql: SELECT who, _offset AS at FROM plays
      write: {{upsert: {{key: [who], latestBy: at}}}}
  sink: {{sqlite: {{path: test.db}}}}
"
    );
    api::validate(&api::parse(&manifest).unwrap()).unwrap()
}

/// Rises with each look, so that no two batches have the same instant.
fn clock() -> Timestamp {
    static NOW: AtomicI64 = AtomicI64::new(1_800_000_000_000_000);
    Timestamp::from_microsecond(NOW.fetch_add(1, Ordering::Relaxed)).unwrap()
}

/// A partition's records. Each has its offset, and an amount that no other has.
#[derive(Clone)]
struct Log {
    topic_id: TopicId,
    /// Amount and leader's epoch, by offset.
    records: Vec<(i64, i32)>,
}

impl Log {
    fn new(id: u8, amounts: Range<i64>) -> Self {
        Self {
            topic_id: TopicId([id; 16]),
            records: amounts.map(|amount| (amount, 0)).collect(),
        }
    }

    fn end(&self) -> i64 {
        self.records.len() as i64
    }

    /// Loses everything from `offset` on, and goes on under another leader.
    fn truncate(&mut self, offset: i64, amounts: Range<i64>) {
        self.records.truncate(offset as usize);
        self.records.extend(amounts.map(|amount| (amount, 1)));
    }

    fn value(&self, offset: i64) -> String {
        let (amount, _) = self.records[offset as usize];
        match BAD.iter().position(|bad| *bad == offset) {
            Some(0) => "not JSON".to_owned(),
            bad => {
                let kind = if bad.is_some() { "x" } else { "1" };
                format!(r#"{{"who":{},"amount":{amount},"kind":"{kind}"}}"#, offset % 3)
            }
        }
    }

    fn records(&self, offsets: Range<i64>) -> Records {
        let mut records = Records::new(partition(), offsets.start);
        for offset in offsets {
            records.set_source(Some(self.topic_id), Some(self.records[offset as usize].1));
            records.push(Record {
                offset,
                timestamp: Some(offset),
                key: None,
                value: Some(self.value(offset).as_bytes()),
                sequence: None,
            });
        }
        records
    }

    fn fingerprint(&self, offset: i64) -> Fingerprint {
        Fingerprint::of(self.records(offset..offset + 1).get(0).unwrap())
    }

    fn watermarks(&self) -> Watermarks {
        Watermarks {
            low: 0,
            high: self.end(),
        }
    }

    /// Offset and amount of what can be stored.
    fn good(&self) -> impl Iterator<Item = (i64, i64)> {
        let all = self
            .records
            .iter()
            .zip(0..)
            .map(|((amount, _), offset)| (offset, *amount));
        all.filter(|(offset, _)| !BAD.contains(offset))
    }
}

/// A manifest with its plans.
struct Version {
    factor: i64,
    pipeline: Pipeline,
    plans: Arc<Plans>,
}

impl Version {
    async fn new(factor: i64) -> Self {
        let pipeline = pipeline(factor);
        let plans = Arc::new(plan(&pipeline, Wanted::Rows).await.unwrap());
        Self {
            factor,
            pipeline,
            plans,
        }
    }
}

/// What is there while workers come and go.
struct World {
    disk: Arc<Disk>,
    log: Log,
    /// The manifest, and the next one.
    versions: [Version; 2],
}

/// Why a worker ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Done,
    Died,
}

/// One worker.
struct Worker<'a> {
    world: &'a World,
    version: &'a Version,
    sink: Sink,
    /// Whether it ends at the first error; others try again.
    dies: bool,
    random: StdRng,
    errors: u32,
}

impl World {
    async fn new() -> Self {
        let versions = [Version::new(1).await, Version::new(10_000).await];
        let mut world = Self {
            disk: Arc::default(),
            log: Log::new(1, 1..10),
            versions,
        };
        world.reset().await;
        world
    }

    /// The same versions with an empty sink and a fresh log.
    async fn reset(&mut self) {
        self.disk = Arc::default();
        self.log = Log::new(1, 1..10);
        Box::pin(self.worker(0, true, 0).sink.prepare()).await.unwrap();
    }

    fn worker(&self, version: usize, dies: bool, seed: u64) -> Worker<'_> {
        let version = &self.versions[version];
        let name = version.pipeline.name.clone();
        let ledger = Staged::on(&self.disk, name, version.plans.definitions()).unwrap();
        let sink = Sink::Ledger(Arc::new(ledger));
        let document = document(&version.pipeline).unwrap();
        Worker {
            world: self,
            version,
            sink: sink.under(document, version.plans.definitions()).unwrap(),
            dies,
            random: StdRng::seed_from_u64(seed),
            errors: 0,
        }
    }

    /// Workers one after the other, until everything is stored. With a roll-out, those after the first have the next version.
    async fn work(&self, dies: bool, rolls_out: bool, seed: u64) {
        for turn in 0..8 {
            let version = usize::from(rolls_out && turn > 0);
            let mut worker = self.worker(version, dies, seed + turn);
            if Box::pin(worker.work()).await == End::Done {
                return;
            }
        }
        panic!("there are no more faults, and it still does not work");
    }

    /// A table of whole numbers as readers see it, sorted.
    fn seen(&self, table: &str) -> Vec<Vec<i64>> {
        let Sink::Ledger(ledger) = self.worker(0, true, 0).sink else {
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

    /// The log is stored, each record once, and under one of the two versions: first those of the one, then those of the
    /// other. Computed from the log, by a plain sum over its records.
    async fn assert_exact(&self, what: &str) {
        assert_eq!(self.disk.violations(), [""; 0], "{what}");
        assert_eq!(self.disk.unfinished(), 0, "{what}");
        let log = self.seen("log");
        let good: Vec<(i64, i64)> = self.log.good().collect();
        let offsets: Vec<i64> = log.iter().map(|row| row[0]).collect();
        let expected: Vec<i64> = good.iter().map(|(offset, _)| *offset).collect();
        assert_eq!(offsets, expected, "{what}");
        let factors: Vec<i64> = log
            .iter()
            .zip(&good)
            .map(|(row, (_, amount))| row[1] / amount)
            .collect();
        assert!(factors.is_sorted(), "{what}: {factors:?}");
        let mut sums: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        let mut lasts: BTreeMap<i64, i64> = BTreeMap::new();
        for ((offset, amount), factor) in good.iter().zip(factors) {
            assert!(
                self.versions.iter().any(|version| version.factor == factor),
                "{what}: {factor}"
            );
            let sum = sums.entry(offset % 3).or_default();
            *sum = (sum.0 + amount * factor, sum.1 + 1);
            lasts.insert(offset % 3, *offset);
        }
        let sums: Vec<Vec<i64>> = sums
            .into_iter()
            .map(|(who, (total, plays))| vec![who, total, plays])
            .collect();
        assert_eq!(self.seen("sums"), sums, "{what}");
        let lasts: Vec<Vec<i64>> = lasts.into_iter().map(|(who, at)| vec![who, at]).collect();
        assert_eq!(self.seen("lasts"), lasts, "{what}");
        assert_eq!(self.letters().await, BAD, "{what}");
        let state = self.state().await;
        assert_eq!(
            (state.records, state.dead_letters, state.rows["log"]),
            (self.log.end() as u64, BAD.len() as u64, good.len() as u64),
            "{what}"
        );
    }

    async fn letters(&self) -> Vec<i64> {
        let letters = self
            .worker(0, true, 0)
            .sink
            .newest_dead_letters(99)
            .await
            .unwrap();
        let mut offsets: Vec<i64> = letters.iter().map(|letter| letter.id.offset).collect();
        offsets.sort_unstable();
        offsets
    }

    async fn state(&self) -> PartitionState {
        let positions = self.worker(0, true, 0).sink.positions().await.unwrap();
        PartitionState::from_json(positions[0].state.as_deref().unwrap()).unwrap()
    }

    async fn unfinished(&self) -> Option<Unfinished> {
        self.worker(0, true, 0)
            .sink
            .claim(&partition(), "test")
            .await
            .unwrap()
            .unfinished
    }
}

impl Worker<'_> {
    /// As a partition's task does: claims, finishes what is unfinished, and stores what comes, in batches of its own.
    async fn work(&mut self) -> End {
        let log = &self.world.log;
        'claim: loop {
            let Ok(mut claim) = self.sink.claim(&partition(), "test").await else {
                if self.gives_up() {
                    return End::Died;
                }
                continue;
            };
            let mut state = claim
                .state
                .as_deref()
                .map(|json| PartitionState::from_json(json).unwrap());
            if let Some(unfinished) = claim.unfinished.take() {
                let intent = &unfinished.intent;
                let mut finished = None;
                if intent.end <= log.end() {
                    let (sink, plans) = self.under(&unfinished).await;
                    let state = state.clone().unwrap_or_default();
                    let mut writer = self.writer(sink, plans, &claim, intent.batch.start, state);
                    let records = log.records(intent.batch.start..intent.end);
                    loop {
                        match writer.finish(&records, intent, &mut Stored::default()).await {
                            Ok(()) => {
                                finished = Some(writer.state().clone());
                                break;
                            }
                            Err(StoreError::Replaced { .. }) => break,
                            Err(error) if is_fenced(&error) => continue 'claim,
                            Err(_) if self.gives_up() => return End::Died,
                            Err(_) => {}
                        }
                    }
                }
                if let Some(finished) = finished {
                    (claim.next_offset, state) = (Some(intent.end), Some(finished));
                } else {
                    state.get_or_insert_default().give_up(intent);
                }
            }
            let mut beginning =
                position::begin(claim.next_offset, state, log.watermarks(), StartFrom::Earliest);
            if beginning.verify
                && let Some(last) = beginning.state.last.clone()
                && log.fingerprint(last.offset) != last
            {
                beginning = position::recreated(beginning.state, beginning.offset, 0);
            }
            let (sink, plans) = (self.sink.clone(), Arc::clone(&self.version.plans));
            let mut writer = self.writer(sink, plans, &claim, beginning.offset, beginning.state);
            while writer.next() < log.end() {
                let size = self.random.random_range(2..=4);
                let records = log.records(writer.next()..log.end().min(writer.next() + size));
                while let Err(error) = writer.store(&records, &mut Stored::default()).await {
                    if is_fenced(&error) {
                        continue 'claim;
                    }
                    if self.gives_up() {
                        return End::Died;
                    }
                }
            }
            return End::Done;
        }
    }

    /// An error has come.
    fn gives_up(&mut self) -> bool {
        self.errors += 1;
        assert!(self.errors < 20, "the same error again and again");
        self.dies
    }

    async fn under(&self, unfinished: &Unfinished) -> (Sink, Arc<Plans>) {
        if self.sink.plan().unwrap().hash == unfinished.plan.hash {
            return (self.sink.clone(), Arc::clone(&self.version.plans));
        }
        let plans = plan_again(&unfinished.plan, &self.version.pipeline)
            .await
            .unwrap();
        let sink = self
            .sink
            .under(unfinished.plan.clone(), plans.definitions())
            .unwrap();
        (sink, Arc::new(plans))
    }

    fn writer(
        &self,
        sink: Sink,
        plans: Arc<Plans>,
        claim: &sinks::Claim,
        next: i64,
        state: PartitionState,
    ) -> PartitionWriter {
        let policy = self.version.pipeline.dead_letters;
        PartitionWriter::new(sink, plans, policy, claim, next, state, clock)
    }
}

fn is_fenced(error: &StoreError) -> bool {
    matches!(error, StoreError::Sink(error) if error.kind == SinkErrorKind::Fenced)
}

const FAULTS: [Fault; 7] = [
    Fault::Lost,
    Fault::Unheard,
    Fault::Torn,
    Fault::Late(1),
    Fault::Late(5),
    Fault::Late(12),
    Fault::Twice(6),
];

/// Calls of a run in which nothing goes wrong.
async fn calls(world: &World) -> u64 {
    world.work(true, false, 0).await;
    world.assert_exact("nothing went wrong").await;
    world.disk.calls()
}

#[tokio::test]
async fn a_batch_that_is_interrupted_at_any_step_is_finished_as_it_was_begun() {
    let mut world = World::new().await;
    let calls = calls(&world).await;
    let mut changed = BTreeSet::new();
    for call in 0..calls {
        for (number, fault) in (0..).zip(FAULTS) {
            // A worker that dies, or one that tries again; a successor with the same manifest, or with the next.
            let (dies, rolls_out) = (!(call + number).is_multiple_of(3), number.is_multiple_of(2));
            world.reset().await;
            world.disk.inject(call, fault);
            world.work(dies, rolls_out, 0).await;
            let what = format!("{fault:?} at call {call}, dies: {dies}, rolls out: {rolls_out}");
            world.assert_exact(&what).await;
            changed.extend(world.seen("log").iter().map(|row| row[1] > 10_000));
        }
    }
    assert_eq!(changed.len(), 2, "both versions had something to store");
}

#[tokio::test]
async fn two_interruptions_change_nothing_either() {
    let mut world = World::new().await;
    let calls = calls(&world).await;
    let seed = std::env::var(SEED).map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("{SEED}={seed} chooses the same steps again");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..150 {
        world.reset().await;
        let steps = [0; 2].map(|_| {
            let fault = FAULTS[random.random_range(0..FAULTS.len())];
            (random.random_range(0..calls + 8), fault)
        });
        for (call, fault) in steps {
            world.disk.inject(call, fault);
        }
        let (dies, rolls_out, seed) = (random.random(), random.random(), random.random_range(0..1_000));
        world.work(dies, rolls_out, seed).await;
        world
            .assert_exact(&format!(
                "{steps:?}, dies: {dies}, rolls out: {rolls_out}, {seed}"
            ))
            .await;
    }
}

/// The log is cut off within an unfinished batch, and grows past it again under another leader.
#[tokio::test]
async fn records_at_offsets_that_come_again_are_another_batch() {
    let mut world = World::new().await;
    let calls = calls(&world).await;
    let mut interrupted = 0;
    for call in 0..calls {
        for fault in [Fault::Unheard, Fault::Torn, Fault::Late(3), Fault::Late(9)] {
            world.reset().await;
            world.disk.inject(call, fault);
            let end = Box::pin(world.worker(0, true, 0).work()).await;
            let old = world.log.clone();
            let Some(Unfinished { intent, .. }) = world.unfinished().await.filter(|_| end == End::Died)
            else {
                continue;
            };
            interrupted += 1;
            let (start, end) = (intent.batch.start, intent.end);
            // One of them has the same bytes in every log.
            let last = if end - 1 == BAD[0] { end - 2 } else { end - 1 };
            world.log.truncate(last, 500..512);
            world.work(true, call % 2 == 0, 1).await;
            let what = format!("{fault:?} at call {call}, unfinished {start}..{end}");
            assert_eq!(
                (world.disk.violations(), world.disk.unfinished()),
                (Vec::new(), 0),
                "{what}"
            );
            // Of the batch that nobody can finish there may be rows, each once; everything else is exact.
            let factors = world.versions.iter().map(|version| version.factor);
            let factors: Vec<i64> = factors.collect();
            let mut lost: Vec<(i64, i64)> = old
                .good()
                .filter(|(offset, _)| (start..end).contains(offset))
                .collect();
            let mut expected: Vec<(i64, i64)> = world.log.good().collect();
            for row in world.seen("log") {
                let same = |(offset, amount): &(i64, i64)| {
                    *offset == row[0] && factors.iter().any(|factor| amount * factor == row[1])
                };
                if let Some(found) = expected.iter().position(same) {
                    expected.swap_remove(found);
                } else {
                    let found = lost.iter().position(same);
                    lost.swap_remove(found.unwrap_or_else(|| panic!("{what}: {row:?}")));
                }
            }
            assert_eq!(expected, [], "{what}");
            let plays: i64 = world.seen("sums").iter().map(|row| row[2]).sum();
            let count = world.log.good().count() as i64;
            let most = old
                .good()
                .filter(|(offset, _)| (start..end).contains(offset))
                .count() as i64;
            assert!(
                (count..=count + most).contains(&plays),
                "{what}: {plays} of {count}"
            );
            let gaps = world.state().await.gaps;
            assert_eq!((gaps[0].from, gaps[0].to), (start, Some(end)), "{what}");
        }
    }
    assert!(interrupted > 20, "{interrupted}");
}

/// Rows of a topic that was deleted, put late, are not taken for those of the topic that was made anew.
#[tokio::test]
async fn a_topic_made_anew_is_stored_besides_the_old_one() {
    let mut world = World::new().await;
    let calls = calls(&world).await;
    for call in 1..calls {
        for late in [calls - call + 2, calls - call + 9, calls - call + 20] {
            world.reset().await;
            world.disk.inject(call, Fault::Twice(late));
            world.work(false, false, 0).await;
            let old = world.log.clone();
            world.log = Log::new(2, 700..712);
            world.work(true, false, 2).await;
            let what = format!("call {call} again {late} calls later");
            assert_eq!(
                (world.disk.violations(), world.disk.unfinished()),
                (Vec::new(), 0),
                "{what}"
            );
            let mut rows: Vec<(i64, i64)> = old.good().chain(world.log.good()).collect();
            let total: i64 = rows.iter().map(|(_, amount)| amount).sum();
            rows.sort_unstable();
            let stored: Vec<(i64, i64)> = world.seen("log").iter().map(|row| (row[0], row[1])).collect();
            assert_eq!(stored, rows, "{what}");
            let sums: i64 = world.seen("sums").iter().map(|row| row[1]).sum();
            assert_eq!(sums, total, "{what}");
            assert_eq!(world.state().await.incarnation, 1, "{what}");
        }
    }
}

/// What an intent says of dead letters is done, whatever would come of the records now.
#[tokio::test]
async fn dead_letters_are_those_of_the_intent() {
    let world = World::new().await;
    let worker = world.worker(0, true, 0);
    let claim = worker.sink.claim(&partition(), "test").await.unwrap();
    let records = world.log.records(0..9);
    let intent = |rejected: &[i64], cuts: &[i64]| Intent {
        batch: BatchId {
            partition: partition(),
            topic_id: None,
            incarnation: 0,
            leader_epoch: None,
            start: 0,
        },
        end: 9,
        records: records_digest(&records, 0..9),
        computed_with: ComputedWith {
            plan: Arc::clone(&worker.sink.plan().unwrap().hash),
            now: clock(),
        },
        rejected: rejected.iter().copied().collect(),
        cuts: cuts.to_vec(),
        expected: None,
        state: PartitionState::default().to_json().unwrap(),
    };
    let plans = || Arc::clone(&worker.version.plans);
    let mut writer = worker.writer(worker.sink.clone(), plans(), &claim, 0, PartitionState::default());
    for (rejected, cuts, problem) in [
        (
            &[3][..],
            &[][..],
            "offset 0 it came out otherwise than before: table log: Cast error",
        ),
        (
            &[5],
            &[5, 6],
            "offset 3 it came out otherwise than before: not JSON",
        ),
        (
            &[1, 3, 5],
            &[5, 6],
            "offset 0 it came out otherwise than before: a record that was refused",
        ),
    ] {
        let outcome = writer
            .finish(&records, &intent(rejected, cuts), &mut Stored::default())
            .await;
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
        assert_eq!((world.disk.unfinished(), world.letters().await), (0, Vec::new()));
    }
    let mut stored = Stored::default();
    let intent = intent(&[1, 3, 5], &[1, 2, 5, 6]);
    writer.finish(&records, &intent, &mut stored).await.unwrap();
    assert_eq!(world.letters().await, [1, 3, 5]);
    assert_eq!((stored.records, stored.rows[0]), (9, (0, 6)));
    let letters = worker.sink.newest_dead_letters(9).await.unwrap();
    let errors: BTreeMap<i64, &str> = letters
        .iter()
        .map(|letter| (letter.id.offset, letter.error.as_str()))
        .collect();
    assert!(errors[&1].contains("a limit of time or memory"), "{errors:?}");
    assert!(errors[&5].contains("Cast error"), "{errors:?}");
    let offsets: Vec<i64> = world.seen("log").iter().map(|row| row[0]).collect();
    assert_eq!(offsets, [0, 2, 4, 6, 7, 8]);
}
