//! One thread of the generator: asks the output what it holds, and writes what is due, tick by tick.

use std::sync::Arc;
use std::time::Duration;

use runtime::health::{Condition, Heartbeat};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::music::{Encoder, Music};
use crate::output::{Output, OutputError, Record, Written};
use crate::pacer::{Pacer, Position};
use crate::progress::Progress;
use crate::schedule::Schedule;

/// Between two looks at the clock when nothing is due: small against the 10 s over which a rate is judged.
const TICK: Duration = Duration::from_millis(5);
/// Events between two looks at the clock when much is due.
const CHUNK: usize = 4_096;
/// Between two questions whether the other replicas are complete too.
const COMPLETION_CHECK: i64 = 1_000_000;

/// How a thread ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It was asked to, or nobody reads on.
    Stopped,
    /// The limit is reached.
    Complete,
}

/// How a generator is run: what is the same for all of its threads.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Absent: as fast as the output takes events.
    pub schedule: Option<Schedule>,
    /// Ends after so many events, over all replicas.
    pub count: Option<u64>,
    /// Ends so long after the run's beginning.
    pub duration: Option<Duration>,
    /// Delays of at most so long are made up for; after longer ones events go on at their rate.
    pub catch_up: Duration,
    /// From beginning to end nothing is produced, but the limit of time runs on.
    pub paused: bool,
    /// While true nothing is produced.
    pub hold: watch::Receiver<bool>,
    /// Ends in order when cancelled.
    pub shutdown: CancellationToken,
}

#[derive(Debug)]
pub struct Engine {
    /// Number of the thread, for [`Progress`].
    pub thread: usize,
    pub music: Arc<Music>,
    pub output: Box<dyn Output>,
    pub clock: Arc<dyn Clock>,
    pub progress: Arc<Progress>,
    /// Beaten at every tick.
    pub heartbeat: Option<Heartbeat>,
    /// Met while shards are held.
    pub readiness: Option<Condition>,
}

impl Engine {
    /// Produces until it is complete or stopped.
    pub fn run(mut self, settings: &Settings) -> Result<Outcome, OutputError> {
        match self.produce(settings) {
            Err(OutputError::Closed) => Ok(Outcome::Stopped),
            Err(error) => Err(error),
            Ok(outcome) => {
                self.output.finish()?;
                Ok(outcome)
            }
        }
    }

    fn produce(&mut self, settings: &Settings) -> Result<Outcome, OutputError> {
        let shards = self.music.shards();
        let mut pacer = Pacer::new(shards, settings.schedule.clone(), settings.count);
        let mut encoder = Encoder::default();
        let mut shown = Vec::new();
        let mut end = i64::MAX;
        let mut held = false;
        let mut next_check = i64::MIN;
        loop {
            let now = self.clock.now();
            if let Some(heartbeat) = &self.heartbeat {
                heartbeat.beat();
            }
            if let Some(holding) = self.output.tick(now)? {
                pacer.hold(&holding.positions, now);
                if let (Some(started), Some(duration)) = (holding.started, settings.duration) {
                    end = started.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX));
                }
                self.show(&mut shown, &holding.positions);
                if !holding.positions.is_empty() {
                    self.progress.begin(now);
                }
                if let Some(readiness) = &self.readiness {
                    let held = !holding.positions.is_empty();
                    readiness.set(held.then_some(()).ok_or_else(|| "holds no shards".to_owned()));
                }
            }
            if settings.shutdown.is_cancelled() {
                return Ok(Outcome::Stopped);
            }
            if settings.paused || *settings.hold.borrow() {
                held = true;
                if now >= end {
                    return Ok(Outcome::Complete);
                }
                self.clock.sleep(TICK);
                continue;
            }
            self.keep_pace(&mut pacer, settings, std::mem::take(&mut held), now);
            let written = self.write_due(&mut pacer, &mut encoder, now, end)?;
            self.show_behind(&pacer, now);
            if now >= end {
                return Ok(Outcome::Complete);
            }
            if let (None, Some(count)) = (pacer.head(), settings.count)
                && now >= next_check
            {
                if self
                    .output
                    .is_complete(&|shard| shards.events_within(shard, count))?
                {
                    return Ok(Outcome::Complete);
                }
                next_check = now.saturating_add(COMPLETION_CHECK);
            }
            if written < CHUNK {
                self.clock.sleep(until_next(&pacer, self.clock.now()));
            }
        }
    }

    /// Goes on at the rate from now on after a pause, or when events are too late to be caught up with.
    fn keep_pace(&self, pacer: &mut Pacer, settings: &Settings, resumed: bool, now: i64) {
        if settings.schedule.is_none() {
            return;
        }
        let late = pacer.head().map_or(0, |head| now.saturating_sub(head));
        let too_late = late > i64::try_from(settings.catch_up.as_micros()).unwrap_or(i64::MAX);
        if resumed || too_late {
            if too_late && !resumed {
                self.progress.interrupted();
                tracing::warn!(
                    behind_seconds = late as f64 / 1e6,
                    "the rate could not be kept; events go on at their rate from now"
                );
            }
            pacer.rebase(now);
        }
    }

    /// Writes what is due at `now` and before `end`, at most a chunk; returns how many events that was.
    fn write_due(
        &mut self,
        pacer: &mut Pacer,
        encoder: &mut Encoder,
        now: i64,
        end: i64,
    ) -> Result<usize, OutputError> {
        let until = now.min(end.saturating_sub(1));
        for written in 0..CHUNK {
            let Some(due) = pacer.peek(until) else {
                return Ok(written);
            };
            let Some(event) = self.music.event(due.shard, due.index) else {
                return Ok(written);
            };
            let at = if due.at == Pacer::ASAP { now } else { due.at };
            let (key, value) = encoder.encode(&event, at);
            let record = Record {
                shard: due.shard,
                key,
                value,
            };
            if self.output.write(record)? == Written::Full {
                return Ok(written);
            }
            pacer.advance();
            self.progress.set_position(due.shard, Some(due.index + 1));
        }
        Ok(CHUNK)
    }

    /// `shown` are the shards that this thread held until now.
    fn show(&self, shown: &mut Vec<u16>, positions: &[Position]) {
        for shard in shown.drain(..) {
            self.progress.set_position(shard, None);
        }
        for position in positions {
            self.progress
                .set_position(position.shard, Some(position.produced));
            shown.push(position.shard);
        }
    }

    fn show_behind(&self, pacer: &Pacer, now: i64) {
        let behind = pacer
            .head()
            .filter(|head| *head != Pacer::ASAP)
            .map_or(0, |head| now.saturating_sub(head).max(0));
        self.progress.set_behind(self.thread, behind);
    }
}

/// Until the next event is due, but never longer than a tick.
fn until_next(pacer: &Pacer, now: i64) -> Duration {
    match pacer.head() {
        Some(head) if head > now => Duration::from_micros((head - now) as u64).min(TICK),
        // Due, and still here: the output is full.
        Some(_) => Duration::from_millis(1),
        None => TICK,
    }
}

#[cfg(test)]
mod tests;
