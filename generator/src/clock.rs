//! Time, as an argument.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Tells the time and waits.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Microseconds since 1970-01-01 UTC; never goes back.
    fn now(&self) -> i64;
    fn sleep(&self, duration: Duration);
}

/// The machine's clock, read once and then followed by its monotonic one: when the clock is set, events go on at
/// their rate instead of stopping for an hour or coming all at once.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    micros: i64,
    read: Instant,
}

impl SystemClock {
    #[must_use]
    pub fn new() -> Self {
        Self {
            micros: Timestamp::now().as_microsecond(),
            read: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> i64 {
        let elapsed = i64::try_from(self.read.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.micros.saturating_add(elapsed)
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}
