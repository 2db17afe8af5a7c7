//! What a thread of the generator does over time, with a clock that jumps instead of waiting.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::*;
use crate::output::Holding;
use api::RateShape;

const SECOND: i64 = 1_000_000;
const START: i64 = 1_795_240_000 * SECOND;

/// Waiting makes it later, and nothing else does.
#[derive(Debug)]
struct JumpingClock(AtomicI64);

impl Clock for JumpingClock {
    fn now(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn sleep(&self, duration: Duration) {
        self.0.fetch_add(duration.as_micros() as i64, Ordering::Relaxed);
    }
}

/// What is written, and when.
#[derive(Debug, Default)]
struct Log {
    written: Vec<(i64, String)>,
    finished: bool,
}

/// Takes records except at certain times, and does things at certain times.
struct Script {
    clock: Arc<JumpingClock>,
    log: Arc<Mutex<Log>>,
    announced: bool,
    full: std::ops::Range<i64>,
    at: Vec<(i64, Box<dyn FnOnce() + Send>)>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

impl Output for Script {
    fn tick(&mut self, now: i64) -> Result<Option<Holding>, OutputError> {
        while self.at.first().is_some_and(|(time, _)| now >= START + time) {
            self.at.remove(0).1();
        }
        let shards = (0..64).collect();
        Ok((!std::mem::replace(&mut self.announced, true))
            .then(|| crate::output::discard::from_the_start(shards, now)))
    }

    fn write(&mut self, record: Record<'_>) -> Result<Written, OutputError> {
        let now = self.clock.now() - START;
        if self.full.contains(&now) {
            return Ok(Written::Full);
        }
        let value = String::from_utf8(record.value.to_vec()).unwrap();
        self.log.lock().unwrap().written.push((now, value));
        Ok(Written::Taken)
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).finished = true;
        Ok(())
    }

    fn is_complete(&mut self, _: &dyn Fn(u16) -> u64) -> Result<bool, OutputError> {
        Ok(true)
    }
}

struct Scene {
    settings: Settings,
    hold: watch::Sender<bool>,
    script: Script,
    log: Arc<Mutex<Log>>,
}

impl Scene {
    /// A thousand events a second for ten seconds.
    fn new() -> Self {
        let (hold, watched) = watch::channel(false);
        let clock = Arc::new(JumpingClock(AtomicI64::new(START)));
        let log = Arc::new(Mutex::new(Log::default()));
        Self {
            settings: Settings {
                schedule: Some(Schedule::new(1_000.0, &RateShape::Constant)),
                count: None,
                duration: Some(Duration::from_secs(10)),
                catch_up: Duration::from_secs(1),
                paused: false,
                hold: watched,
                shutdown: CancellationToken::new(),
            },
            hold,
            script: Script {
                clock,
                log: Arc::clone(&log),
                announced: false,
                full: 0..0,
                at: Vec::new(),
            },
            log,
        }
    }

