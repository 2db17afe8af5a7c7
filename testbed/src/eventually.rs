//! Waiting for a condition instead of for a time.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::error::Error;

/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(20);

/// What one look at a condition gives: the awaited value, or why it is not there yet.
pub trait Outcome {
    type Value;
    /// The value, or why not yet.
    fn outcome(self) -> Result<Self::Value, String>;
}

impl Outcome for bool {
    type Value = ();
    fn outcome(self) -> Result<(), String> {
        self.then_some(()).ok_or_else(|| "still false".to_owned())
    }
}

impl<T> Outcome for Option<T> {
    type Value = T;
    fn outcome(self) -> Result<T, String> {
        self.ok_or_else(|| "still none".to_owned())
    }
}

impl<T, E: Display> Outcome for Result<T, E> {
    type Value = T;
    fn outcome(self) -> Result<T, String> {
        self.map_err(|error| error.to_string())
    }
}

/// Looks at `condition` until it holds (`true`, `Some`, `Ok`) and gives its value; after `timeout` gives an error
/// with what the last look gave. A look that hangs is ended at the timeout.
pub async fn eventually<O: Outcome>(
    timeout: Duration,
    mut condition: impl AsyncFnMut() -> O,
) -> Result<O::Value, Error> {
    let deadline = Instant::now() + timeout;
    let mut last = "no look has ended".to_owned();
    let mut tries = 0;
    loop {
        tries += 1;
        match timeout_at(deadline, condition()).await {
            Ok(look) => match look.outcome() {
                Ok(value) => return Ok(value),
                Err(why_not) => last = why_not,
            },
            Err(_) => {
                return Err(Error::Never {
                    timeout,
                    tries,
                    last: format!("a look hung; before it: {last}"),
                });
            }
        }
        if Instant::now() >= deadline {
            return Err(Error::Never { timeout, tries, last });
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_gives_the_first_value_that_comes() {
        let mut looks = 0;
        let value = eventually(Duration::from_secs(1), || {
            looks += 1;
            let look = (looks == 3).then_some("there");
            async move { look }
        });
        assert_eq!(value.await.unwrap(), "there");
    }

    #[tokio::test(start_paused = true)]
    async fn it_tells_what_was_seen_last() {
        let error = eventually(Duration::from_millis(30), async || Err::<(), _>("4 of 5 rows"))
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "not within 30ms (3 tries): 4 of 5 rows");
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_does_not_hang_the_test() {
        let error = eventually(Duration::from_secs(5), pending::<bool>)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("a look hung"), "{error}");
    }
}
