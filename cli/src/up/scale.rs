//! The number of workers in this process: the operator's scaler, on the same readings. Pure.

use std::time::Duration;

use api::{Pipeline, ScalingMode};
use jiff::Timestamp;
use scaler::{Decision, History, Observation, Policy};

use super::ends::Ends;

/// Between two decisions. Shorter than the operator's: runs are short here, and workers start at once.
const EVERY: Duration = Duration::from_secs(5);

/// Decides from time to time.
#[derive(Debug)]
pub(super) struct Scaling {
    policy: Policy,
    history: History,
    next: Duration,
    /// The look that was decided on last.
    look: u64,
}

impl Scaling {
    /// `None` where the number is fixed: by the manifest, or because nothing is to be decided.
    pub(super) fn new(pipeline: &Pipeline) -> Option<Self> {
        let scaling = &pipeline.scaling;
        if scaling.replicas.is_some() || scaling.mode == ScalingMode::Off {
            return None;
        }
        let mut policy = operator::scaling::policy(pipeline);
        // Somebody has to see the first record.
        policy.min = policy.min.max(1);
        Some(Self {
            policy,
            history: History::default(),
            next: EVERY,
            look: 0,
        })
    }

    /// A decision, if it is time for one and the topics were looked at since the last.
    pub(super) fn decide(
        &mut self,
        ends: &Ends,
        workers: u32,
        elapsed: Duration,
        now: Timestamp,
    ) -> Option<Decision> {
        if elapsed < self.next || ends.look == self.look {
            return None;
        }
        self.next = elapsed + EVERY;
        self.look = ends.look;
        let observation = Observation {
            partitions: ends.readings.clone(),
            desired: workers,
            ready: workers,
        };
        let (decision, history) = scaler::decide(&observation, &self.policy, &self.history, now);
        self.history = history;
        Some(decision)
    }
}

#[cfg(test)]
mod tests {
    use scaler::{Committed, LogRange, PartitionId, PartitionReading};

    use super::*;

    fn pipeline(scaling: &str) -> Pipeline {
        let manifest = format!(
            "
apiVersion: streampipeline.dev/v1alpha1
kind: StreamPipeline
metadata: {{name: music}}
spec:
  kafka: {{bootstrapServers: \"kafka:9092\"}}
  topics: [{{name: plays, partitions: 8, fields: {{user_id: int}}}}]
  tables: [{{name: rows, sql: SELECT user_id FROM plays}}]
  scaling: {scaling}
  sink: {{sqlite: {{path: music.db}}}}
"
        );
        api::validate(&api::parse(&manifest).unwrap()).unwrap()
    }

    /// The eight partitions after so many seconds of 8,000 records/s; one worker does 2,000/s.
    fn ends(look: u64, seconds: i64) -> Ends {
        let topic = "plays".into();
        let reading = |number| PartitionReading {
            id: PartitionId::new(&topic, number),
            log: Some(LogRange {
                start: 0,
                end: seconds * 1_000,
            }),
            committed: Committed::At(seconds * 250),
            age_seconds: 0.0,
            records_per_busy_second: Some(2_000.0),
            sink_wait_share: Some(0.1),
            handover: None,
            newest_event_ms: None,
        };
        Ends {
            look,
            readings: (0..8).map(reading).collect(),
            ..Ends::default()
        }
    }

    #[test]
    fn more_than_a_worker_can_do_is_more_workers() {
        let mut scaling = Scaling::new(&pipeline("{max: 8}")).unwrap();
        let begun: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let workers = (1..=8_u64).fold(1, |workers, tick| {
            let seconds = tick as i64 * 5;
            let elapsed = Duration::from_secs(tick * 5);
            let now = begun + jiff::SignedDuration::from_secs(seconds);
            let decision = scaling.decide(&ends(tick, seconds), workers, elapsed, now);
            decision.map_or(workers, |decision| decision.replicas)
        });
        assert_eq!(workers, 8);
    }

    #[test]
    fn between_two_times_and_without_news_nothing_is_decided() {
        let mut scaling = Scaling::new(&pipeline("{max: 8}")).unwrap();
        let now = Timestamp::UNIX_EPOCH;
        assert!(
            scaling
                .decide(&ends(1, 1), 1, Duration::from_secs(1), now)
                .is_none()
        );
        assert!(
            scaling
                .decide(&ends(1, 1), 1, Duration::from_secs(5), now)
                .is_some()
        );
        assert!(
            scaling
                .decide(&ends(2, 2), 1, Duration::from_secs(6), now)
                .is_none()
        );
        assert!(
            scaling
                .decide(&ends(1, 1), 1, Duration::from_secs(15), now)
                .is_none()
        );
    }

    #[test]
    fn a_fixed_number_is_not_decided_about() {
        assert!(Scaling::new(&pipeline("{replicas: 3}")).is_none());
        assert!(Scaling::new(&pipeline("{mode: 'Off'}")).is_none());
    }
}
