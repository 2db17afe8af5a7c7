//! `spec.batch`, `spec.deadLetters` and `spec.scaling`.

use std::time::Duration;

use super::problem::Report;
use super::values::{duration, narrow};
use crate::crd::{
    BATCH_BYTES, BATCH_WAIT, BatchSpec, DRAIN_WITHIN, FRESHNESS, MIN_ABOVE_MAX, PATIENCE, REPLICAS_OUTSIDE,
    RuleText, ScalingSpec, ScalingWindowSpec, TopicSpec, WINDOW_BOUNDS, WINDOW_LENGTH,
};
use crate::duration::DurationText;
use crate::quantity::{QuantityError, parse_quantity};
use crate::{Batch, Scaling, ScalingWindow, cron};

pub(super) fn batch(spec: &BatchSpec, report: &mut Report) -> Option<Batch> {
    let max_bytes = parse_quantity(&spec.max_bytes.0)
        .map_err(|error| report.add("spec.batch.maxBytes", error.to_string(), QuantityError::REMEDY))
        .ok();
    if max_bytes.is_some_and(|bytes| !(1 << 10..=256 << 20).contains(&bytes)) {
        report.broken("spec.batch.maxBytes", BATCH_BYTES);
    }
    let max_wait = duration(&spec.max_wait, "spec.batch.maxWait", report);
    if max_wait.is_some_and(|wait| wait < Duration::from_millis(10) || wait > Duration::from_mins(10)) {
        report.broken("spec.batch.maxWait", BATCH_WAIT);
    }
    Some(Batch {
        max_records: narrow(spec.max_records),
        max_bytes: usize::try_from(max_bytes?).ok()?,
        max_wait: max_wait?,
    })
}

pub(super) fn scaling(spec: &ScalingSpec, topics: &[TopicSpec], report: &mut Report) -> Option<Scaling> {
    if spec.max.is_some_and(|max| max < spec.min) {
        report.broken("spec.scaling.max", MIN_ABOVE_MAX);
    }
    if spec
        .replicas
        .is_some_and(|replicas| replicas < spec.min || spec.max.is_some_and(|max| replicas > max))
    {
        report.broken("spec.scaling.replicas", REPLICAS_OUTSIDE);
    }
    let day = Duration::from_secs(1)..=Duration::from_hours(24);
    let drain_within = within(
        &spec.drain_within,
        "spec.scaling.drainWithin",
        &day,
        DRAIN_WITHIN,
        report,
    );
    let freshness = spec
        .freshness
        .as_ref()
        .map(|text| within(text, "spec.scaling.freshness", &day, FRESHNESS, report));
    let patient = Duration::from_secs(10)..=Duration::from_hours(24);
    let patience = within(
        &spec.patience,
        "spec.scaling.patience",
        &patient,
        PATIENCE,
        report,
    );
    let windows: Vec<Option<ScalingWindow>> = spec
        .windows
        .iter()
        .enumerate()
        .map(|(index, window)| self::window(window, spec, &format!("spec.scaling.windows[{index}]"), report))
        .collect();
    // A worker more than there are partitions would have nothing to do.
    let partitions = topics
        .iter()
        .fold(0, |sum: i64, topic| sum.saturating_add(topic.partitions));
    let useful = partitions.max(spec.min).max(spec.replicas.unwrap_or(0));
    Some(Scaling {
        min: narrow(spec.min),
        max: narrow(spec.max.unwrap_or(useful)),
        drain_within: drain_within?,
        // The outer is whether it is set, the inner whether it could be read.
        freshness: match freshness {
            Some(freshness) => Some(freshness?),
            None => None,
        },
        patience: patience?,
        windows: windows.into_iter().collect::<Option<_>>()?,
        mode: spec.mode,
        replicas: spec.replicas.map(narrow),
    })
}

fn window(
    spec: &ScalingWindowSpec,
    scaling: &ScalingSpec,
    path: &str,
    report: &mut Report,
) -> Option<ScalingWindow> {
    if let Err(problem) = cron::check(&spec.schedule) {
        report.add(format!("{path}.schedule"), problem, cron::REMEDY);
    }
    let (min, max) = (spec.min.unwrap_or(scaling.min), spec.max.or(scaling.max));
    if spec.min.is_none() && spec.max.is_none() {
        report.broken(path, WINDOW_BOUNDS);
    } else if max.is_some_and(|max| max < min) {
        report.broken(format!("{path}.max"), MIN_ABOVE_MAX);
    }
    let lasting = Duration::from_mins(1)..=Duration::from_hours(7 * 24);
    let duration = within(
        &spec.duration,
        &format!("{path}.duration"),
        &lasting,
        WINDOW_LENGTH,
        report,
    )?;
    Some(ScalingWindow {
        schedule: spec.schedule.clone(),
        duration,
        min: spec.min.map(narrow),
        max: spec.max.map(narrow),
    })
}

/// A duration, which the rule wants between two others.
fn within(
    text: &DurationText,
    path: &str,
    bounds: &std::ops::RangeInclusive<Duration>,
    rule: RuleText,
    report: &mut Report,
) -> Option<Duration> {
    let duration = duration(text, path, report)?;
    if !bounds.contains(&duration) {
        report.broken(path, rule);
    }
    Some(duration)
}
