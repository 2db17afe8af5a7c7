//! In which order a pipeline's parts come: topics, then tables, then workers, then the generator. What runs already is
//! not touched before its turn.

use std::time::Duration;

use runtime::backoff::Backoff;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact by itself")]
pub(crate) struct RolloutProgress {
    /// All topics are there.
    pub(crate) topics_ready: bool,
    /// The Job for the present manifest is there.
    pub(crate) job_exists: bool,
    /// And it is done.
    pub(crate) prepared: bool,
    /// There are to be no workers.
    pub(crate) workers_paused: bool,
    /// Some worker is ready.
    pub(crate) workers_serve: bool,
    /// The generator has been started before.
    pub(crate) generator_exists: bool,
    /// There is to be no generator, or it is to stand still.
    pub(crate) generator_paused: bool,
}

/// Which parts may be given what the manifest says now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DueParts {
    pub(crate) prepare: bool,
    pub(crate) worker: bool,
    pub(crate) generator: bool,
}

#[must_use]
pub(crate) fn due(progress: RolloutProgress) -> DueParts {
    // No pods, no harm: what is to stand still stands still at once.
    let worker = progress.prepared || progress.workers_paused;
    let stored = progress.workers_serve || progress.workers_paused;
    let generator = progress.topics_ready && worker && (progress.generator_exists || stored);
    DueParts {
        prepare: progress.topics_ready || progress.job_exists,
        worker,
        generator: generator || (progress.generator_paused && progress.generator_exists),
    }
}

/// Between attempts of a Job that has given up.
const RETRY: Backoff = Backoff {
    initial: Duration::from_secs(20),
    max: Duration::from_mins(5),
};

/// How long a Job that has given up is left as it is, for its pod to be looked at, when that was seen `since` ago and
/// `attempts` Jobs have given up before it. No chance is in it: a reconcile that asks twice has to be told the same.
#[must_use]
pub(crate) fn retry_in(since: Duration, attempts: u32) -> Duration {
    RETRY.delay(attempts, 1.0).saturating_sub(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_in_order() {
        let none = RolloutProgress::default();
        let topics = RolloutProgress {
            topics_ready: true,
            ..none
        };
        let prepared = RolloutProgress {
            job_exists: true,
            prepared: true,
            ..topics
        };
        let serving = RolloutProgress {
            workers_serve: true,
            ..prepared
        };
        for (progress, expected) in [
            (none, (false, false, false)),
            (topics, (true, false, false)),
            (prepared, (true, true, false)),
            (serving, (true, true, true)),
        ] {
            let DueParts {
                prepare,
                worker,
                generator,
            } = due(progress);
            assert_eq!((prepare, worker, generator), expected, "{progress:?}");
        }
    }

    #[test]
    fn what_runs_waits_for_its_turn_and_what_rests_does_not() {
        let running = RolloutProgress {
            topics_ready: true,
            workers_serve: true,
            generator_exists: true,
            ..RolloutProgress::default()
        };
        assert!(!due(running).worker && !due(running).generator, "tables first");
        assert!(
            due(RolloutProgress {
                prepared: true,
                workers_serve: false,
                ..running
            })
            .generator,
            "it runs already"
        );
        assert!(
            due(RolloutProgress {
                workers_paused: true,
                ..running
            })
            .worker
        );
        assert!(
            due(RolloutProgress {
                generator_paused: true,
                topics_ready: false,
                ..running
            })
            .generator
        );
        assert!(
            !due(RolloutProgress {
                prepared: true,
                topics_ready: false,
                ..running
            })
            .generator
        );
    }

    #[test]
    fn a_failed_job_is_tried_again_after_pauses_that_grow() {
        for (since, attempts, expected) in [(5, 0, 15), (5, 1, 35), (0, 20, 300), (1000, 0, 0)] {
            let pause = retry_in(Duration::from_secs(since), attempts);
            assert_eq!(pause, Duration::from_secs(expected), "{since} {attempts}");
        }
    }
}
