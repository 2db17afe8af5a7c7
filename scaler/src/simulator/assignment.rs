//! Which worker has which partitions: equal numbers, and as few moves as that allows, as Kafka's sticky assignors do.

use std::collections::BTreeMap;

/// Gives each partition of `owners` one of `workers`, and returns those that moved.
pub(super) fn rebalance(owners: &mut [Option<u32>], workers: &[u32]) -> Vec<usize> {
    let mut moved = Vec::new();
    if workers.is_empty() {
        owners.fill(None);
        return moved;
    }
    let (each, more) = (owners.len() / workers.len(), owners.len() % workers.len());
    let mut has: BTreeMap<u32, usize> = workers.iter().map(|worker| (*worker, 0)).collect();
    // The first to reach one more than the others' number keep it.
    let mut larger = more;
    for owner in owners.iter_mut() {
        let Some(count) = owner.and_then(|worker| has.get_mut(&worker)) else {
            *owner = None;
            continue;
        };
        if *count < each {
            *count += 1;
        } else if *count == each && larger > 0 {
            larger -= 1;
            *count += 1;
        } else {
            *owner = None;
        }
    }
    for (index, owner) in owners.iter_mut().enumerate().filter(|(_, owner)| owner.is_none()) {
        let fewest = has.iter_mut().min_by_key(|(worker, count)| (**count, **worker));
        if let Some((worker, count)) = fewest {
            *owner = Some(*worker);
            *count += 1;
            moved.push(index);
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_equal_and_moves_few(partitions in 1_usize..70, counts in proptest::collection::vec(1_u32..30, 1..6)) {
            let mut owners = vec![None; partitions];
            let mut before = 0;
            for count in counts {
                let workers: Vec<u32> = (0..count).collect();
                let moved = rebalance(&mut owners, &workers);
                let numbers: Vec<usize> = workers.iter().map(|w| owners.iter().filter(|o| **o == Some(*w)).count()).collect();
                prop_assert_eq!(numbers.iter().sum::<usize>(), partitions);
                prop_assert!(numbers.iter().max().unwrap() - numbers.iter().min().unwrap() <= 1);
                if count == before {
                    prop_assert!(moved.is_empty());
                }
                before = count;
            }
        }
    }
}
