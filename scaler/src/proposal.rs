//! Up, down, or hold: the load's need against what there is, what has just happened, and what would be gained.

use crate::decision::{Bound, Reason};
use crate::demand::Demand;
use crate::history::History;
use crate::sink::SUSPECT;
use crate::useful;

/// After a rebalance, commits need so long to show what it cost, in seconds.
const SETTLE: f64 = 15.0;

/// What is to be done, before bounds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Proposal {
    pub(crate) replicas: u32,
    /// The load is more than any number of workers can do in time.
    pub(crate) overloaded: bool,
    pub(crate) reason: Reason,
    pub(crate) bound: Option<Bound>,
    /// Seconds until another proposal is possible with the same load.
    pub(crate) wait: f64,
}

/// What a proposal is about.
pub(crate) struct Situation<'a> {
    pub(crate) current: u32,
    pub(crate) partitions: u32,
    pub(crate) demand: &'a Demand,
    pub(crate) per_worker: f64,
    /// All partitions with lag stand still although workers run.
    pub(crate) nothing_moves: bool,
    /// Events are processed later than they may be.
    pub(crate) late: bool,
    pub(crate) patience: f64,
    pub(crate) history: &'a History,
}

impl Proposal {
    pub(crate) fn to(replicas: u32, reason: Reason) -> Self {
        Self {
            replicas,
            overloaded: false,
            reason,
            bound: None,
            wait: 0.0,
        }
    }

    pub(crate) fn hold(current: u32, reason: Reason) -> Self {
        Self::to(current, reason)
    }

    fn bound(self, bound: Bound) -> Self {
        Self {
            bound: Some(bound),
            ..self
        }
    }

    fn wait(self, wait: f64) -> Self {
        Self { wait, ..self }
    }
}

pub(crate) fn propose(situation: &Situation<'_>) -> Proposal {
    let Situation {
        current,
        demand,
        history,
        ..
    } = *situation;
    if current == 0 {
        return if demand.sized > 0 {
            Proposal::to(demand.sized, Reason::Wake)
        } else {
            Proposal::hold(0, Reason::Idle)
        };
    }
    let proposal = if situation.nothing_moves && history.settled().is_some() {
        Proposal::hold(current, Reason::NoProgress)
    } else if demand.least > current {
        up(situation)
    } else {
        down(situation)
    };
    Proposal {
        overloaded: demand.overloaded,
        ..limited_by_sink(proposal, situation)
    }
}

fn up(situation: &Situation<'_>) -> Proposal {
    let Situation {
        current,
        demand,
        history,
        ..
    } = *situation;
    let for_arrivals = demand.least_for_arrivals > current;
    if !for_arrivals {
        let Some(settled) = history.settled() else {
            return Proposal::hold(current, Reason::WaitingForWorkers).wait(history.start_seconds());
        };
        let settling = history.pause_seconds() + SETTLE - settled;
        if settling > 0.0 && history.clock > 0.0 && history.has_changed() {
            return Proposal::hold(current, Reason::Settling).wait(settling);
        }
        if history.arrival.in_doubt() {
            return Proposal::hold(current, Reason::Measuring);
        }
        if !worth_a_rebalance(situation) {
            return Proposal::hold(current, Reason::Backlog).bound(Bound::RebalanceCost);
        }
    }
    let reason = if for_arrivals {
        Reason::Demand
    } else if situation.late {
        Reason::Freshness
    } else {
        Reason::Backlog
    };
    let waits = history.capacity.sink_wait().unwrap_or(0.0) >= SUSPECT;
    let beyond = history.sink.met_with().is_some_and(|met| current > met);
    if (waits || beyond) && history.sink.judging() {
        return Proposal::hold(current, reason).bound(Bound::SinkProbe);
    }
    // Beyond where the sink was met once, too, one step at a time.
    let known = history
        .sink
        .met_with()
        .filter(|met| current <= *met && *met < demand.sized);
    let next = match known {
        Some(met) if current < met => Some(met),
        _ => useful::next(situation.partitions, current),
    };
    match next {
        Some(next) if (waits || known.is_some()) && next < demand.sized => {
            Proposal::to(next, reason).bound(Bound::SinkProbe)
        }
        _ => Proposal::to(demand.sized, reason),
    }
}

