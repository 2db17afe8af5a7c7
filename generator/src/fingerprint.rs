//! Fingerprints of settings and contents: the same on every machine and in every version, which the standard
//! library's hashers do not promise. Not for secrets: they tell changes apart, they do not resist forgers.

use crate::random::mix;

/// A 64-bit hash under construction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub(crate) fn new() -> Self {
        Self(0x5354_5245_414D)
    }

    pub(crate) fn number(&mut self, value: u64) {
        self.0 = mix(self.0.rotate_left(23) ^ mix(value));
    }

    pub(crate) fn real(&mut self, value: f64) {
        self.number(value.to_bits());
    }

    /// The length goes in as well, so that texts one after the other do not run into each other.
    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        let (words, tail) = bytes.as_chunks::<8>();
        for word in words {
            self.number(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(tail) {
            *to = *from;
        }
        self.number(u64::from_le_bytes(last));
    }

    pub(crate) fn finish(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> u64 {
        let mut fingerprint = Fingerprint::new();
        for text in texts {
            fingerprint.text(text);
        }
        fingerprint.finish()
    }

    #[test]
    fn different_contents_differ() {
        let all = [
            of(&["ab", "c"]),
            of(&["a", "bc"]),
            of(&["abc"]),
            of(&["abc", ""]),
            of(&["abc\0"]),
            of(&[]),
        ];
        for (place, one) in all.iter().enumerate() {
            assert!(!all[..place].contains(one));
        }
    }

    /// Checkpoints hold fingerprints: another value for the same settings would begin a new run.
    #[test]
    fn the_value_is_fixed() {
        assert_eq!(of(&["streampipeline"]), 5_480_541_728_739_222_361);
    }
}
