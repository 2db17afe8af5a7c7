//! What `streampipeline-operator` does with its arguments.

use std::io::Write;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use prometheus_client::registry::Registry;
use runtime::exit::Exit;
use runtime::health::Health;
use runtime::telemetry::TelemetryError;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::args::{Args, CheckArgs, Command, RunArgs};
use crate::controller::{self, ControllerSettings};
use crate::installation::check::{CheckConfig, check};
use crate::installation::definition::{self, DefinitionError};
use crate::installation::rbac;
use crate::kafka::{Brokers, MonitorConfig};
use crate::leader::{LeaderConfig, LeaderError, lead};
use crate::metrics::Metrics;
use crate::objects::Defaults;

#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// Nothing says where a cluster is.
    #[error(
        "no access to a cluster: in a pod its service account is used, elsewhere KUBECONFIG or ~/.kube/config"
    )]
    Cluster(#[source] kube::Error),
    /// The pipelines' custom resource definition.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The lease cannot be used, or is lost.
    #[error(transparent)]
    Leader(#[from] LeaderError),
    /// An installation could not be checked.
    #[error("the API server does not answer what an installation is checked by")]
    Unchecked(#[source] kube::Error),
    /// An installation does not work.
    #[error("this installation does not work:\n{}", .0.join("\n"))]
    Check(Vec<String>),
    /// Signals cannot be listened to, or the health address cannot be served.
    #[error("{what}")]
    Io {
        /// A sentence: `cannot …`.
        what: String,
        #[source]
        source: std::io::Error,
    },
}

impl OperatorError {
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Telemetry(_) => Exit::Usage,
            _ => Exit::Failure,
        }
    }
}

impl Args {
    pub async fn run(self) -> Result<(), OperatorError> {
        match self.command {
            Command::Run(args) => {
                runtime::telemetry::init(args.log_format, &args.log)?;
                let shutdown = runtime::shutdown::signals().map_err(|source| OperatorError::Io {
                    what: "cannot listen to signals".to_owned(),
                    source,
                })?;
                let client = Client::try_default().await.map_err(OperatorError::Cluster)?;
                args.run(client, shutdown).await
            }
            Command::Check(args) => args.run().await,
            Command::Crd => print(&api::crd_yaml()),
            Command::Rbac { scope } => print(&rbac::yaml(scope)),
        }
    }
}

/// Not by the macro, which panics where nobody reads.
fn print(text: &str) -> Result<(), OperatorError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|source| OperatorError::Io {
            what: "cannot write to standard output".to_owned(),
            source,
        })
}

impl CheckArgs {
    async fn run(self) -> Result<(), OperatorError> {
        let client = Client::try_default().await.map_err(OperatorError::Cluster)?;
        let Self {
            namespace,
            no_crd,
            lease,
            own_namespace,
        } = self;
        let config = CheckConfig {
            namespace,
            own_namespace,
            lease,
            definition: !no_crd,
        };
        match check(&client, &config).await.map_err(OperatorError::Unchecked)? {
            problems if problems.is_empty() => {
                println!("the operator has its rights, its definition is served, and one leads");
                Ok(())
            }
            problems => Err(OperatorError::Check(problems)),
        }
    }
}

impl RunArgs {
    async fn run(self, client: Client, shutdown: CancellationToken) -> Result<(), OperatorError> {
        let Self {
            namespace,
            image,
            image_pull_policy,
            no_network_policies,
            no_crd,
            lease,
            own_namespace,
            name,
            lease_duration,
            concurrency,
            kafka_interval,
            listen,
            // Used before.
            log: _,
            log_format: _,
        } = self;
        let health = Health::new();
        let metrics = Metrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let listener = TcpListener::bind(listen)
            .await
            .map_err(|source| OperatorError::Io {
                what: format!("cannot listen on {listen}"),
                source,
            })?;
        let served = CancellationToken::new();
        let server = runtime::http::serve(listener, health.clone(), Arc::new(registry), served.clone());
        let server = tokio::spawn(server);

        let config = LeaderConfig {
            lease,
            namespace: own_namespace,
            identity: name.clone(),
            duration: lease_duration,
        };
        let settings = ControllerSettings {
            client: client.clone(),
            kafka: Arc::new(Brokers::default()),
            monitors: MonitorConfig {
                interval: kafka_interval,
                ..MonitorConfig::default()
            },
            defaults: Defaults {
                image,
                pull_policy: image_pull_policy,
                network_policies: !no_network_policies,
            },
            namespace,
            concurrency,
            instance: name,
            metrics: metrics.clone(),
            health,
            clock: Arc::new(Timestamp::now),
        };
        let outcome = work(&client, &config, settings, !no_crd, &metrics, &shutdown).await;
        served.cancel();
        if let Ok(Err(error)) = server.await {
            tracing::warn!(%error, "the health server broke");
        }
        outcome
    }
}

/// Leads, and reconciles while it leads. Losing the lease is an error: what was under way is broken off.
async fn work(
    client: &Client,
    config: &LeaderConfig,
    settings: ControllerSettings,
    definition: bool,
    metrics: &Metrics,
    shutdown: &CancellationToken,
) -> Result<(), OperatorError> {
    let Some(mut leadership) = lead(client, config, shutdown).await? else {
        return Ok(());
    };
    metrics.set_leader(true);
    tracing::info!("leading");
    let outcome = tokio::select! {
        outcome = reconcile(client, settings, definition, shutdown) => outcome,
        lost = leadership.lost() => return Err(lost.into()),
    };
    leadership.release().await;
    outcome
}

async fn reconcile(
    client: &Client,
    settings: ControllerSettings,
    definition: bool,
    shutdown: &CancellationToken,
) -> Result<(), OperatorError> {
    if definition {
        definition::apply(client).await?;
    }
    controller::run(settings, shutdown.clone()).await;
    Ok(())
}
