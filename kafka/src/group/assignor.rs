//! Who gets which partition: evenly, and as they had it.

use std::cmp::Reverse;
use std::collections::HashMap;

/// A member as the one that assigns sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// The rebalance in which it was given what it has; -1 for a member that has nothing.
    pub(super) generation: i32,
    pub(super) partitions: Vec<i32>,
}

/// Gives partitions `0..count` to the members, each to one. Shares differ by one at most, and within that nobody loses
/// what he has. The order of the answer is that of `claims`.
pub(super) fn assign(count: i32, claims: &[Claim]) -> Vec<Vec<i32>> {
    let mut shares = held(count, claims);
    let members = shares.len().max(1);
    let count = usize::try_from(count).unwrap_or(0);
    let (share, one_more) = (count / members, count % members);

    // Where shares cannot be equal, the larger ones go to those that have most.
    let mut by_size: Vec<&mut Vec<i32>> = shares.iter_mut().collect();
    by_size.sort_by_key(|held| Reverse(held.len()));
    let quota = |place: usize| share + usize::from(place < one_more);

    let mut free = vec![true; count];
    for (place, held) in by_size.iter_mut().enumerate() {
        held.truncate(quota(place));
        for partition in held.iter() {
            if let Some(free) = usize::try_from(*partition).ok().and_then(|at| free.get_mut(at)) {
                *free = false;
            }
        }
    }
    let mut free = (0..)
        .zip(free)
        .filter_map(|(partition, free)| free.then_some(partition));
    for (place, held) in by_size.into_iter().enumerate() {
        let missing = quota(place).saturating_sub(held.len());
        held.extend(free.by_ref().take(missing));
        held.sort_unstable();
    }
    shares
}

/// What each member has by right: of two that say they have a partition, the one that was given it last.
fn held(count: i32, claims: &[Claim]) -> Vec<Vec<i32>> {
    let mut owner: HashMap<i32, (i32, usize)> = HashMap::new();
    for (member, claim) in claims.iter().enumerate() {
        for partition in claim.partitions.iter().filter(|p| (0..count).contains(*p)) {
            let owner = owner.entry(*partition).or_insert((claim.generation, member));
            if owner.0 < claim.generation {
                *owner = (claim.generation, member);
            }
        }
    }
    let mut held = vec![Vec::new(); claims.len()];
    for (partition, (_, member)) in owner {
        if let Some(held) = held.get_mut(member) {
            held.push(partition);
        }
    }
    for partitions in &mut held {
        partitions.sort_unstable();
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn claim(generation: i32, partitions: &[i32]) -> Claim {
        Claim {
            generation,
            partitions: partitions.to_vec(),
        }
    }

    #[test]
    fn members_come_and_go() {
        let none = || claim(-1, &[]);
        for (count, claims, expected) in [
            (4, vec![none()], vec![vec![0, 1, 2, 3]]),
            (
                4,
                vec![claim(1, &[0, 1, 2, 3]), none()],
                vec![vec![0, 1], vec![2, 3]],
            ),
            // The one that goes leaves half to each.
            (
                4,
                vec![claim(2, &[0]), claim(2, &[2])],
                vec![vec![0, 1], vec![2, 3]],
            ),
            // The larger share stays where it is.
            (
                3,
                vec![claim(3, &[1]), claim(3, &[0, 2])],
                vec![vec![1], vec![0, 2]],
            ),
            // More members than partitions.
            (
                1,
                vec![none(), claim(3, &[0]), none()],
                vec![vec![], vec![0], vec![]],
            ),
            // A member that has missed a rebalance does not know that its partition was given away.
            (2, vec![claim(3, &[0, 1]), claim(4, &[0])], vec![vec![1], vec![0]]),
            // Partitions that are none.
            (2, vec![claim(1, &[-1, 7]), none()], vec![vec![0], vec![1]]),
            (0, vec![claim(1, &[0]), none()], vec![vec![], vec![]]),
        ] {
            assert_eq!(assign(count, &claims), expected, "{claims:?}");
        }
        assert_eq!(assign(4, &[]), Vec::<Vec<i32>>::new());
    }

    fn claims() -> impl Strategy<Value = Vec<Claim>> {
        let claim = (0_i32..3, prop::collection::btree_set(-1_i32..70, 0..70));
        let claim = claim.prop_map(|(generation, partitions)| Claim {
            generation,
            partitions: partitions.into_iter().collect(),
        });
        prop::collection::vec(claim, 1..9)
    }

    proptest! {
        #[test]
        fn each_partition_has_one_owner_and_shares_are_even(count in 0_i32..70, claims in claims()) {
            let shares = assign(count, &claims);
            let mut all = shares.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
            let sizes = || shares.iter().map(Vec::len);
            prop_assert!(sizes().max().unwrap() - sizes().min().unwrap() <= 1);
        }

        #[test]
        fn nobody_loses_more_than_evenness_asks_for(count in 0_i32..70, claims in claims()) {
            let held = held(count, &claims);
            let shares = assign(count, &claims);
            let (share, one_more) = (count as usize / claims.len(), count as usize % claims.len());
            let most: usize = held.iter().map(|held| held.len().min(share)).sum::<usize>()
                + held.iter().filter(|held| held.len() > share).count().min(one_more);
            let kept: usize = held
                .iter()
                .zip(&shares)
                .map(|(held, share)| held.iter().filter(|partition| share.contains(partition)).count())
                .sum();
            prop_assert_eq!(kept, most);
            // Done again, nothing changes.
            let again: Vec<Claim> = shares.iter().map(|share| claim(9, share)).collect();
            prop_assert_eq!(assign(count, &again), shares);
        }
    }
}
