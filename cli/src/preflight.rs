//! `streampipeline preflight`: is everything there that a pipeline needs?

use std::time::Duration;

use api::{Kafka, Pipeline, SecretUse};
use clap::Args;
use kafka::client::client_config;
use runtime::exit::Exit;
use runtime::secrets::Secrets;
use sinks::Check;
use tokio::net::TcpStream;

use crate::args::{PipelineArgs, PlaceArgs};
use crate::check::check;
use crate::error::{CliError, print};
use crate::style::{Style, count};
use crate::target::{KafkaChoice, load};

/// For a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// For Kafka's answers.
const KAFKA: Duration = Duration::from_secs(10);

/// Arguments of `preflight`.
#[derive(Debug, Args)]
#[command(after_help = "\
Checks the manifest and its SQL, the secrets, a TCP connection to each broker, access to Kafka, the topics, and the \
sink with its rights. Nothing is made or changed. Exit code 1 says that something is not as it has to be.

Example:
  streampipeline preflight -f deploy/pipelines/music.yaml --secrets ./secrets")]
pub(crate) struct PreflightArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    place: PlaceArgs,
}

impl PreflightArgs {
    pub(crate) async fn run(self) -> Result<Exit, CliError> {
        let pipeline = load(&self.pipeline.file, &self.place.sink.overrides(&self.place.kafka))?;
        check(&self.pipeline.file, &pipeline).await?;
        let secrets = self.pipeline.secrets();
        let style = Style::of_stdout();
        let mut checks = secret_checks(&pipeline, &secrets);
        if !matches!(self.place.kafka, KafkaChoice::None | KafkaChoice::Embedded) {
            checks.extend(kafka_checks(&pipeline, &secrets).await);
        }
        checks.extend(sinks::preflight(&pipeline, &secrets).await);
        let failed = checks.iter().filter(|check| check.outcome.is_err()).count() as u64;
        let mut text: String = checks.iter().map(|check| line(check, style)).collect();
        text.push_str(&match failed {
            0 => style.green("everything is there"),
            failed => style.red(format!("{} to fix", count(failed, "thing", "things"))),
        });
        text.push('\n');
        print(&text)?;
        Ok(if failed == 0 { Exit::Success } else { Exit::Failure })
    }
}

fn line(check: &Check, style: Style) -> String {
    match &check.outcome {
        Ok(how) => format!("{}    {}: {how}\n", style.green("ok"), check.subject),
        Err(problem) => format!("{}  {}: {problem}\n", style.red("FAIL"), check.subject),
    }
}

fn secret_checks(pipeline: &Pipeline, secrets: &Secrets) -> Vec<Check> {
    let check = |SecretUse {
                     path, secret, keys, ..
                 }: SecretUse| {
        let read: Result<Vec<_>, _> = keys.iter().map(|key| secrets.read(&secret, key)).collect();
        let outcome = match read {
            Ok(_) => Ok(format!("secret {} has {}", secret.name, keys.join(" and "))),
            Err(error) => Err(runtime::report::line(&error)),
        };
        Check {
            subject: path.to_owned(),
            outcome,
        }
    };
    pipeline.secrets().into_iter().map(check).collect()
}

async fn kafka_checks(pipeline: &Pipeline, secrets: &Secrets) -> Vec<Check> {
    let Kafka {
        bootstrap_servers, ..
    } = &pipeline.kafka;
    let mut checks = Vec::new();
    for address in bootstrap_servers {
        checks.push(tcp(format!("broker {address}"), address).await);
    }
    let what = || "access to Kafka".to_owned();
    let failed = |problem: String| Check {
        subject: what(),
        outcome: Err(problem),
    };
    let config = match client_config(&pipeline.kafka, secrets, "streampipeline-preflight") {
        Ok(config) => config,
        Err(error) => {
            checks.push(failed(runtime::report::line(&error)));
            return checks;
        }
    };
    let names: Vec<&str> = pipeline.topics.iter().map(|topic| topic.name.as_str()).collect();
    let counts = match kafka::admin::partition_counts(&config, &names, KAFKA).await {
        Ok(counts) => counts,
        Err(error) => {
            checks.push(failed(runtime::report::line(&error)));
            return checks;
        }
    };
    checks.push(Check {
        subject: what(),
        outcome: Ok("granted".to_owned()),
    });
    // None if they cannot be had, which access has shown before.
    for (id, address) in kafka::admin::brokers(config, KAFKA)
        .await
        .into_iter()
        .filter(|(_, address)| !bootstrap_servers.contains(address))
    {
        checks.push(tcp(format!("broker {id} at {address}"), &address).await);
    }
    for (topic, partitions) in pipeline.topics.iter().zip(counts) {
        let wanted = count(topic.partitions.unsigned_abs().into(), "partition", "partitions");
        let outcome = Ok(match partitions {
            None => format!("not there; will be made with {wanted}"),
            Some(partitions) if partitions < topic.partitions => {
                format!("will be raised from {partitions} to {wanted}")
            }
            Some(partitions) => format!("there, partitions: {partitions}"),
        });
        checks.push(Check {
            subject: format!("topic {}", topic.name),
            outcome,
        });
    }
    checks
}

async fn tcp(what: String, address: &str) -> Check {
    let outcome = match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok("takes connections".to_owned()),
        Ok(Err(error)) => Err(format!(
            "{error}; check spec.kafka.bootstrapServers and the network"
        )),
        Err(_) => Err(format!(
            "no connection within {} s; check addresses and firewalls",
            CONNECT.as_secs()
        )),
    };
    Check {
        subject: what,
        outcome,
    }
}
