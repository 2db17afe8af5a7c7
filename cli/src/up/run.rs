//! A run from its first event to its last record stored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::{Partition, Pipeline};
use prometheus_client::registry::Registry;
use runtime::health::Health;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::UpArgs;
use super::ends::{self, Ends};
use super::parts::{Generator, Workers, serve};
use super::scale::Scaling;
use super::snapshot::{Meter, Phase, Snapshot, unread};
use super::stage::{Stage, died};
use super::view::View;
use super::{hold, models};
use crate::audit::AuditResult;
use crate::error::CliError;
use crate::style::{count, grouped};

/// Between two looks at the run: short, for the generator fills the embedded broker in a fraction of a second.
const TICK: Duration = Duration::from_millis(50);

/// Records may be left, and offsets of transactions' markers among them: fewer than this are counted one by one.
const FEW: u64 = 5_000;

/// Without a record stored for so long, draining is given up.
const DRAIN_STANDSTILL: Duration = Duration::from_secs(45);

/// The longest that draining takes.
const DRAIN_LIMIT: Duration = Duration::from_mins(5);

/// A pipeline at work.
pub(super) struct Run<'a> {
    stage: &'a Stage,
    started: Instant,
    planned: Option<Duration>,
    workers: Workers,
    /// Decides how many; `None` where the number is fixed.
    scaling: Option<Scaling>,
    generator: Option<Generator>,
    ends: watch::Receiver<Ends>,
    snapshots: watch::Sender<Snapshot>,
    meters: (Meter, Meter),
    held_for: Duration,
    shutdown: CancellationToken,
    _ends: DropGuard,
    _models: Option<DropGuard>,
    _server: Option<DropGuard>,
}

