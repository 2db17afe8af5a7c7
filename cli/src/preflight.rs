//! `streampipeline preflight`: is everything there that a pipeline needs?

use std::time::Duration;

use api::{Kafka, Pipeline, SecretUse, Sink as SinkKind};
use clap::Args;
use kafka::client::client_config;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use runtime::exit::Exit;
use runtime::secrets::Secrets;
use sinks::Sink;
use sinks::answer::Value;
use tokio::net::TcpStream;

use crate::args::{PipelineArgs, PlaceArgs};
use crate::check::check;
use crate::error::{CliError, print};
use crate::style::{Style, count};
use crate::target::{KafkaChoice, Overrides, load};

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

/// One thing that was looked at: what it is, and how it is.
#[derive(Debug)]
struct Check {
    what: String,
    outcome: Result<String, String>,
}

impl PreflightArgs {
    pub(crate) async fn run(self) -> Result<Exit, CliError> {
        let pipeline = load(
            &self.pipeline.file,
            &Overrides::of_place(&self.place.kafka, &self.place.sink),
        )?;
        check(&self.pipeline.file, &pipeline).await?;
        let secrets = self.pipeline.secrets();
        let style = Style::of_stdout();
        let mut checks = secret_checks(&pipeline, &secrets);
        if !matches!(self.place.kafka, KafkaChoice::None | KafkaChoice::Embedded) {
            checks.extend(kafka_checks(&pipeline, &secrets).await);
        }
        checks.extend(sink_checks(&pipeline, &secrets).await);
        let failed = checks.iter().filter(|check| check.outcome.is_err()).count() as u64;
        let mut text: String = checks.iter().map(|check| line(check, style)).collect();
        text.push_str(&match failed {
            0 => style.green("everything is there"),
            failed => style.red(format!("{} to mend", count(failed, "thing", "things"))),
        });
        text.push('\n');
        print(&text)?;
        Ok(if failed == 0 { Exit::Success } else { Exit::Failure })
    }
}

fn line(check: &Check, style: Style) -> String {
    match &check.outcome {
        Ok(how) => format!("{}    {}: {how}\n", style.green("ok"), check.what),
        Err(problem) => format!("{}  {}: {problem}\n", style.red("FAIL"), check.what),
    }
}

fn secret_checks(pipeline: &Pipeline, secrets: &Secrets) -> Vec<Check> {
    let check = |SecretUse {
                     path, secret, keys, ..
                 }: SecretUse| {
        let read: Result<Vec<_>, _> = keys.iter().map(|key| secrets.read(&secret, key)).collect();
        let outcome = match read {
            Ok(_) => Ok(format!("secret {} has {}", secret.name, keys.join(" and "))),
            Err(error) => Err(one_line(&error)),
        };
        Check {
            what: path.to_owned(),
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
        what: what(),
        outcome: Err(problem),
    };
    let config = match client_config(&pipeline.kafka, secrets, "streampipeline-preflight") {
        Ok(config) => config,
        Err(error) => {
            checks.push(failed(one_line(&error)));
            return checks;
        }
    };
    let names: Vec<&str> = pipeline.topics.iter().map(|topic| topic.name.as_str()).collect();
    let counts = match kafka::admin::partition_counts(&config, &names, KAFKA).await {
        Ok(counts) => counts,
        Err(error) => {
            checks.push(failed(one_line(&error)));
            return checks;
        }
    };
    checks.push(Check {
        what: what(),
        outcome: Ok("granted".to_owned()),
    });
    for (id, address) in brokers(config)
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
            what: format!("topic {}", topic.name),
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
    Check { what, outcome }
}

/// Id and address of each broker of the cluster; none if they cannot be had, which access has shown before.
async fn brokers(config: ClientConfig) -> Vec<(i32, String)> {
    let ask = move || {
        let consumer: BaseConsumer = config.create().ok()?;
        let metadata = consumer.fetch_metadata(None, KAFKA).ok()?;
        let address = |broker: &rdkafka::metadata::MetadataBroker| {
            (broker.id(), format!("{}:{}", broker.host(), broker.port()))
        };
        Some(metadata.brokers().iter().map(address).collect())
    };
    tokio::task::spawn_blocking(ask)
        .await
        .ok()
        .flatten()
        .unwrap_or_default()
}

async fn sink_checks(pipeline: &Pipeline, secrets: &Secrets) -> Vec<Check> {
    match &pipeline.sink {
        SinkKind::Sqlite(sink) => {
            let folder = sink.path.parent().unwrap_or(std::path::Path::new("."));
            let outcome = match folder.metadata() {
                Ok(metadata) if !metadata.is_dir() => Err(format!("{} is no folder", folder.display())),
                Ok(metadata) if metadata.permissions().readonly() => {
                    Err(format!("{} is read-only", folder.display()))
                }
                Ok(_) if sink.path.exists() => Ok("there".to_owned()),
                Ok(_) => Ok("will be made".to_owned()),
                Err(error) => Err(format!("the folder {}: {error}", folder.display())),
            };
            vec![Check {
                what: pipeline.sink.place(),
                outcome,
            }]
        }
        SinkKind::Postgres(_) => postgres_checks(pipeline, secrets).await,
    }
}

async fn postgres_checks(pipeline: &Pipeline, secrets: &Secrets) -> Vec<Check> {
    let SinkKind::Postgres(postgres) = &pipeline.sink else {
        return Vec::new();
    };
    let what = pipeline.sink.place();
    let reach = async {
        let sink = Sink::open(pipeline, Vec::new(), secrets).await?;
        sink.ping().await?;
        Ok::<_, sinks::SinkError>(sink)
    };
    let sink = match reach.await {
        Ok(sink) => sink,
        Err(error) => {
            return vec![Check {
                what,
                outcome: Err(one_line(&error)),
            }];
        }
    };
    let schema = &postgres.schema;
    // The schema's name is a literal here; a quotation mark in it is doubled.
    let question = format!(
        "SELECT has_schema_privilege(oid, 'USAGE') AND has_schema_privilege(oid, 'CREATE') FROM pg_namespace \
         WHERE nspname = '{}'",
        schema.replace('\'', "''")
    );
    let rights = match sink.query(&question, &[]).await {
        Ok(answer) => match answer.rows.first().and_then(|row| row.first()) {
            Some(Value::Boolean(true)) => Ok("tables can be made".to_owned()),
            Some(_) => Err(format!(
                "no right to make tables; run GRANT USAGE, CREATE ON SCHEMA {schema} TO the user"
            )),
            None => Err(
                "not there; make it with CREATE SCHEMA, or name another in spec.sink.postgres.schema"
                    .to_owned(),
            ),
        },
        Err(error) => Err(one_line(&error)),
    };
    vec![
        Check {
            what,
            outcome: Ok("answers".to_owned()),
        },
        Check {
            what: format!("schema {schema}"),
            outcome: rights,
        },
    ]
}

fn one_line(error: &dyn std::error::Error) -> String {
    runtime::report::lines(error).replace("\n  ", " ")
}
