//! The decision: a pure function of what is observed, what is wanted, and what was.

use jiff::{SignedDuration, Timestamp};

use crate::decision::{Bound, Decision, Reason, Terms};
use crate::demand::{self, Demand};
use crate::explain;
use crate::history::History;
use crate::observation::Observation;
use crate::observe::observe;
use crate::policy::{Bounds, Mode, Policy};
use crate::proposal::{self, Proposal};
use crate::readings::Readings;
use crate::useful;

/// Partitions that are named in a decision, at most.
const NAMED: usize = 5;

/// Decides how many workers there are to be, and returns what the next decision needs to know.
///
/// `now` may jump: nothing is concluded from readings that cannot be compared.
#[must_use]
pub fn decide(
    observation: &Observation,
    policy: &Policy,
    history: &History,
    now: Timestamp,
) -> (Decision, History) {
    let mut history = history.clone();
    let partitions = u32::try_from(observation.partitions.len()).unwrap_or(u32::MAX);
    let bounds = policy.bounds(now);
    let mut terms = Terms {
        partitions,
        ready: observation.ready,
        target_utilization: round(demand::target_utilization(policy)),
        ..Terms::default()
    };
    let (proposal, gap) = match observe(observation, policy, &mut history, now) {
        Err(gap) => (
            Proposal::hold(observation.desired, Reason::ReadingsMissing),
            Some(gap),
        ),
        Ok((readings, known)) => (
            evaluate(observation, policy, &mut history, &readings, known, &mut terms),
            None,
        ),
    };
    terms.start_seconds = round(history.start_seconds());
    terms.rebalance_pause_seconds = round(history.pause_seconds());
    terms.patience_seconds = round(history.patience(policy.patience.as_secs_f64()));
    terms.sink_wait_share = history.capacity.sink_wait().map(round);
    terms.sink_per_second = history.sink.ceiling().map(|ceiling| round(ceiling.per_second));
    let proposal = within(proposal, bounds, partitions, observation.desired);
    let decision = conclude(&proposal, policy, bounds, observation.desired, now, terms);
    let text = explain::explain(&decision, observation.desired, policy, bounds, gap.as_ref());
    (Decision { text, ..decision }, history)
}

fn evaluate(
    observation: &Observation,
    policy: &Policy,
    history: &mut History,
    readings: &Readings,
    measured: bool,
    terms: &mut Terms,
) -> Proposal {
    let current = observation.desired;
    terms.lag_records = readings.lag() as u64;
    terms.oldest_event_seconds = readings.oldest_event.map(round);
    let wake = readings.lag() > 0.0 && current == 0;
    let Some(per_worker) = history.capacity.per_worker().filter(|_| measured) else {
        return if wake {
            Proposal::to(1, Reason::Wake)
        } else {
            Proposal::hold(current, Reason::Measuring)
        };
    };
    let demand = demand::demand(readings, policy, history, per_worker, observation.ready);
    fill(terms, &demand, per_worker, observation);
    // In time it is known where the rate is.
    if history.arrival.in_doubt() {
        terms.lag_seconds = None;
    }
    let patience = history.patience(policy.patience.as_secs_f64());
    let note = |history: &mut History, workers| {
        let clock = history.clock;
        history.recent.note(workers, clock, patience);
    };
    note(history, demand.enough.max(demand.least));
    let proposal = proposal::propose(&proposal::Situation {
        current,
        partitions: terms.partitions,
        demand: &demand,
        per_worker,
        nothing_moves: observation.ready > 0
            && readings.lag() > 0.0
            && readings
                .partitions
                .iter()
                .all(|partition| partition.lag <= 0.0 || partition.still >= demand::NOTHING_MOVES),
        late: policy
            .freshness
            .zip(readings.oldest_event)
            .is_some_and(|(freshness, age)| age > freshness.as_secs_f64()),
        patience,
        history,
    });
    // Workers that are added stay for as long as patience says, whatever they were added for.
    if proposal.replicas > current {
        note(history, proposal.replicas);
    }
    proposal
}

