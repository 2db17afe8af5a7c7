//! The arguments of `streampipeline-operator`.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::crd::PullPolicy;
use clap::{Parser, Subcommand};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use prometheus_client::registry::Registry;
use runtime::exit::Exit;
use runtime::health::Health;
use runtime::telemetry::{LogFormat, TelemetryError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::controller::{self, ControllerSettings};
use crate::installation::check::{CheckConfig, check};
use crate::installation::definition::{self, DefinitionError};
use crate::installation::rbac::{self, RuleScope};
use crate::kafka::{Brokers, MonitorConfig};
use crate::leader::{LeaderConfig, LeaderError, lead};
use crate::metrics::Metrics;
use crate::objects::Defaults;

/// Makes a Kubernetes cluster run what `StreamPipeline`s say.
#[derive(Debug, Parser)]
#[command(name = "streampipeline-operator", version, about)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run until stopped (SIGTERM ends what was begun and releases the lease). Pipelines run on without it.
    Run(Box<RunArgs>),
    /// Check from within the cluster that an installation works: rights, definition, leader.
    Check(CheckArgs),
    /// Print the custom resource definition.
    Crd,
    /// Print the rules of the roles that the operator needs.
    Rbac {
        /// Which: watched (in every namespace with pipelines), own (in the operator's namespace) or cluster.
        #[arg(value_parser = scope)]
        scope: RuleScope,
    },
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    /// Look after pipelines in this namespace only. Without it, in all of them.
    #[arg(long, value_name = "NAME", env = "STREAMPIPELINE_WATCH_NAMESPACE")]
    namespace: Option<String>,
    /// Image of pipelines that name none; it has to hold streampipeline-worker and streampipeline-generator.
    #[arg(long, value_name = "IMAGE", env = "STREAMPIPELINE_IMAGE")]
    image: String,
    /// When nodes fetch that image: Always, IfNotPresent or Never.
    #[arg(long, value_name = "POLICY", default_value = "IfNotPresent", env = "STREAMPIPELINE_IMAGE_PULL_POLICY", value_parser = pull_policy)]
    image_pull_policy: PullPolicy,
    /// Do not make a NetworkPolicy for each pipeline.
    #[arg(long, env = "STREAMPIPELINE_NO_NETWORK_POLICIES")]
    no_network_policies: bool,
    /// Leave the custom resource definition alone; somebody else keeps it up to date.
    #[arg(long, env = "STREAMPIPELINE_NO_CRD")]
    no_crd: bool,
    /// The Lease by which operators agree on a leader.
    #[arg(long, value_name = "NAME", default_value = "streampipeline-operator")]
    lease: String,
    /// The operator's own namespace, where the Lease is.
    #[arg(long, value_name = "NAME", default_value = "default", env = "POD_NAMESPACE")]
    own_namespace: String,
    /// This process's name, unique among the operators.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "streampipeline-operator",
        env = "HOSTNAME"
    )]
    name: String,
    /// How long a leader that vanishes blocks the next.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    lease_duration: Duration,
    /// Reconciles at the same time.
    #[arg(long, value_name = "N", default_value = "16")]
    concurrency: u16,
    /// From one look at a pipeline's lag to the next.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    kafka_interval: Duration,
    /// Where /livez, /readyz and /metrics are served.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080",
        env = "STREAMPIPELINE_LISTEN"
    )]
    listen: SocketAddr,
    /// What to log: a level, or levels by target (`info,operator=debug`).
    #[arg(long, default_value = "info", env = "STREAMPIPELINE_LOG")]
    log: String,
    /// How log lines look: auto, json or text.
    #[arg(long, default_value = "auto", env = "STREAMPIPELINE_LOG_FORMAT")]
    log_format: LogFormat,
}

#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// The operator looks after pipelines in this namespace only.
    #[arg(long, value_name = "NAME", env = "STREAMPIPELINE_WATCH_NAMESPACE")]
    namespace: Option<String>,
    /// The operator leaves the custom resource definition alone.
    #[arg(long, env = "STREAMPIPELINE_NO_CRD")]
    no_crd: bool,
    /// The operator's Lease.
    #[arg(long, value_name = "NAME", default_value = "streampipeline-operator")]
    lease: String,
    /// The operator's own namespace.
    #[arg(long, value_name = "NAME", default_value = "default", env = "POD_NAMESPACE")]
    own_namespace: String,
}

