//! A limit on a test's memory that holds on every machine, whether or not it overcommits.

use std::env;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Bytes of address space: far more than a test needs, and far less than what a few bytes can claim to be.
const LIMIT: u64 = 2 * 1024 * 1024 * 1024;

/// The name of the test that a process was started for.
const FOR_TEST: &str = "TESTBED_WITHIN_MEMORY";

/// Runs `test`, which is the whole of a test function, in a process of its own that gets no more than 2 GiB: room that is
/// made on somebody's word fails there, where the kernel would otherwise promise it.
///
/// # Panics
/// If the test fails, with what it printed.
#[allow(clippy::panic, reason = "tests fail by panicking")]
pub fn within_memory<F: FnOnce()>(test: F) {
    let name = test_of::<F>();
    if env::var(FOR_TEST).is_ok_and(|expected| expected == name) {
        let Rlimit { maximum, .. } = getrlimit(Resource::As);
        let current = Some(maximum.map_or(LIMIT, |maximum| maximum.min(LIMIT)));
        let limit = Rlimit { current, maximum };
        return match setrlimit(Resource::As, limit) {
            Ok(()) => test(),
            Err(error) => panic!("the memory of this process cannot be limited: {error}"),
        };
    }
    let program = env::current_exe().unwrap_or_else(|error| panic!("which program is this? {error}"));
    let output = Command::new(program)
        .args([name, "--exact", "--nocapture", "--include-ignored"])
        .env(FOR_TEST, name)
        .output()
        .unwrap_or_else(|error| panic!("the test does not start in a process of its own: {error}"));
    let (printed, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{name} within {LIMIT} bytes of memory: {}\n{printed}{errors}",
        output.status
    );
}

/// What the test harness calls the function that `F` is a closure of.
fn test_of<F>() -> &'static str {
    let name = std::any::type_name::<F>();
    let name = name.split_once("::").map_or(name, |(_, name)| name);
    name.split_once("::{{").map_or(name, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::hint::black_box;
    use std::panic::catch_unwind;

    #[test]
    fn what_is_modest_passes() {
        within_memory(|| drop(black_box(vec![1_u8; 1024 * 1024])));
    }

    #[test]
    fn what_reserves_too_much_fails() {
        let outcome = catch_unwind(|| {
            within_memory(|| drop(black_box(Vec::<u8>::with_capacity(3 * 1024 * 1024 * 1024))));
        });
        // In the process of its own nothing comes back: it is aborted.
        let panic = outcome.unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(
            text.contains("memory allocation of 3221225472 bytes failed"),
            "{text}"
        );
    }
}
