//! One leader at a time, by a Lease.
//!
//! Losing the lease ends the process: whatever it was about to write, it does not. A watchdog of our own looks at the
//! Lease besides the manager that renews it, since a renewal that hangs tells nobody anything; it measures by the
//! monotonic clock from the moment when it saw a renewal, so that a clock that jumps changes nothing.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{Api, Client};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How the leader is found.
#[derive(Debug, Clone)]
pub struct LeaderConfig {
    /// The Lease's name.
    pub lease: String,
    /// Where it is.
    pub namespace: String,
    /// This process.
    pub identity: String,
    /// Nobody else leads for so long after a renewal.
    pub duration: Duration,
}

/// Why this process does not lead.
#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    /// The Lease cannot be used.
    #[error("cannot use the Lease {name}")]
    Lease {
        /// Its name.
        name: String,
        /// What went wrong.
        #[source]
        source: LeaseManagerError,
    },
    /// Somebody else may lead now.
    #[error("the lease is lost: another process may lead now")]
    Lost,
}

/// Leadership that was won. Call [`release`](Self::release) at the end.
pub struct Leadership {
    state: watch::Receiver<bool>,
    manager: JoinHandle<Result<LeaseManager, LeaseManagerError>>,
    watchdog: Watchdog,
}

/// Between looks at the Lease.
const LOOK: Duration = Duration::from_secs(2);
/// Between attempts to reach the API server before the lease is won.
const RETRY: Duration = Duration::from_secs(5);

/// Waits until this process leads; `None` if `shutdown` came first.
pub async fn lead(
    client: &Client,
    config: &LeaderConfig,
    shutdown: &CancellationToken,
) -> Result<Option<Leadership>, LeaderError> {
    let seconds = config.duration.as_secs().max(6);
    let manager = loop {
        let builder = LeaseManagerBuilder::new(client.clone(), &config.lease)
            .with_namespace(&config.namespace)
            .with_identity(&config.identity)
            .with_field_manager(format!("{}-{}", crate::build::OPERATOR, config.identity))
            .with_duration(seconds)
            .with_grace(seconds / 2);
        match builder.build().await {
            Ok(manager) => break manager,
            Err(error) => {
                tracing::warn!(error = runtime::report::line(&error), "no lease yet");
                let waited = tokio::time::sleep(RETRY);
                if shutdown.run_until_cancelled(waited).await.is_none() {
                    return Ok(None);
                }
            }
        }
    };
    let (mut state, manager) = manager.watch().await;
    tracing::info!(
        lease = config.lease,
        identity = config.identity,
        "waiting to lead"
    );
    let won = shutdown
        .run_until_cancelled(state.wait_for(|leads| *leads))
        .await
        .map(|won| won.is_ok());
    let leadership = Leadership {
        state,
        manager,
        watchdog: Watchdog {
            leases: Api::namespaced(client.clone(), &config.namespace),
            config: config.clone(),
            renewed: None,
            valid_until: Instant::now() + LOOK * 2,
        },
    };
    match won {
        Some(true) => Ok(Some(leadership)),
        Some(false) => Err(LeaderError::Lost),
        None => {
            leadership.release().await;
            Ok(None)
        }
    }
}

impl Leadership {
    /// Ends when the lease is lost, and only then.
    pub async fn lost(&mut self) -> LeaderError {
        let Self { state, watchdog, .. } = self;
        tokio::select! {
            _ = state.wait_for(|leads| !*leads) => {}
            () = watchdog.watch() => {}
        }
        LeaderError::Lost
    }

    /// Lets the next one lead at once.
    pub async fn release(self) {
        let Self { state, manager, .. } = self;
        drop(state);
        let released = tokio::time::timeout(Duration::from_secs(5), manager).await;
        if matches!(released, Ok(Ok(Ok(_)))) {
            tracing::info!("released the lease");
        } else {
            tracing::warn!("the lease could not be released; the next leader waits until it runs out");
        }
    }
}

struct Watchdog {
    leases: Api<Lease>,
    config: LeaderConfig,
    /// The renewal that was seen last.
    renewed: Option<MicroTime>,
    valid_until: Instant,
}

impl Watchdog {
    /// Ends when the lease may belong to somebody else.
    async fn watch(&mut self) {
        loop {
            let asked = Instant::now();
            let left = self.valid_until.saturating_duration_since(asked);
            match tokio::time::timeout(left, self.leases.get(&self.config.lease)).await {
                Ok(Ok(lease)) => match judge(&lease, &self.config.identity, self.renewed.as_ref()) {
                    Judged::Renewed(renewed) => {
                        self.renewed = Some(renewed);
                        // It was renewed at most one look ago.
                        self.valid_until = asked + self.config.duration.saturating_sub(LOOK * 2);
                    }
                    Judged::Same => {}
                    Judged::Lost => return,
                },
                Ok(Err(error)) => tracing::debug!(%error, "the lease cannot be read"),
                Err(_) => {}
            }
            if Instant::now() >= self.valid_until {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[derive(Debug, PartialEq)]
enum Judged {
    Renewed(MicroTime),
    Same,
    Lost,
}

/// What a Lease says about whether `me` leads.
fn judge(lease: &Lease, me: &str, known: Option<&MicroTime>) -> Judged {
    let Some(spec) = &lease.spec else {
        return Judged::Lost;
    };
    match (&spec.holder_identity, &spec.renew_time) {
        (Some(holder), _) if holder != me => Judged::Lost,
        (Some(_), Some(renewed)) if Some(renewed) != known => Judged::Renewed(renewed.clone()),
        (Some(_), Some(_)) => Judged::Same,
        _ => Judged::Lost,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::LeaseSpec;
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    #[test]
    fn only_a_new_renewal_by_me_counts() {
        let at = |second| MicroTime(Timestamp::from_second(second).unwrap());
        let lease = |holder: Option<&str>, renewed: Option<i64>| Lease {
            spec: Some(LeaseSpec {
                holder_identity: holder.map(str::to_owned),
                renew_time: renewed.map(at),
                ..LeaseSpec::default()
            }),
            ..Lease::default()
        };
        for (lease, known, expected) in [
            (lease(Some("me"), Some(1)), None, Judged::Renewed(at(1))),
            (lease(Some("me"), Some(2)), Some(at(1)), Judged::Renewed(at(2))),
            // A clock that went back is a renewal all the same.
            (lease(Some("me"), Some(0)), Some(at(1)), Judged::Renewed(at(0))),
            (lease(Some("me"), Some(1)), Some(at(1)), Judged::Same),
            (lease(Some("other"), Some(3)), Some(at(1)), Judged::Lost),
            (lease(None, Some(3)), Some(at(1)), Judged::Lost),
            (lease(Some("me"), None), Some(at(1)), Judged::Lost),
            (Lease::default(), None, Judged::Lost),
        ] {
            assert_eq!(judge(&lease, "me", known.as_ref()), expected, "{lease:?}");
        }
    }
}