fn duration(text: &str) -> Result<Duration, String> {
    api::parse_duration(text).map_err(|error| format!("{error}: {}", api::DurationError::REMEDY))
}

fn pull_policy(text: &str) -> Result<PullPolicy, String> {
    [PullPolicy::Always, PullPolicy::IfNotPresent, PullPolicy::Never]
        .into_iter()
        .find(|policy| policy.as_str() == text)
        .ok_or_else(|| "use Always, IfNotPresent or Never".to_owned())
}

fn scope(text: &str) -> Result<RuleScope, String> {
    match text {
        "watched" => Ok(RuleScope::Watched),
        "own" => Ok(RuleScope::Own),
        "cluster" => Ok(RuleScope::Cluster),
        _ => Err("use watched, own or cluster".to_owned()),
    }
}

/// Why the program failed.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// Logging could not be set up.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// No cluster.
    #[error(
        "no access to a cluster: in a pod its service account is used, elsewhere KUBECONFIG or ~/.kube/config"
    )]
    Cluster(#[source] kube::Error),
    /// The custom resource definition.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The lease.
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
        /// What could not be done.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl ProgramError {
    /// What the parent process is told.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Telemetry(_) => Exit::Usage,
            _ => Exit::Failure,
        }
    }
}

impl Args {
    /// Does what was asked for.
    pub async fn run(self) -> Result<(), ProgramError> {
        match self.command {
            Command::Run(args) => {
                runtime::telemetry::init(args.log_format, &args.log)?;
                let shutdown = runtime::shutdown::signals().map_err(|source| ProgramError::Io {
                    what: "cannot listen to signals".to_owned(),
                    source,
                })?;
                let client = Client::try_default().await.map_err(ProgramError::Cluster)?;
                args.run(client, shutdown).await
            }
            Command::Check(args) => args.run().await,
            Command::Crd => print(&api::crd_yaml()),
            Command::Rbac { scope } => print(&rbac::yaml(scope)),
        }
    }
}

/// Not by the macro, which panics where nobody reads.
fn print(text: &str) -> Result<(), ProgramError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|source| ProgramError::Io {
            what: "cannot write to standard output".to_owned(),
            source,
        })
}

impl CheckArgs {
    async fn run(self) -> Result<(), ProgramError> {
        let client = Client::try_default().await.map_err(ProgramError::Cluster)?;
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
        match check(&client, &config).await.map_err(ProgramError::Unchecked)? {
            problems if problems.is_empty() => {
                println!("the operator has its rights, its definition is served, and one leads");
                Ok(())
            }
            problems => Err(ProgramError::Check(problems)),
        }
    }
}

impl RunArgs {
    async fn run(self, client: Client, shutdown: CancellationToken) -> Result<(), ProgramError> {
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
            .map_err(|source| ProgramError::Io {
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
) -> Result<(), ProgramError> {
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
) -> Result<(), ProgramError> {
    if definition {
        definition::apply(client).await?;
    }
    controller::run(settings, shutdown.clone()).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_understood() {
        let parse =
            |more: &[&str]| Args::try_parse_from([&["operator", "run", "--image", "i"], more].concat());
        let Command::Run(args) = parse(&["--image-pull-policy", "Never", "--kafka-interval", "1m30s"])
            .unwrap()
            .command
        else {
            panic!("not run")
        };
        assert_eq!(args.image_pull_policy, PullPolicy::Never);
        assert_eq!(args.kafka_interval, Duration::from_secs(90));
        for (wrong, remedy) in [
            (
                ["--image-pull-policy", "never"],
                "use Always, IfNotPresent or Never",
            ),
            (["--lease-duration", "soon"], "such as 1h30m"),
        ] {
            let error = parse(&wrong).unwrap_err().to_string();
            assert!(error.contains(remedy), "{error}");
        }
    }
}
