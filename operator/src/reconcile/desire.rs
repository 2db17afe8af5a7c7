//! What there is to be: the scaler's decision, and the objects that follow from it. Nobody is asked.

use std::sync::atomic::Ordering;

use api::crd::Reserved;
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::context::Context;
use super::observe::ObservedState;
use crate::objects::{self, BuildError, Decisions, Objects};
use crate::scaling::workers::desired_workers;
use crate::scaling::{self, PipelineScaler};
use crate::status::Transition;
use crate::status::scaling::transition;
use crate::validate::Valid;

pub(super) struct DesiredState {
    pub(super) valid: Valid,
    pub(super) objects: Objects,
    /// Workers that there are to be.
    pub(super) workers: u32,
    /// The generator has produced all that it was to produce.
    pub(super) complete: bool,
    /// `status.scaling` from now on.
    pub(super) scaling: Option<Reserved>,
    /// If the scaler has changed the number of workers.
    pub(super) scaled: Option<Transition>,
    pub(super) time: Timestamp,
}

/// `reported` is the `status.scaling` of before.
pub(super) fn desire(
    valid: Valid,
    observed: &ObservedState,
    reported: Option<&Reserved>,
    autoscaler: &mut PipelineScaler,
    context: &Context,
) -> Result<DesiredState, BuildError> {
    let time = (context.clock)();
    let before = scaling::last_reported(reported);
    let scaling = autoscaler.decide(
        &valid.pipeline,
        &observed.kafka,
        observed.workers(&valid.pipeline, before.as_ref()),
        reported,
        (Instant::now(), time),
    );
    let decision = scaling::last_reported(scaling.as_ref());
    let decisions = Decisions {
        workers: desired_workers(
            &valid.pipeline,
            decision.as_ref().map(|decision| decision.replicas),
        ),
        completed: observed.completed.clone(),
        pod_monitors: context.pod_monitors.load(Ordering::Relaxed),
    };
    let objects = objects::build(&valid, &context.defaults, &decisions)?;
    Ok(DesiredState {
        workers: decisions.workers,
        complete: decisions.completed.as_deref() == Some(objects.generator_hash.as_str()),
        scaled: transition(before.as_ref(), decision.as_ref()),
        valid,
        objects,
        scaling,
        time,
    })
}
