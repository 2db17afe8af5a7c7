//! The decision in words, for `kubectl describe`, the live view and the command line.

use crate::decision::{Bound, Decision, Reason, Terms};
use crate::number::{count, seconds};
use crate::policy::{Bounds, Policy};
use crate::readings::Gap;
use crate::sink::SUSPECT;

/// A lag that is worth a word, in seconds.
const DRAINING: f64 = 10.0;

pub(crate) fn explain(
    decision: &Decision,
    current: u32,
    policy: &Policy,
    bounds: Bounds,
    gap: Option<&Gap>,
) -> String {
    let terms = &decision.terms;
    let mut sentences = vec![headline(decision, current, policy, gap)];
    sentences.extend(load(terms));
    sentences.extend(decision.bound.map(|bound| self::bound(bound, decision, bounds)));
    if !terms.hot_partitions.is_empty() {
        sentences.push(format!(
            "More arrives in {} than one worker can do: spread its keys, or give the topic more partitions",
            terms.hot_partitions.join(", ")
        ));
    }
    if !terms.stalled_partitions.is_empty() {
        sentences.push(format!(
            "{} standing still: look at the worker's log",
            subject(&terms.stalled_partitions)
        ));
    }
    if decision.reason == Reason::SurplusObserved {
        sentences.push(format!(
            "Fewer at {} at the earliest, if they are enough until then",
            decision.earliest_change.strftime("%H:%M:%S UTC")
        ));
    }
    let mut text = sentences.join(". ");
    text.push('.');
    text
}

fn headline(decision: &Decision, current: u32, policy: &Policy, gap: Option<&Gap>) -> String {
    let replicas = decision.replicas;
    let number = if replicas == current {
        workers(replicas)
    } else {
        format!("{current} → {}", workers(replicas))
    };
    let terms = &decision.terms;
    let why = match decision.reason {
        Reason::Steady => {
            let suit = if replicas == 1 {
                "which suits"
            } else {
                "which suit"
            };
            let drains = terms.lag_seconds.is_some_and(|lag| lag > DRAINING);
            format!("{suit} the load{}", if drains { " and its backlog" } else { "" })
        }
        Reason::Demand => "since more arrives than fits with room to spare".to_owned(),
        Reason::Backlog => format!(
            "since the backlog would not be gone in {}",
            seconds(terms.drain_horizon_seconds)
        ),
        Reason::Freshness => format!(
            "since events are processed {} late, and may be {}",
            seconds(terms.oldest_event_seconds.unwrap_or(0.0)),
            seconds(policy.freshness.unwrap_or_default().as_secs_f64())
        ),
        Reason::Wake => "since there are records to process".to_owned(),
        Reason::SurplusObserved => format!(
            "although {} would do now",
            terms.needed.unwrap_or(0).min(current.saturating_sub(1))
        ),
        Reason::Surplus => format!("enough for the last {}", seconds(terms.patience_seconds)),
        Reason::Idle => "since nothing arrives".to_owned(),
        Reason::WaitingForWorkers => format!(
            "of which {} ready; a start takes about {}",
            are(terms.ready),
            seconds(terms.start_seconds)
        ),
        Reason::Settling => "which have just shared out the partitions anew".to_owned(),
        Reason::Bounds => "as the bounds say".to_owned(),
        Reason::SinkSaturated => "since the sink takes no more".to_owned(),
        Reason::HotPartition => "since more would not help".to_owned(),
        Reason::NoProgress => {
            "although none of the lag is being processed; more would do nothing, too".to_owned()
        }
        Reason::ReadingsMissing => missing(gap),
        Reason::Measuring if terms.arrival_per_second.is_some() => {
            "until another reading tells whether the load has changed".to_owned()
        }
        Reason::Measuring => "until two readings show the rates".to_owned(),
        Reason::Pinned => format!("as pinned; {} would be set otherwise", decision.recommended),
        Reason::NotApplied => format!("as mode says; {} would be set otherwise", decision.recommended),
    };
    format!("{number}, {why}")
}

fn missing(gap: Option<&Gap>) -> String {
    match gap {
        None | Some(Gap::NoPartitions) => "held, since there are no partitions to read".to_owned(),
        Some(Gap::Unknown { count, first }) => {
            format!(
                "held, since Kafka does not tell the offsets of {first}{}",
                and_more(*count)
            )
        }
        Some(Gap::Stale { count, first }) => {
            format!(
                "held, since the offsets of {first}{} are too old",
                and_more(*count)
            )
        }
        Some(Gap::Invalid) => "held, since what the workers report are no rates".to_owned(),
    }
}

fn and_more(count: usize) -> String {
    match count {
        0 | 1 => String::new(),
        2 => " and 1 more".to_owned(),
        more => format!(" and {} more", more - 1),
    }
}

fn load(terms: &Terms) -> Option<String> {
    let arrival = terms.arrival_per_second?;
    let per_worker = terms.per_worker_per_second?;
    let forecast = terms.forecast_per_second.unwrap_or(arrival);
    let rising = if forecast > arrival * 1.02 {
        format!(" (soon {})", count(forecast))
    } else {
        String::new()
    };
    let behind = terms
        .lag_seconds
        .map_or(String::new(), |lag| format!(" ({})", seconds(lag)));
    Some(format!(
        "{} records/s arrive{rising}, a worker does {}/s, the lag is {}{behind}, so that {} needed",
        count(arrival),
        count(per_worker),
        count(terms.lag_records as f64),
        are(terms.needed?)
    ))
}

fn bound(bound: Bound, decision: &Decision, bounds: Bounds) -> String {
    let terms = &decision.terms;
    match bound {
        Bound::Min => format!("There are never fewer than min {}", bounds.min),
        Bound::Max => format!("There are never more than max {}", bounds.max),
        Bound::Window => format!(
            "At this time of the schedule there are {} to {}",
            bounds.min, bounds.max
        ),
        Bound::Partitions => format!(
            "More than the {} partitions would have nothing to do",
            terms.partitions
        ),
        Bound::HotPartition => "The other partitions have workers enough".to_owned(),
        Bound::Sink => format!(
            "The sink was found to take {} records/s; workers wait for it {:.0} % of their time",
            count(terms.sink_per_second.unwrap_or(0.0)),
            100.0 * terms.sink_wait_share.unwrap_or(0.0)
        ),
        Bound::SinkProbe if terms.sink_wait_share.unwrap_or(0.0) < SUSPECT => {
            "The sink was at its limit with about so many before, so one step is tried and measured"
                .to_owned()
        }
        Bound::SinkProbe => format!(
            "Workers wait for the sink {:.0} % of their time, so one step is tried and measured",
            100.0 * terms.sink_wait_share.unwrap_or(0.0)
        ),
        Bound::RebalanceCost => format!(
            "A rebalance stops partitions for {}, longer than more workers would save",
            seconds(terms.rebalance_pause_seconds)
        ),
    }
}

fn workers(count: u32) -> String {
    match count {
        0 => "no workers".to_owned(),
        1 => "1 worker".to_owned(),
        more => format!("{more} workers"),
    }
}

fn are(count: u32) -> String {
    if count == 1 {
        "1 is".to_owned()
    } else {
        format!("{count} are")
    }
}

fn subject(names: &[String]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(", "))
}