fn fill(terms: &mut Terms, demand: &Demand, per_worker: f64, observation: &Observation) {
    let names = |indices: &[usize]| {
        indices
            .iter()
            .filter_map(|&index| observation.partitions.get(index))
            .take(NAMED)
            .map(|partition| partition.id.to_string())
            .collect()
    };
    terms.lag_seconds = (demand.arrival > 0.0).then(|| round(terms.lag_records as f64 / demand.arrival));
    terms.arrival_per_second = Some(round(demand.arrival));
    terms.forecast_per_second = Some(round(demand.forecast));
    terms.backlog_per_second = Some(round(demand.backlog));
    terms.rebalance_per_second = Some(round(demand.rebalance));
    terms.demand_per_second = Some(round(
        demand.forecast / terms.target_utilization + demand.backlog + demand.rebalance,
    ));
    terms.per_worker_per_second = Some(round(per_worker));
    terms.capacity_per_second = Some(round(demand.capacity));
    terms.needed = Some(if demand.least > observation.desired {
        demand.sized
    } else if demand.enough >= observation.desired {
        observation.desired
    } else {
        demand.enough.max(demand.least)
    });
    terms.drain_horizon_seconds = round(demand.horizon);
    terms.hot_partitions = names(&demand.hot);
    terms.stalled_partitions = names(&demand.stalled);
}

/// The proposal within the bounds that hold now. Unknown readings change nothing but what bounds force.
fn within(mut proposal: Proposal, bounds: Bounds, partitions: u32, current: u32) -> Proposal {
    let most = if partitions == 0 {
        bounds.max
    } else {
        useful::at_most(partitions, bounds.max).max(bounds.min)
    };
    let allowed = current.clamp(bounds.min, bounds.max);
    let wanted = proposal.replicas;
    let replicas = if proposal.reason == Reason::ReadingsMissing || proposal.reason == Reason::Measuring {
        allowed
    } else {
        // More than are of use stay only as long as nothing else is wanted.
        let most = if wanted == current {
            most.max(allowed)
        } else {
            most
        };
        wanted.clamp(bounds.min, most)
    };
    if replicas != wanted {
        let own = if replicas > wanted {
            Bound::Min
        } else if most >= partitions && partitions > 0 {
            Bound::Partitions
        } else {
            Bound::Max
        };
        proposal.bound = Some(if bounds.scheduled { Bound::Window } else { own });
        if current != allowed && replicas == allowed {
            proposal.reason = Reason::Bounds;
        }
    } else if proposal.overloaded && partitions > 0 && replicas >= partitions {
        proposal.bound = Some(Bound::Partitions);
    }
    proposal.replicas = replicas;
    proposal
}

fn conclude(
    proposal: &Proposal,
    policy: &Policy,
    bounds: Bounds,
    current: u32,
    now: Timestamp,
    terms: Terms,
) -> Decision {
    let (replicas, reason) = match (policy.pinned, policy.mode) {
        (Some(pinned), _) => (pinned, Reason::Pinned),
        (None, Mode::Auto) => (proposal.replicas, proposal.reason),
        (None, Mode::Recommend | Mode::Off) => (bounds.min, Reason::NotApplied),
    };
    let wait = SignedDuration::try_from_secs_f64(proposal.wait.ceil()).unwrap_or(SignedDuration::ZERO);
    let earliest = now.checked_add(wait).unwrap_or(now);
    Decision {
        replicas,
        recommended: if policy.mode == Mode::Off {
            current
        } else {
            proposal.replicas
        },
        reason,
        bound: proposal.bound,
        sink_saturated: terms.sink_per_second.is_some(),
        earliest_change: bounds.next_change.map_or(earliest, |change| change.min(earliest)),
        terms,
        text: String::new(),
    }
}

/// To what a person reads, and status has room for.
fn round(value: f64) -> f64 {
    if value.abs() < 10.0 {
        (value * 100.0).round() / 100.0
    } else {
        value.round()
    }
}