/// Whether the backlog is gone sooner with more workers, counting the pause that they cost.
fn worth_a_rebalance(situation: &Situation<'_>) -> bool {
    let Situation {
        demand,
        history,
        per_worker,
        partitions,
        ..
    } = *situation;
    let after = useful::worth(partitions, demand.sized) * per_worker;
    let pause = history.pause_seconds();
    let drain = |backlog: f64, capacity: f64| {
        let spare = capacity - demand.arrival;
        if spare > 0.0 {
            backlog / spare
        } else {
            f64::INFINITY
        }
    };
    let lead = history.start_seconds();
    let left = (demand.excess - (demand.capacity - demand.arrival) * lead).max(0.0);
    let with_more = lead + pause + drain(left + demand.arrival * pause, after);
    with_more < drain(demand.excess, demand.capacity)
}

fn down(situation: &Situation<'_>) -> Proposal {
    let Situation {
        current,
        demand,
        history,
        patience,
        ..
    } = *situation;
    if !demand.hot.is_empty() && demand.enough >= current {
        return Proposal::hold(current, Reason::HotPartition).bound(Bound::HotPartition);
    }
    if history.settled().is_none() {
        return Proposal::hold(current, Reason::WaitingForWorkers).wait(history.start_seconds());
    }
    // What was needed early in that time need not be needed again: one step instead of several.
    let most = history.recent.most(history.clock - patience / 4.0);
    let wait = history.recent.until_fewer(current, history.clock, patience);
    if demand.overloaded {
        Proposal::hold(current, Reason::Backlog)
    } else if demand.enough >= current {
        Proposal::hold(current, Reason::Steady)
    } else if wait > 0.0 || situation.late || most >= current {
        Proposal::hold(current, Reason::SurplusObserved).wait(wait)
    } else {
        Proposal::to(most, if most == 0 { Reason::Idle } else { Reason::Surplus })
    }
}

fn limited_by_sink(proposal: Proposal, situation: &Situation<'_>) -> Proposal {
    match situation.history.sink.ceiling() {
        Some(ceiling) if proposal.replicas > ceiling.workers => Proposal {
            replicas: ceiling.workers.min(situation.current),
            reason: Reason::SinkSaturated,
            bound: Some(Bound::Sink),
            ..proposal
        },
        _ => proposal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Handover;

    /// 4 workers of 2,500 and a backlog that they drain in `drains` seconds; more would drain it at once.
    fn proposed(drains: f64, pause: f64) -> Proposal {
        let mut history = History::default();
        history.workers(1, 1);
        history.workers(4, 4);
        history.rebalanced(Some(Handover {
            at_ms: 1,
            pause_seconds: pause,
        }));
        let demand = Demand {
            arrival: 8_000.0,
            forecast: 8_000.0,
            excess: 2_000.0 * drains,
            horizon: 60.0,
            backlog: 2_000.0 * drains / 60.0,
            rebalance: 0.0,
            capacity: 10_000.0,
            least: 24,
            least_for_arrivals: 4,
            sized: 24,
            enough: 24,
            overloaded: false,
            hot: Vec::new(),
            stalled: Vec::new(),
        };
        propose(&Situation {
            current: 4,
            partitions: 24,
            demand: &demand,
            per_worker: 2_500.0,
            nothing_moves: false,
            late: false,
            patience: 180.0,
            history: &history,
        })
    }

    #[test]
    fn a_backlog_that_is_gone_before_a_rebalance_would_help_is_left_alone() {
        // 30 s until further workers run, and the pause.
        for (drains, pause, replicas) in [
            (200.0, 5.0, 24),
            (34.0, 5.0, 4),
            (150.0, 100.0, 4),
            (300.0, 100.0, 24),
        ] {
            let proposal = proposed(drains, pause);
            assert_eq!(proposal.replicas, replicas, "{drains} s, pause {pause} s");
            let bound = (replicas == 4).then_some(Bound::RebalanceCost);
            assert_eq!((proposal.reason, proposal.bound), (Reason::Backlog, bound));
        }
    }
}
