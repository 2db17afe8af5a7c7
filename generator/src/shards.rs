//! Virtual shards: who owns which user, and which place in the run each event of a shard has.
//!
//! Users are dealt to shards like cards: user `u` belongs to shard `u % shards`, so that all events of a user
//! come from one shard, in order. Places `k` = 0, 1, 2 … of the run go round over the *users* (place `k` stands
//! for user `k % users + 1`) and belong to that user's shard. A shard's share of the events is therefore
//! exactly its share of the users, also where the shards do not hold equally many.

/// The fixed split of a population into shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shards {
    users: u32,
    count: u16,
}

impl Shards {
    /// `wanted` shards, but never more than there are users, nor fewer than one.
    #[must_use]
    pub fn new(users: u32, wanted: u16) -> Self {
        let users = users.max(1);
        let count = u16::try_from(users).unwrap_or(u16::MAX).min(wanted).max(1);
        Self { users, count }
    }

    /// How many shards hold users. Shards are numbered `0..count`.
    #[must_use]
    pub fn count(self) -> u16 {
        self.count
    }

    /// How many users the shard holds.
    #[must_use]
    pub fn population(self, shard: u16) -> u32 {
        let (users, count, shard) = (self.users, u32::from(self.count), u32::from(shard));
        // User ids begin with 1, so shard 0's first user is `count`.
        users / count + u32::from(shard != 0 && shard <= users % count)
    }

    /// The shard's user number `place`, from 0.
    #[must_use]
    pub fn user(self, shard: u16, place: u32) -> u32 {
        let count = u32::from(self.count);
        let first = if shard == 0 { count } else { u32::from(shard) };
        first + place * count
    }

    /// The place in the run of the shard's event number `index`.
    #[must_use]
    pub fn place(self, shard: u16, index: u64) -> u64 {
        let population = u64::from(self.population(shard).max(1));
        let user = self.user(shard, (index % population) as u32);
        index / population * u64::from(self.users) + u64::from(user) - 1
    }

    /// How many of the run's first `places` events are the shard's: the shard's first event with a place of
    /// at least `places` has this number.
    #[must_use]
    pub fn events_within(self, shard: u16, places: u64) -> u64 {
        let (users, count) = (u64::from(self.users), u64::from(self.count));
        let population = u64::from(self.population(shard));
        let first = u64::from(self.user(shard, 0));
        // Users of this shard among the first `rest` users.
        let rest = places % users;
        let begun = if rest < first {
            0
        } else {
            (rest - first) / count + 1
        };
        places / users * population + begun
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn never_more_shards_than_users() {
        assert_eq!(Shards::new(10_000, 64).count(), 64);
        assert_eq!(Shards::new(3, 64).count(), 3);
        assert_eq!(Shards::new(1, 64).count(), 1);
        assert_eq!(Shards::new(10, 0).count(), 1);
    }

    proptest! {
        /// Every user is in exactly one shard, the one that its number says.
        #[test]
        fn users_are_dealt_once(users in 1_u32..500, wanted in 1_u16..80) {
            let shards = Shards::new(users, wanted);
            let mut dealt: Vec<u32> = (0..shards.count())
                .flat_map(|shard| (0..shards.population(shard)).map(move |place| (shard, shards.user(shard, place))))
                .map(|(shard, user)| {
                    assert_eq!(user % u32::from(shards.count()), u32::from(shard));
                    user
                })
                .collect();
            dealt.sort_unstable();
            prop_assert_eq!(dealt, (1..=users).collect::<Vec<_>>());
        }

        /// The shards' events fill the places of the run without gap or overlap.
        #[test]
        fn places_are_filled_once(users in 1_u32..200, wanted in 1_u16..80, places in 0_u64..1_000) {
            let shards = Shards::new(users, wanted);
            let mut filled: Vec<u64> = (0..shards.count())
                .flat_map(|shard| (0..shards.events_within(shard, places)).map(move |index| shards.place(shard, index)))
                .collect();
            filled.sort_unstable();
            prop_assert_eq!(filled, (0..places).collect::<Vec<_>>());
        }
    }
}
