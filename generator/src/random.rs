//! Counter-based randomness: every random choice is a pure function of named numbers (seed, shard, index …),
//! so that a shard can resume at any event without replaying the ones before it.

use std::convert::Infallible;

use rand::TryRng;

/// Weyl increment of `SplitMix64`: the odd number nearest to 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// What a stream of random numbers is for; streams of different purposes are independent of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Purpose {
    Events = 1,
    Users = 2,
    Artists = 3,
    Tracks = 4,
}

/// A `SplitMix64` stream: 64 bits of state, a few nanoseconds a number, equidistributed over its period of 2^64.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

/// `SplitMix64`'s output function: a bijection of 64-bit numbers in which every input bit changes every output
/// bit with a probability close to one half.
pub(crate) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// A family of streams: `seed`, what they are for, and a number within the purpose (a shard, a genre).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Family {
    base: u64,
}

impl Family {
    pub(crate) const fn new(seed: u64, purpose: Purpose, number: u64) -> Self {
        let purpose = mix(mix(seed ^ GOLDEN).wrapping_add(purpose as u64));
        Self {
            base: mix(purpose ^ number.wrapping_mul(GOLDEN)),
        }
    }

    /// The stream of member `index`.
    pub(crate) const fn stream(self, index: u64) -> Random {
        // Mixed, so that neighbouring members are not shifted copies of each other.
        Random {
            state: mix(self.base.wrapping_add(index.wrapping_mul(GOLDEN))),
        }
    }
}

impl Random {
    pub(crate) const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// Uniform in `0..bound`; the bias is below `bound` / 2^64. 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// Uniform in `[0, 1)`, with 53 random bits.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// True with the given probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of `items`; `None` if there are none.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> Option<&'a T> {
        items.get(self.below(items.len() as u64) as usize).copied()
    }
}

/// What `fake` and `rand_distr` draw from.
impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.next() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next())
    }

    fn try_fill_bytes(&mut self, destination: &mut [u8]) -> Result<(), Infallible> {
        for chunk in destination.chunks_mut(8) {
            for (to, from) in chunk.iter_mut().zip(self.next().to_le_bytes()) {
                *to = from;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published test vector of `SplitMix64` for the state 1234567: the stream is what it says it is.
    #[test]
    fn is_splitmix64() {
        let mut random = Random { state: 1_234_567 };
        let numbers: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(
            numbers,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    /// First draws of consecutive members, as events use them, are uniform and uncorrelated.
    #[test]
    fn neighbours_are_independent() {
        let family = Family::new(42, Purpose::Events, 7);
        let draws: Vec<f64> = (0..100_000).map(|index| family.stream(index).unit()).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        assert!((mean - 0.5).abs() < 0.005, "mean {mean}");
        let covariance = draws
            .windows(2)
            .map(|pair| (pair[0] - 0.5) * (pair[1] - 0.5))
            .sum::<f64>()
            / draws.len() as f64;
        assert!(covariance.abs() < 0.002, "covariance {covariance}");
        let mut buckets = [0_u32; 16];
        for draw in &draws {
            buckets[(draw * 16.0) as usize] += 1;
        }
        // Chi-square with 15 degrees of freedom: 37.7 is exceeded once in a thousand; the seed is fixed.
        let expected = draws.len() as f64 / 16.0;
        let chi_square: f64 = buckets
            .iter()
            .map(|count| (f64::from(*count) - expected).powi(2) / expected)
            .sum();
        assert!(chi_square < 37.7, "chi-square {chi_square}");
    }

    #[test]
    fn families_differ_by_seed_purpose_and_number() {
        let first = |seed, purpose, number| Family::new(seed, purpose, number).stream(0).next();
        let all = [
            first(1, Purpose::Events, 0),
            first(2, Purpose::Events, 0),
            first(1, Purpose::Users, 0),
            first(1, Purpose::Events, 1),
        ];
        for (place, number) in all.iter().enumerate() {
            assert!(!all[..place].contains(number));
        }
    }

    #[test]
    fn below_reaches_every_number_and_no_other() {
        let mut random = Family::new(1, Purpose::Tracks, 0).stream(0);
        let mut seen = [false; 7];
        for _ in 0..1_000 {
            seen[random.below(7) as usize] = true;
        }
        assert_eq!(seen, [true; 7]);
        assert_eq!(random.below(0), 0);
    }
}
