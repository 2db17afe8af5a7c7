//! A generator's threads, from start to end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use api::Generator;
use runtime::health::Health;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::destination::Destination;
use crate::engine::{Engine, Outcome, Settings};
use crate::music::Music;
use crate::output::kafka::{BUSY, Idempotent, Transactional};
use crate::output::{Discard, Lines, Output, OutputError};
use crate::progress::Progress;
use crate::schedule::Schedule;

/// A thread that has not gone round its loop for so long is stuck: the longest call to Kafka takes half of it.
const STUCK: Duration = Duration::from_secs(90);
/// How long brokers may take to be told that a replica leaves.
const LEAVE: Duration = Duration::from_secs(3);
/// Delays that are made up for, unless said otherwise.
pub const CATCH_UP: Duration = Duration::from_secs(1);

/// What a run needs from the process that it runs in.
#[derive(Debug)]
pub struct Context {
    /// Threads that share the shards; at least one.
    pub threads: usize,
    /// Without regard to rate and shape: as fast as the output takes events.
    pub unlimited: bool,
    /// Delays of at most so long are made up for ([`CATCH_UP`]).
    pub catch_up: Duration,
    /// While true nothing is produced; afterwards events go on at their rate.
    pub hold: watch::Receiver<bool>,
    pub clock: Arc<dyn Clock>,
    /// Made for as many shards and threads.
    pub progress: Arc<Progress>,
    /// Each thread shows here that it is alive, and ready when it holds shards.
    pub health: Health,
    /// Ends the run in order.
    pub shutdown: CancellationToken,
}

/// What a run has done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Whether it reached its limit.
    pub outcome: Outcome,
    /// Events that this process has produced.
    pub events: u64,
    /// How long that took, from the moment when it had shards.
    pub elapsed: Duration,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            Outcome::Complete => "complete",
            Outcome::Stopped => "stopped",
        };
        let seconds = self.elapsed.as_secs_f64();
        let rate = self.events as f64 / seconds.max(1e-6);
        write!(
            f,
            "{outcome}: {} events in {seconds:.1} s ({rate:.0} events/s)",
            self.events
        )
    }
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An output gave up.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A defect: a thread panicked.
    #[error("a thread of the generator ended unexpectedly")]
    ThreadDied(#[source] tokio::task::JoinError),
}

/// Produces events until the generator's limit is reached, `shutdown` is cancelled, or something fails for good.
pub async fn run(
    generator: &Generator,
    music: Arc<Music>,
    destination: Destination,
    context: Context,
) -> Result<Summary, RunError> {
    let Context {
        threads,
        unlimited,
        catch_up,
        hold,
        clock,
        progress,
        health,
        shutdown,
    } = context;
    // Ends the other threads when one of them fails.
    let shutdown = shutdown.child_token();
    let settings = Settings {
        schedule: (!unlimited).then(|| Schedule::new(generator.rate, &generator.shape)),
        count: generator.limit.count,
        duration: generator.limit.duration,
        catch_up,
        paused: generator.paused,
        hold,
        shutdown: shutdown.clone(),
    };
    let begun = clock.now();
    let rate = settings.schedule.as_ref().map_or(f64::INFINITY, Schedule::mean);
    let (mut tasks, mut drivers) = (JoinSet::new(), JoinSet::new());
    for (thread, shards) in split(music.shards().count(), threads).into_iter().enumerate() {
        let busy = rate >= BUSY;
        let output = output(&destination, thread, busy, shards, begun, &progress, &mut drivers)?;
        let name = format!("generator thread {thread}");
        let engine = Engine {
            thread,
            music: Arc::clone(&music),
            output,
            clock: Arc::clone(&clock),
            progress: Arc::clone(&progress),
            heartbeat: Some(health.heartbeat(&name, STUCK)),
            readiness: Some(health.condition(&name)),
        };
        let settings = settings.clone();
        tasks.spawn_blocking(move || engine.run(&settings));
    }
    let mut outcome = Outcome::Complete;
    let mut failure = None;
    while !tasks.is_empty() {
        let ended = tokio::select! {
            Some(ended) = tasks.join_next() => ended,
            // Others end when their thread lets them go.
            Some(Err(error)) = drivers.join_next() => Err(error),
        };
        match ended {
            Ok(Ok(ended)) => outcome = outcome.min(ended),
            Ok(Err(error)) => {
                failure.get_or_insert(RunError::Output(error));
                shutdown.cancel();
            }
            Err(error) => {
                failure.get_or_insert(RunError::ThreadDied(error));
                shutdown.cancel();
            }
        }
    }
    // What is left for them to do is to take leave, which is polite, and not more.
    let all_left = async { while drivers.join_next().await.is_some() {} };
    drop(tokio::time::timeout(LEAVE, all_left).await);
    match failure {
        Some(failure) => Err(failure),
        None => Ok(Summary {
            outcome,
            events: progress.events(),
            elapsed: Duration::from_micros(
                (clock.now() - progress.begun().unwrap_or(clock.now())).max(0) as u64
            ),
        }),
    }
}

/// Neighbouring shards for each thread: what threads write often lies apart in memory.
fn split(shards: u16, threads: usize) -> Vec<Vec<u16>> {
    let threads = threads.min(usize::from(shards)).max(1);
    let each = usize::from(shards).div_ceil(threads);
    let all: Vec<u16> = (0..shards).collect();
    all.chunks(each.max(1)).map(<[u16]>::to_vec).collect()
}

/// The output of one thread. A group shares its shards by itself, whatever `shards` says.
fn output(
    destination: &Destination,
    thread: usize,
    busy: bool,
    shards: Vec<u16>,
    begun: i64,
    progress: &Arc<Progress>,
    drivers: &mut JoinSet<()>,
) -> Result<Box<dyn Output>, OutputError> {
    let progress = Arc::clone(progress);
    Ok(match destination {
        Destination::Discard => Box::new(Discard::new(shards, progress)),
        Destination::Lines(target, name) => {
            Box::new(Lines::new(Arc::clone(target), name.clone(), shards, progress))
        }
        Destination::Idempotent(target) => {
            let target = target.for_thread(thread, busy);
            Box::new(Idempotent::new(&target, shards, begun, progress, drivers)?)
        }
        Destination::Transactional(target) => Box::new(Transactional::new(
            target.for_thread(thread, busy),
            progress,
            drivers,
        )?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_split_once() {
        for (shards, threads, expected) in [
            (64, 1, 1),
            (64, 2, 2),
            (64, 3, 3),
            (2, 8, 2),
            (1, 1, 1),
            (10, 4, 4),
        ] {
            let split = split(shards, threads);
            assert_eq!(split.len(), expected, "{shards} over {threads}");
            assert_eq!(split.concat(), (0..shards).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_summary_is_one_line() {
        let summary = Summary {
            outcome: Outcome::Complete,
            events: 10_000,
            elapsed: Duration::from_millis(10_040),
        };
        assert_eq!(
            summary.to_string(),
            "complete: 10000 events in 10.0 s (996 events/s)"
        );
    }
}