    fn play(self) -> (Outcome, Vec<(i64, String)>, Arc<Progress>) {
        let progress = Arc::new(Progress::new(64, 1));
        let engine = Engine {
            thread: 0,
            music: Arc::new(Music::load(&crate::testing::generator()).unwrap()),
            clock: Arc::clone(&self.script.clock) as Arc<dyn Clock>,
            output: Box::new(self.script),
            progress: Arc::clone(&progress),
            heartbeat: None,
            readiness: None,
        };
        let outcome = engine.run(&self.settings).unwrap();
        let log = std::mem::take(&mut *self.log.lock().unwrap());
        assert!(log.finished);
        (outcome, log.written, progress)
    }
}

fn within(written: &[(i64, String)], from: i64, to: i64) -> usize {
    written
        .iter()
        .filter(|(time, _)| (from * SECOND..to * SECOND).contains(time))
        .count()
}

#[test]
fn the_rate_is_held() {
    let (outcome, written, progress) = Scene::new().play();
    assert_eq!(outcome, Outcome::Complete);
    assert_eq!(written.len(), 10_000);
    for second in 0..10 {
        assert!(
            within(&written, second, second + 1).abs_diff(1_000) <= 5,
            "second {second}"
        );
    }
    assert_eq!(progress.interruptions(), 0);
    assert_eq!(progress.positions().flatten().sum::<u64>(), 10_000);
}

#[test]
fn a_count_is_exact() {
    let mut scene = Scene::new();
    scene.settings.count = Some(1_234);
    let (outcome, written, _) = scene.play();
    assert_eq!((outcome, written.len()), (Outcome::Complete, 1_234));
}

/// Event times are the instants at which events were due, not those at which they were written.
#[test]
fn event_times_are_due_times() {
    let mut scene = Scene::new();
    scene.settings.count = Some(3);
    let (_, written, _) = scene.play();
    for (text, due) in written.iter().zip(["40.000000Z", "40.001000Z", "40.002000Z"]) {
        assert!(text.1.contains(&format!("{due}\"")), "{} for {due}", text.1);
    }
}

/// Half a second without room is made up for, so that the total is what it should be.
#[test]
fn short_delays_are_caught_up_with() {
    let mut scene = Scene::new();
    scene.script.full = 2 * SECOND..2 * SECOND + SECOND / 2;
    let (_, written, progress) = scene.play();
    assert_eq!(written.len(), 10_000);
    assert_eq!(progress.interruptions(), 0);
}

/// Three seconds are not: no burst follows, and the interruption is counted.
#[test]
fn long_delays_are_not() {
    let mut scene = Scene::new();
    scene.script.full = 2 * SECOND..5 * SECOND;
    let (_, written, progress) = scene.play();
    assert!((6_900..8_100).contains(&written.len()), "{}", written.len());
    assert!(within(&written, 5, 6) <= 2_010, "{}", within(&written, 5, 6));
    assert!(within(&written, 7, 8).abs_diff(1_000) <= 5);
    assert!(progress.interruptions() >= 1);
}

/// Held back (the embedded broker is full), then let go: at the rate from then on, and nothing is left out.
#[test]
fn holding_is_not_made_up_for() {
    let mut scene = Scene::new();
    let (stop, go) = (scene.hold.clone(), scene.hold.clone());
    scene.script.at = vec![
        (2 * SECOND, Box::new(move || stop.send(true).unwrap())),
        (6 * SECOND, Box::new(move || go.send(false).unwrap())),
    ];
    let (outcome, written, progress) = scene.play();
    assert_eq!(outcome, Outcome::Complete);
    assert!(written.len().abs_diff(6_000) <= 10, "{}", written.len());
    assert_eq!(within(&written, 2, 6), 0);
    assert!(within(&written, 6, 7).abs_diff(1_000) <= 5);
    assert_eq!(progress.interruptions(), 0);
    assert_eq!(progress.positions().flatten().sum::<u64>(), written.len() as u64);
}

#[test]
fn paused_generators_produce_nothing_and_still_end() {
    let mut scene = Scene::new();
    scene.settings.paused = true;
    let (outcome, written, _) = scene.play();
    assert_eq!((outcome, written.len()), (Outcome::Complete, 0));
}

#[test]
fn shutdown_ends_it() {
    let mut scene = Scene::new();
    let shutdown = scene.settings.shutdown.clone();
    scene.script.at = vec![(3 * SECOND, Box::new(move || shutdown.cancel()))];
    let (outcome, written, _) = scene.play();
    assert_eq!(outcome, Outcome::Stopped);
    assert!(written.len().abs_diff(3_000) <= 10);
}

/// Without a schedule the clock does not matter: all of a count comes at once.
#[test]
fn unlimited_does_not_wait() {
    let mut scene = Scene::new();
    scene.settings.schedule = None;
    scene.settings.count = Some(50_000);
    let (_, written, _) = scene.play();
    assert_eq!(written.len(), 50_000);
    assert!(written.last().unwrap().0 < SECOND / 10);
}
