//! What the operating system tells of the processor time of this process.

use std::time::Duration;

/// Time for which threads of this process have run, or stood ready to run and did not get a processor: because others
/// had it, or because a limit on the container held them back. Linux counts both; elsewhere it is not known.
///
/// A thread that ends takes its time along, so the sum may go back.
pub(crate) fn time() -> Option<Duration> {
    let mut nanoseconds = 0u64;
    for thread in std::fs::read_dir("/proc/self/task").ok()?.flatten() {
        // It may have ended meanwhile.
        let Ok(text) = std::fs::read_to_string(thread.path().join("schedstat")) else {
            continue;
        };
        nanoseconds = nanoseconds.saturating_add(ran_and_waited(&text).unwrap_or(0));
    }
    (nanoseconds > 0).then(|| Duration::from_nanos(nanoseconds))
}

/// The first two numbers of `/proc/<pid>/schedstat`: nanoseconds on a processor, and nanoseconds of waiting for one.
fn ran_and_waited(text: &str) -> Option<u64> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse::<u64>);
    let ran = numbers.next()?.ok()?;
    let waited = numbers.next()?.ok()?;
    ran.checked_add(waited)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_and_waiting_count_and_what_is_not_understood_does_not() {
        for (text, expected) in [
            ("96718222 506389924 32\n", Some(603_108_146)),
            ("0 62693 1", Some(62_693)),
            ("12", None),
            ("", None),
            ("a b c", None),
        ] {
            assert_eq!(ran_and_waited(text), expected, "{text:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn work_takes_time() {
        let before = time().unwrap();
        let mut sum = 0u64;
        while time().unwrap() < before + Duration::from_millis(5) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
    }
}
