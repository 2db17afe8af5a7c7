//! One leader at a time, by a Lease.
//!
//! Losing the lease ends the process: whatever it was about to write, it does not. A watchdog of our own looks at the
//! Lease besides the manager that renews it, since a renewal that hangs is no error; it measures by the
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
    pub lease: String,
    /// The operator's own, where the Lease is.
    pub namespace: String,
    /// This process, unique among the operators.
    pub identity: String,
    /// Nobody else leads for so long after a renewal.
    pub duration: Duration,
}

/// Why this process does not lead.
#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    #[error("cannot use the Lease {name}")]
    Lease {
        name: String,
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
            .with_field_manager(format!("{}-{}", crate::names::OPERATOR, config.identity))
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
                Ok(Ok(lease)) => match classify(&lease, &self.config.identity, self.renewed.as_ref()) {
                    LeaseState::Renewed(renewed) => {
                        self.renewed = Some(renewed);
                        // It was renewed at most one look ago.
                        self.valid_until = asked + self.config.duration.saturating_sub(LOOK * 2);
                    }
                    LeaseState::Same => {}
                    LeaseState::Lost => return,
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
enum LeaseState {
    Renewed(MicroTime),
    Same,
    Lost,
}

/// What a Lease says about whether `me` leads.
fn classify(lease: &Lease, me: &str, known: Option<&MicroTime>) -> LeaseState {
    let Some(spec) = &lease.spec else {
        return LeaseState::Lost;
    };
    match (&spec.holder_identity, &spec.renew_time) {
        (Some(holder), _) if holder != me => LeaseState::Lost,
        (Some(_), Some(renewed)) if Some(renewed) != known => LeaseState::Renewed(renewed.clone()),
        (Some(_), Some(_)) => LeaseState::Same,
        _ => LeaseState::Lost,
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
            (lease(Some("me"), Some(1)), None, LeaseState::Renewed(at(1))),
            (
                lease(Some("me"), Some(2)),
                Some(at(1)),
                LeaseState::Renewed(at(2)),
            ),
            // A clock that went back is a renewal all the same.
            (
                lease(Some("me"), Some(0)),
                Some(at(1)),
                LeaseState::Renewed(at(0)),
            ),
            (lease(Some("me"), Some(1)), Some(at(1)), LeaseState::Same),
            (lease(Some("other"), Some(3)), Some(at(1)), LeaseState::Lost),
            (lease(None, Some(3)), Some(at(1)), LeaseState::Lost),
            (lease(Some("me"), None), Some(at(1)), LeaseState::Lost),
            (Lease::default(), None, LeaseState::Lost),
        ] {
            assert_eq!(classify(&lease, "me", known.as_ref()), expected, "{lease:?}");
        }
    }
}