impl<'a> Run<'a> {
    /// Starts workers, then the generator, then the view.
    pub(super) async fn start(
        up: &UpArgs,
        stage: &'a Stage,
        view: &mut View,
        shutdown: CancellationToken,
    ) -> Result<Run<'a>, CliError> {
        let pipeline = &stage.pipeline;
        let (health, mut registry) = (Health::new(), Registry::default());
        let scaling = &pipeline.scaling;
        let wanted = up
            .workers
            .map_or(scaling.replicas.unwrap_or(scaling.min), Into::into);
        let workers = Workers::start(stage, wanted, &mut registry, &health);
        let workers = if stage.is_new {
            // The embedded broker waits 3 s for a group's first members: the references are loaded meanwhile. The
            // tables are there long before.
            tokio::try_join!(workers, stage.prepare(view))?.0
        } else {
            workers.await?
        };
        view.step(&format!("{} started", count(wanted.into(), "worker", "workers")))?;
        let stop_ends = CancellationToken::new();
        let mut ends = ends::watch(pipeline, Arc::clone(&stage.lags), stop_ends.clone());
        // Nothing is produced before it is seen how much is unread.
        let stop_ends = stop_ends.drop_guard();
        tokio::select! {
            seen = ends.changed() => seen.map_err(|_| died("the task that watches the topics"))?,
            () = shutdown.cancelled() => {}
        }
        let generator = Generator::start(stage, &mut registry, &health).await?;
        if let Some(generator) = &pipeline.generator {
            let lasting = up
                .lasting
                .map_or_else(String::new, |lasting| format!(" for {} s", lasting.as_secs_f64()));
            let limit = generator
                .limit
                .count
                .map_or_else(String::new, |events| format!(", {} in all", grouped(events)));
            let paused = if generator.paused {
                " (paused by the manifest)"
            } else {
                ""
            };
            view.step(&format!(
                "generator: {} events/s{lasting}{limit}{paused}",
                generator.rate
            ))?;
        }
        let server = serve(up, health, registry).await?;
        let snapshots = watch::Sender::new(first_snapshot(pipeline, generator.is_some(), up.lasting));
        view.begin(snapshots.subscribe(), &shutdown)?;
        Ok(Self {
            stage,
            started: Instant::now(),
            planned: up.lasting,
            workers,
            scaling: match up.workers {
                Some(_) => None,
                None => Scaling::new(pipeline),
            },
            generator,
            ends,
            snapshots,
            meters: Default::default(),
            held_for: Duration::ZERO,
            shutdown,
            _ends: stop_ends,
            _models: stage.models.clone().map(models::run_as_scheduled),
            _server: server,
        })
    }

    /// Runs, stops in order, and judges.
    pub(super) async fn finish(mut self, view: &mut View) -> Result<AuditResult, CliError> {
        let worked = self.work(view).await;
        let generated = match &mut self.generator {
            Some(generator) => Some(generator.stop().await),
            None => None,
        };
        let summary = match (worked, generated) {
            (Err(error), _) | (_, Some(Err(error))) => return Err(error),
            (Ok(()), summary) => summary.transpose()?,
        };
        if let Some(summary) = summary {
            view.step(&format!("generator {summary}"))?;
        }
        if !self.held_for.is_zero() {
            let seconds = self.held_for.as_secs_f64();
            view.step(&format!(
                "generator: held back for {seconds:.1} s in all, as the embedded Kafka keeps little"
            ))?;
        }
        let left = self.drain().await?;
        let Self {
            stage,
            workers,
            generator,
            snapshots,
            ..
        } = self;
        let produced = generator
            .as_ref()
            .map_or(0, |generator| generator.progress.events());
        workers.stop().await?;
        drop(snapshots);
        view.end();
        match left {
            None => view.step("workers: stopped")?,
            Some(0) => view.step("workers: everything is stored; stopped")?,
            Some(left) => view.step(&format!(
                "workers: stopped with {} left",
                count(left, "record", "records")
            ))?,
        }
        stage.examine(produced).await
    }

    /// Until something says that it is enough.
    async fn work(&mut self, view: &mut View) -> Result<(), CliError> {
        let end = self.planned.map(|planned| self.started + planned);
        let mut ticks = tokio::time::interval(TICK);
        loop {
            let generator = async {
                match &mut self.generator {
                    Some(generator) => generator.ended().await.map(drop),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Ok(()),
                ended = generator => return ended,
                error = self.workers.defect() => return Err(error),
                _ = ticks.tick() => {}
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                return Ok(());
            }
            self.scale(view).await?;
            self.look(Phase::Running);
        }
    }

    /// Adds or ends workers, if the scaler says so.
    async fn scale(&mut self, view: &mut View) -> Result<(), CliError> {
        let Some(scaling) = &mut self.scaling else {
            return Ok(());
        };
        let (workers, elapsed) = (self.workers.count(), self.started.elapsed());
        let decided = scaling.decide(&self.ends.borrow(), workers, elapsed, jiff::Timestamp::now());
        let Some(decision) = decided else {
            return Ok(());
        };
        if decision.replicas != workers {
            view.step(&decision.text)?;
            self.workers.scale(decision.replicas).await?;
        }
        self.snapshots
            .send_modify(|snapshot| snapshot.decision = decision.text);
        Ok(())
    }

    /// Lets the workers store what is left; gives the number of records that are left all the same. Without a
    /// generator there is no end to wait for.
    async fn drain(&mut self) -> Result<Option<u64>, CliError> {
        if self.generator.is_none() {
            return Ok(None);
        }
        let produced = self
            .generator
            .as_ref()
            .map_or(0, |generator| generator.progress.events());
        let begun = Instant::now();
        let (mut moved, mut stored) = (Instant::now(), 0);
        let mut ticks = tokio::time::interval(TICK);
        // A look that began before the generator's last delivery may have missed it.
        let fresh = self.ends.borrow().look + 2;
        loop {
            tokio::select! {
                biased;
                error = self.workers.defect() => return Err(error),
                _ = ticks.tick() => {}
            }
            let snapshot = self.look(Phase::Draining);
            if snapshot.stored != stored {
                (moved, stored) = (Instant::now(), snapshot.stored);
            }
            let is_fresh = self.ends.borrow().look >= fresh;
            if is_fresh && snapshot.unread() == 0 {
                return Ok(Some(0));
            }
            let few = is_fresh && self.stage.broker.is_none() && snapshot.unread() < FEW;
            if few && self.stage.examine(produced).await?.unread() == Some(0) {
                return Ok(Some(0));
            }
            if moved.elapsed() >= DRAIN_STANDSTILL || begun.elapsed() >= DRAIN_LIMIT {
                return Ok(Some(snapshot.unread()));
            }
        }
    }

    /// Looks at everything, shows it, and holds the generator back if need be.
    fn look(&mut self, phase: Phase) -> Snapshot {
        let elapsed = self.started.elapsed();
        let progress = self
            .workers
            .progress
            .lock()
            .map(|progress| progress.clone())
            .unwrap_or_default();
        let unread = unread(&self.ends.borrow(), &progress);
        let stored = progress.records().saturating_sub(self.stage.stored_before);
        let produced = self
            .generator
            .as_ref()
            .map(|generator| generator.progress.events());
        let mut snapshot = self.snapshots.borrow().clone();
        let since = elapsed.saturating_sub(snapshot.elapsed);
        snapshot.phase = phase;
        snapshot.elapsed = elapsed;
        snapshot.produced = produced;
        snapshot.stored = stored;
        snapshot.workers = self.workers.count();
        snapshot.rate_in = self.meters.0.rate(elapsed, produced.unwrap_or(0));
        snapshot.rate_out = self.meters.1.rate(elapsed, stored);
        if !unread.is_empty() {
            snapshot.unread = unread;
        }
        snapshot.rows.extend(progress.rows());
        snapshot.dead_letters = progress.dead_letters();
        snapshot.audit = progress.audit();
        if let Some(generator) = &self.generator {
            snapshot.behind = generator.progress.behind();
            if self.stage.broker.is_some() && phase == Phase::Running {
                let bytes = generator.progress.bytes() / generator.progress.events().max(1);
                if snapshot.held {
                    self.held_for += since;
                }
                // What was produced since the topics were last looked at is spread over the partitions evenly.
                let even = generator.progress.events().saturating_sub(stored)
                    / (snapshot.unread.len() as u64).max(1);
                snapshot.held = hold::decide(snapshot.held, snapshot.most_unread().max(even), bytes);
                generator
                    .hold
                    .send_if_modified(|held| std::mem::replace(held, snapshot.held) != snapshot.held);
            } else {
                snapshot.held = false;
            }
        }
        self.snapshots.send_replace(snapshot.clone());
        snapshot
    }
}

/// All partitions and tables, with nothing in them yet: the view keeps its height.
fn first_snapshot(pipeline: &Pipeline, generates: bool, planned: Option<Duration>) -> Snapshot {
    let partitions = pipeline.topics.iter().flat_map(|topic| {
        let name: std::sync::Arc<str> = topic.name.as_str().into();
        (0..topic.partitions).map(move |number| {
            (
                Partition {
                    topic: std::sync::Arc::clone(&name),
                    number,
                },
                0,
            )
        })
    });
    let rows: BTreeMap<String, u64> = pipeline
        .tables
        .iter()
        .map(|table| (table.name.to_string(), 0))
        .collect();
    Snapshot {
        name: pipeline.name.to_string(),
        planned,
        produced: generates.then_some(0),
        unread: partitions.collect(),
        rows,
        ..Snapshot::default()
    }
}
