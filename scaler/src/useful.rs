//! Worker counts that make a difference: a worker has whole partitions, so the slowest one has ⌈P/N⌉ of them, and
//! another worker helps only where that becomes fewer.

/// The smallest count that does as much as `workers` do, and at most the partitions.
#[must_use]
pub fn at_most(partitions: u32, workers: u32) -> u32 {
    if partitions == 0 || workers == 0 {
        return 0;
    }
    partitions.div_ceil(partitions.div_ceil(workers.min(partitions)))
}

/// The next greater count that does more; `None` at one worker a partition.
#[must_use]
pub fn next(partitions: u32, workers: u32) -> Option<u32> {
    if workers == 0 {
        return (partitions > 0).then_some(1);
    }
    let each = partitions.div_ceil(workers);
    (each > 1).then(|| partitions.div_ceil(each - 1))
}

/// What `workers` are worth when partitions are equally loaded: P/⌈P/N⌉, in workers.
#[must_use]
pub fn worth(partitions: u32, workers: u32) -> f64 {
    if partitions == 0 || workers == 0 {
        return 0.0;
    }
    f64::from(partitions) / f64::from(partitions.div_ceil(workers))
}

/// What a partition asks of its worker, in records a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    pub arrival: f64,
    /// What drains its backlog in time.
    pub drain: f64,
}

/// Share of a worker that may go to other partitions next to one that has more than a worker can do.
const BESIDE_HOT: f64 = 0.25;
/// Share of what a worker can do beyond a partition's arrivals that may go to others while it cannot drain in time.
const BESIDE_BEHIND: f64 = 0.5;

/// The fewest workers that carry `loads`, one for each partition, at `rate` records a second each.
///
/// Three things must fit: all loads together, where none counts for more than one worker, since no number of workers
/// gives it more; the heaviest partition that fits a worker, next to ⌈P/N⌉ − 1 average ones; and next to a partition
/// that does not fit, few enough others that it has most of its worker.
#[must_use]
pub fn carry(loads: &[Load], rate: f64) -> u32 {
    let partitions = u32::try_from(loads.len()).unwrap_or(u32::MAX);
    let count = f64::from(partitions);
    let asked = |load: &Load| load.arrival + load.drain;
    let total: f64 = loads.iter().map(|load| asked(load).min(rate)).sum();
    if total <= 0.0 || rate <= 0.0 {
        return 0;
    }
    let others = |own: f64| (total - own) / (count - 1.0).max(1.0);
    let mut each = count * rate / total;
    let mut heaviest: f64 = 0.0;
    for load in loads {
        let all = asked(load);
        if all <= rate {
            heaviest = heaviest.max(all);
            continue;
        }
        let beside = if load.arrival < rate {
            BESIDE_BEHIND * (rate - load.arrival)
        } else {
            BESIDE_HOT * rate
        };
        each = each.min(1.0 + beside / others(rate).max(f64::MIN_POSITIVE));
    }
    each = each.min(1.0 + (rate - heaviest) / others(heaviest).max(f64::MIN_POSITIVE));
    // Rounding must not cost a worker where the fit is exact.
    partitions.div_ceil((each + 1e-9).floor().clamp(1.0, count) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counts_that_make_a_difference() {
        let counts = |partitions| {
            let mut counts = vec![1];
            while let Some(next) = counts.last().and_then(|count| next(partitions, *count)) {
                counts.push(next);
            }
            counts
        };
        assert_eq!(counts(12), [1, 2, 3, 4, 6, 12]);
        assert_eq!(counts(13), [1, 2, 3, 4, 5, 7, 13]);
        assert_eq!(counts(24), [1, 2, 3, 4, 5, 6, 8, 12, 24]);
    }

    fn arriving(arrivals: &[f64]) -> Vec<Load> {
        arrivals
            .iter()
            .map(|arrival| Load {
                arrival: *arrival,
                drain: 0.0,
            })
            .collect()
    }

    #[test]
    fn equal_loads_need_what_division_says() {
        for (load, expected) in [
            (0.0, 0),
            (1.0, 1),
            (104.0, 1),
            (105.0, 2),
            (1_250.0, 12),
            (1_251.0, 24),
            (9e9, 24),
        ] {
            assert_eq!(carry(&arriving(&[load; 24]), 2_500.0), expected, "{load}");
        }
    }

    #[test]
    fn a_hot_partition_gets_most_of_a_worker_and_no_more() {
        let mut arrivals = [100.0; 24];
        arrivals[7] = 1e9;
        // A quarter of its worker is enough for 6 others; no load, however high, asks for more than that.
        assert_eq!(carry(&arriving(&arrivals), 2_500.0), 4);
        // Just bearable: it needs a worker of its own.
        arrivals[7] = 2_450.0;
        assert_eq!(carry(&arriving(&arrivals), 2_500.0), 24);
    }

    #[test]
    fn a_partition_far_behind_gets_half_of_what_a_worker_can_spare() {
        let mut loads = arriving(&[100.0; 24]);
        loads[7].drain = 1e9;
        // 2,400 to spare, half of them for 12 others.
        assert_eq!(carry(&loads, 2_500.0), 2);
        loads[7].arrival = 2_000.0;
        // 500 to spare, half of them for 2 others.
        assert_eq!(carry(&loads, 2_500.0), 8);
    }

    proptest! {
        #[test]
        fn only_useful_counts_and_never_fewer_for_more(partitions in 1_usize..200, load in 0.0..5_000.0_f64, more in 1.0..4.0_f64) {
            let total = u32::try_from(partitions).unwrap();
            let workers = carry(&arriving(&vec![load; partitions]), 2_500.0);
            prop_assert_eq!(workers, at_most(total, workers));
            prop_assert!(workers <= carry(&arriving(&vec![load * more; partitions]), 2_500.0));
            // They suffice, unless there are as many as can be.
            prop_assert!(workers == total || worth(total, workers) * 2_500.0 >= load * f64::from(total) * 0.999_999);
        }
    }
}
