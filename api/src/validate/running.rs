//! `spec.batch`, `spec.deadLetters` and `spec.scaling`.

use std::time::Duration;

use super::problem::Report;
use super::values::{duration, narrow};
use crate::crd::{
    BATCH_BYTES, BATCH_WAIT, BatchSpec, DRAIN_WITHIN, MIN_ABOVE_MAX, REPLICAS_OUTSIDE, ScalingSpec, TopicSpec,
};
use crate::quantity::{QuantityError, parse_quantity};
use crate::{Batch, Scaling};

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
    let drain_within = duration(&spec.drain_within, "spec.scaling.drainWithin", report)?;
    if drain_within < Duration::from_secs(1) || drain_within > Duration::from_hours(24) {
        report.broken("spec.scaling.drainWithin", DRAIN_WITHIN);
    }
    // A worker more than there are partitions would have nothing to do.
    let partitions = topics
        .iter()
        .fold(0, |sum: i64, topic| sum.saturating_add(topic.partitions));
    let useful = partitions.max(spec.min).max(spec.replicas.unwrap_or(0));
    Some(Scaling {
        min: narrow(spec.min),
        max: narrow(spec.max.unwrap_or(useful)),
        drain_within,
        mode: spec.mode,
        replicas: spec.replicas.map(narrow),
    })
}
