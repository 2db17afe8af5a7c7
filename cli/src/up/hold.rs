//! Back-pressure for the embedded broker. Pure.
//!
//! librdkafka's mock broker drops the oldest message sets of a partition above 5 MiB or 100,000 of them, silently.
//! Records that are read already may go; those that are not must not, so the generator is held back long before.

/// Unread records of one partition at which the generator is held back.
const MOST_RECORDS: u64 = 20_000;

/// And their bytes.
const MOST_BYTES: u64 = 2 * 1024 * 1024;

/// What a record takes in a message set besides its key and value: header, offset, timestamp, lengths.
const OVERHEAD: u64 = 60;

/// Whether the generator is to be held back, given whether it is now, the unread records of the fullest partition
/// and the mean bytes of a record's key and value. It goes on below half of what it was held back at.
pub(super) fn decide(held: bool, unread: u64, record_bytes: u64) -> bool {
    let share = if held { 2 } else { 1 };
    let bytes = unread.saturating_mul(record_bytes.saturating_add(OVERHEAD));
    unread.saturating_mul(share) >= MOST_RECORDS || bytes.saturating_mul(share) >= MOST_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_held_at_the_limit_and_released_below_half() {
        for (held, unread, bytes, expected) in [
            (false, 0, 100, false),
            (false, 13_000, 100, false),
            (false, 13_200, 100, true),
            (true, 6_600, 100, true),
            (true, 6_500, 100, false),
            // Small records are limited by their number, large ones by their bytes.
            (false, 19_999, 1, false),
            (false, 20_000, 1, true),
            (true, 9_999, 1, false),
            (false, 2, 1 << 20, true),
            (false, u64::MAX, u64::MAX, true),
        ] {
            assert_eq!(decide(held, unread, bytes), expected, "{held} {unread} {bytes}");
        }
    }
}
