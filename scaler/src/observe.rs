//! What an observation adds to the history.

use jiff::Timestamp;

use crate::history::{History, Since};
use crate::observation::Observation;
use crate::policy::Policy;
use crate::readings::{self, Gap, Readings};

/// Readings are believed to show workers at full load after so many seconds in unchanged number.
const FULL_LOAD_AFTER: f64 = 30.0;
/// A partition is behind by so many seconds of arrivals when its worker surely has enough to do.
const BEHIND: f64 = 10.0;

/// Takes the observation into the history. The flag says that rates could be measured at some time and nothing broke the
/// chain of readings since.
pub(crate) fn observe(
    observation: &Observation,
    policy: &Policy,
    history: &mut History,
    now: Timestamp,
) -> Result<(Readings, bool), Gap> {
    let since = history.since(now);
    let seconds = match since {
        Since::Seconds(seconds) => Some(seconds),
        Since::Same | Since::Unknown => None,
    };
    let before: &[_] = if since == Since::Unknown {
        &[]
    } else {
        &history.memory
    };
    let lag_before = history.lag;
    let readings = readings::read(
        observation,
        policy.from_latest,
        before,
        seconds,
        now.as_millisecond(),
    )?;
    if since == Since::Same {
        let known = history.arrival.level().is_some();
        return Ok((readings, known));
    }
    history.at = Some(now);
    history.lag = Some(readings.lag());
    history.memory.clone_from(&readings.memory);
    let Some(seconds) = seconds else {
        history
            .capacity
            .observe(readings.per_worker, readings.sink_wait, 0.0, 0.0);
        history.workers(observation.desired, observation.ready);
        history.rebalanced(readings.rebalance);
        return Ok((readings, false));
    };
    let partitions = u32::try_from(readings.partitions.len()).unwrap_or(u32::MAX);
    history.clock += seconds;
    history.capacity.observe(
        readings.per_worker,
        readings.sink_wait,
        readings.consumed.unwrap_or(0.0),
        seconds,
    );
    let arrived = readings.arrived.map(|arrived| arrived / seconds);
    if let Some(rate) = arrived {
        history.arrival.observe(rate, seconds, history.clock);
    }
    history.workers(observation.desired, observation.ready);
    history.rebalanced(readings.rebalance);
    let settled = history.settled().unwrap_or(0.0);
    let arrival = history.arrival.level().unwrap_or(0.0);
    // Behind at both ends of the time, and not because nothing moves.
    if settled >= FULL_LOAD_AFTER
        && observation.ready > 0
        && lag_before.is_some_and(|lag| lag > arrival * BEHIND)
        && all_behind(&readings, arrival)
        && let Some(consumed) = readings.consumed.filter(|consumed| *consumed > 0.0)
    {
        let working = observation.ready.min(partitions);
        history
            .capacity
            .verify(consumed / seconds / f64::from(working), seconds);
    }
    if let (Some(per_worker), Some(wait)) = (history.capacity.per_worker(), history.capacity.sink_wait()) {
        history.sink.observe(
            (partitions, observation.ready),
            (per_worker, wait),
            settled,
            seconds,
        );
    }
    let measured = readings.arrived.is_some();
    Ok((readings, measured))
}

fn all_behind(readings: &Readings, arrival: f64) -> bool {
    readings
        .partitions
        .iter()
        .all(|partition| partition.lag > (partition.share * arrival * BEHIND).max(100.0))
}
