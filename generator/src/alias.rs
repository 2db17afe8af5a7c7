//! Weighted choice in constant time (Walker's alias method, Vose's construction).

/// Items with weights. 12 bytes an item.
#[derive(Debug, Clone)]
pub(crate) struct AliasTable {
    slots: Box<[Slot]>,
}

/// One of n equally likely slots: `own` below the threshold, `other` from it on.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Probability of `own` within the slot, in units of 2^-32; the largest value stands for 1.
    threshold: u32,
    own: u32,
    other: u32,
}

impl AliasTable {
    /// A table of `(item, weight)`. Weights that are all 0 count as equal: such a set has no favourite, but
    /// still has members. `None` if there are no items.
    pub(crate) fn new(items: &[(u32, u32)]) -> Option<Self> {
        if items.is_empty() {
            return None;
        }
        let total: u64 = items.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let scale = if total == 0 {
            1.0
        } else {
            items.len() as f64 / total as f64
        };
        // Shares of a slot: 1 is exactly one slot's worth.
        let mut small = Vec::new();
        let mut large = Vec::new();
        for &(item, weight) in items {
            let share = if total == 0 {
                1.0
            } else {
                f64::from(weight) * scale
            };
            if share < 1.0 { &mut small } else { &mut large }.push((item, share));
        }
        let mut slots = Vec::with_capacity(items.len());
        while let (Some(&(own, share)), Some(&(other, rest))) = (small.last(), large.last()) {
            small.pop();
            large.pop();
            slots.push(Slot {
                threshold: (share * 4_294_967_296.0) as u32,
                own,
                other,
            });
            let rest = rest - (1.0 - share);
            if rest < 1.0 { &mut small } else { &mut large }.push((other, rest));
        }
        // What is left fills a slot of its own, but for rounding.
        slots.extend(small.into_iter().chain(large).map(|(own, _)| Slot {
            threshold: u32::MAX,
            own,
            other: own,
        }));
        Some(Self {
            slots: slots.into_boxed_slice(),
        })
    }

    /// The item that 64 random bits choose: the upper half chooses the slot, the lower half the side of it.
    pub(crate) fn choose(&self, bits: u64) -> u32 {
        let slot = ((bits >> 32) * self.slots.len() as u64) >> 32;
        let side = bits as u32;
        // The product above is below the length, so that the table always answers.
        self.slots.get(slot as usize).map_or(0, |slot| {
            if side < slot.threshold {
                slot.own
            } else {
                slot.other
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::{Family, Purpose};

    /// Probability of each item that the table encodes, read off its slots.
    fn encoded(table: &AliasTable, items: usize) -> Vec<f64> {
        let mut probabilities = vec![0.0; items];
        let each = 1.0 / table.slots.len() as f64;
        for slot in &table.slots {
            let own = f64::from(slot.threshold) / 4_294_967_296.0;
            probabilities[slot.own as usize] += each * own;
            probabilities[slot.other as usize] += each * (1.0 - own);
        }
        probabilities
    }

    proptest! {
        #[test]
        fn encodes_the_weights(weights in prop::collection::vec(0_u32..=100, 1..200)) {
            let items: Vec<(u32, u32)> = weights.iter().enumerate().map(|(i, w)| (i as u32, *w)).collect();
            let table = AliasTable::new(&items).unwrap();
            let total: u32 = weights.iter().sum();
            for (probability, weight) in encoded(&table, items.len()).iter().zip(&weights) {
                let expected = if total == 0 { 1.0 / items.len() as f64 } else { f64::from(*weight) / f64::from(total) };
                prop_assert!((probability - expected).abs() < 1e-6, "{probability} for {expected}");
            }
        }
    }

    #[test]
    fn chooses_by_the_weights() {
        let table = AliasTable::new(&[(10, 0), (20, 1), (30, 3)]).unwrap();
        let mut random = Family::new(5, Purpose::Tracks, 0).stream(0);
        let mut counts = [0_u32; 3];
        for _ in 0..100_000 {
            counts[(table.choose(random.next()) / 10 - 1) as usize] += 1;
        }
        assert_eq!(counts[0], 0);
        assert!(
            (f64::from(counts[1]) / 100_000.0 - 0.25).abs() < 0.01,
            "{counts:?}"
        );
    }

    #[test]
    fn needs_an_item() {
        assert!(AliasTable::new(&[]).is_none());
        assert_eq!(AliasTable::new(&[(7, 0)]).unwrap().choose(u64::MAX), 7);
    }
}
