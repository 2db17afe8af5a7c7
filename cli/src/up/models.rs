//! Models of a run: as scheduled while it lasts, and once more before its reports are shown.

use std::sync::Arc;
use std::time::Duration;

use api::Model;
use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};
use tokio_util::sync::{CancellationToken, DropGuard};
use worker::models::Models;

/// The models whose schedules name this minute.
fn due(models: &[Model], minute: Timestamp) -> impl Iterator<Item = &Model> {
    models
        .iter()
        .filter(move |model| model.schedule.latest_start(minute) == Some(minute))
}

/// The beginning of the minute after `now`.
fn next_minute(now: Timestamp) -> Timestamp {
    let down = TimestampRound::new()
        .smallest(Unit::Minute)
        .mode(RoundMode::Trunc);
    let minute = now.round(down).unwrap_or(now);
    minute.saturating_add(SignedDuration::from_mins(1)).unwrap_or(now)
}

/// Runs each model as scheduled until the guard is dropped: one at a time, and none again for a time that passed
/// meanwhile.
pub(super) fn run_as_scheduled(models: Arc<Models>) -> DropGuard {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        loop {
            let now = Timestamp::now();
            let minute = next_minute(now);
            let pause = Duration::try_from(minute.duration_since(now)).unwrap_or_default();
            tokio::select! {
                biased;
                () = stopped.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            for model in due(models.all(), minute) {
                if let Err(error) = models.run(model).await {
                    let error = runtime::report::line(&error);
                    tracing::warn!(model = %model.name, error, "a model's run failed; its table has the rows of the run before");
                }
            }
        }
    });
    stop.drop_guard()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_model_has_its_minutes() {
        let model = |name: &str, schedule: &str| Model {
            name: api::TableName::new(name).unwrap(),
            schedule: api::Schedule::parse(schedule).unwrap(),
            kind: api::ModelKind::Sql("SELECT 1".to_owned()),
        };
        let models = [
            model("quarterly", "*/15 * * * *"),
            model("daily", "30 4 * * *"),
            model("yearly", "0 0 1 1 *"),
        ];
        for (minute, expected) in [
            ("2026-11-21T04:14:00Z", &[][..]),
            ("2026-11-21T04:15:00Z", &["quarterly"]),
            ("2026-11-21T04:30:00Z", &["quarterly", "daily"]),
            ("2027-01-01T00:00:00Z", &["quarterly", "yearly"]),
        ] {
            let names: Vec<&str> = due(&models, minute.parse().unwrap())
                .map(|model| model.name.as_str())
                .collect();
            assert_eq!(names, expected, "{minute}");
        }
        for (now, expected) in [
            ("2026-11-21T04:14:59.9Z", "2026-11-21T04:15:00Z"),
            ("2026-11-21T04:15:00Z", "2026-11-21T04:16:00Z"),
        ] {
            assert_eq!(next_minute(now.parse().unwrap()).to_string(), expected);
        }
    }
}
