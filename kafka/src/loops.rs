//! The tasks of a driver.

use tokio::task::JoinError;

/// A task that panicked ends the driver in the same way; one that was ended is done.
pub(crate) fn resume(outcome: Result<(), JoinError>) {
    if let Err(error) = outcome
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}
