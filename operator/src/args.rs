//! The arguments of `streampipeline-operator`.

use std::net::SocketAddr;
use std::time::Duration;

use api::crd::PullPolicy;
use clap::{Parser, Subcommand};
use runtime::telemetry::LogFormat;

use crate::installation::rbac::RuleScope;

/// Makes a Kubernetes cluster run what `StreamPipeline`s say.
#[derive(Debug, Parser)]
#[command(name = "streampipeline-operator", version, about)]
pub struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
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
pub(crate) struct RunArgs {
    /// Look after pipelines in this namespace only. Without it, in all of them.
    #[arg(long, value_name = "NAME", env = "STREAMPIPELINE_WATCH_NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// Image of pipelines that name none; it has to hold streampipeline-worker and streampipeline-generator.
    #[arg(long, value_name = "IMAGE", env = "STREAMPIPELINE_IMAGE")]
    pub(crate) image: String,
    /// When nodes fetch that image: Always, IfNotPresent or Never.
    #[arg(long, value_name = "POLICY", default_value = "IfNotPresent", env = "STREAMPIPELINE_IMAGE_PULL_POLICY", value_parser = pull_policy)]
    pub(crate) image_pull_policy: PullPolicy,
    /// Do not make a NetworkPolicy for each pipeline.
    #[arg(long, env = "STREAMPIPELINE_NO_NETWORK_POLICIES")]
    pub(crate) no_network_policies: bool,
    /// Leave the custom resource definition alone; somebody else keeps it up to date.
    #[arg(long, env = "STREAMPIPELINE_NO_CRD")]
    pub(crate) no_crd: bool,
    /// The Lease by which operators agree on a leader.
    #[arg(long, value_name = "NAME", default_value = "streampipeline-operator")]
    pub(crate) lease: String,
    /// The operator's own namespace, where the Lease is.
    #[arg(long, value_name = "NAME", default_value = "default", env = "POD_NAMESPACE")]
    pub(crate) own_namespace: String,
    /// This process's name, unique among the operators.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "streampipeline-operator",
        env = "HOSTNAME"
    )]
    pub(crate) name: String,
    /// How long a leader that vanishes blocks the next.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(crate) lease_duration: Duration,
    /// Reconciles at the same time.
    #[arg(long, value_name = "N", default_value = "16")]
    pub(crate) concurrency: u16,
    /// From one look at a pipeline's lag to the next.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) kafka_interval: Duration,
    /// Where /livez, /readyz and /metrics are served.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080",
        env = "STREAMPIPELINE_LISTEN"
    )]
    pub(crate) listen: SocketAddr,
    /// What to log: a level, or levels by target (`info,operator=debug`).
    #[arg(long, default_value = "info", env = "STREAMPIPELINE_LOG")]
    pub(crate) log: String,
    /// How log lines look: auto, json or text.
    #[arg(long, default_value = "auto", env = "STREAMPIPELINE_LOG_FORMAT")]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The operator looks after pipelines in this namespace only.
    #[arg(long, value_name = "NAME", env = "STREAMPIPELINE_WATCH_NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// The operator leaves the custom resource definition alone.
    #[arg(long, env = "STREAMPIPELINE_NO_CRD")]
    pub(crate) no_crd: bool,
    /// The operator's Lease.
    #[arg(long, value_name = "NAME", default_value = "streampipeline-operator")]
    pub(crate) lease: String,
    /// The operator's own namespace.
    #[arg(long, value_name = "NAME", default_value = "default", env = "POD_NAMESPACE")]
    pub(crate) own_namespace: String,
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
