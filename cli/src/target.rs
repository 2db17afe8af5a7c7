//! Which pipeline a command is about: the manifest with what the command line puts in its place.
//!
//! Changes are made to the manifest as it was typed, before it is validated: what is in the way of running here (a
//! sink of another version, a secret) goes, and what comes is held to the same rules.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use api::crd::{KafkaSpec, LimitSpec, SinkSpec, SqliteSpec};
use api::{Pipeline, StreamPipeline};
use runtime::manifest;

use crate::error::CliError;

/// Folder of what runs without a cluster leave behind, in the current directory.
pub(crate) const DATA: &str = ".streampipeline";

/// Stands for the embedded broker's address until there is one.
const NO_ADDRESS_YET: &str = "127.0.0.1:1";

/// Which brokers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KafkaChoice {
    /// One in this process.
    Embedded,
    /// The manifest's.
    Manifest,
    /// None at all.
    None,
    /// These, with the manifest's security.
    Address(String),
}

/// Which sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SinkChoice {
    /// A SQLite file in the data folder.
    Embedded,
    /// The manifest's.
    Manifest,
    /// This SQLite file.
    Sqlite(PathBuf),
}

/// What the command line puts in place of the manifest's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Overrides {
    /// Brokers.
    pub(crate) kafka: KafkaChoice,
    /// Sink.
    pub(crate) sink: SinkChoice,
    /// Folder of the embedded sink's file.
    pub(crate) data: PathBuf,
    /// Constant events a second.
    pub(crate) rate: Option<f64>,
    /// Events in all.
    pub(crate) count: Option<u64>,
}

impl Overrides {
    /// The manifest as it is.
    #[must_use]
    pub(crate) fn none() -> Self {
        Self {
            kafka: KafkaChoice::Manifest,
            sink: SinkChoice::Manifest,
            data: DATA.into(),
            rate: None,
            count: None,
        }
    }
}

/// The pipeline of a manifest file.
pub(crate) fn load(file: &Path, overrides: &Overrides) -> Result<Pipeline, CliError> {
    let mut resource = manifest::read(file)?;
    apply(&mut resource, overrides)?;
    Ok(manifest::check(file, &resource)?)
}

/// As [`load`], for a command that reads the sink: the file of an embedded one has to be there already.
pub(crate) fn load_existing(file: &Path, overrides: &Overrides) -> Result<Pipeline, CliError> {
    let pipeline = load(file, overrides)?;
    if pipeline.sink.file().is_some_and(|file| !file.exists()) {
        let remedy = match overrides.sink {
            SinkChoice::Embedded => "run `streampipeline up` first, or say where the file is with --data",
            _ => "run the pipeline first, or name another file",
        };
        return Err(CliError::Usage(format!(
            "there is no {}; {remedy}",
            pipeline.sink.place()
        )));
    }
    Ok(pipeline)
}

fn apply(resource: &mut StreamPipeline, overrides: &Overrides) -> Result<(), CliError> {
    let Overrides {
        kafka,
        sink,
        data,
        rate,
        count,
    } = overrides;
    let name = resource.metadata.name.clone().unwrap_or_default();
    let spec = &mut resource.spec;
    match kafka {
        KafkaChoice::Manifest => {}
        KafkaChoice::Embedded | KafkaChoice::None => {
            spec.kafka = KafkaSpec {
                bootstrap_servers: NO_ADDRESS_YET.to_owned(),
                security: None,
            };
        }
        KafkaChoice::Address(address) => spec.kafka.bootstrap_servers.clone_from(address),
    }
    let file = match sink {
        SinkChoice::Manifest => None,
        SinkChoice::Embedded => Some(embedded_file(data, &name)),
        SinkChoice::Sqlite(path) => Some(path.clone()),
    };
    if let Some(file) = file {
        let file = std::path::absolute(&file).map_err(CliError::io("cannot find the current directory"))?;
        let path = file.to_string_lossy().into_owned();
        spec.sink = SinkSpec {
            sqlite: Some(SqliteSpec { path }),
            ..SinkSpec::default()
        };
    }
    if rate.is_none() && count.is_none() {
        return Ok(());
    }
    let Some(generator) = &mut spec.generator else {
        return Err(CliError::Usage(
            "--rate and --count are the generator's, and the manifest has none".to_owned(),
        ));
    };
    if let Some(rate) = rate {
        generator.rate = *rate;
        generator.shape = None;
    }
    if let Some(count) = count {
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        generator.limit = Some(LimitSpec {
            count: Some(count),
            duration: None,
        });
    }
    Ok(())
}

/// The embedded sink's file of the pipeline `name`.
#[must_use]
pub(crate) fn embedded_file(data: &Path, name: &str) -> PathBuf {
    data.join(format!("{name}.db"))
}

impl FromStr for KafkaChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "embedded" => Ok(Self::Embedded),
            "manifest" => Ok(Self::Manifest),
            "none" => Ok(Self::None),
            address if address.contains(':') => Ok(Self::Address(address.to_owned())),
            other => Err(format!("{other:?} is neither `manifest` nor HOST:PORT")),
        }
    }
}

impl FromStr for SinkChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.strip_prefix("sqlite:")) {
            ("embedded", _) => Ok(Self::Embedded),
            ("manifest", _) => Ok(Self::Manifest),
            (_, Some(path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            (other, _) => Err(format!(
                "{other:?} is neither `manifest`, `embedded` nor sqlite:PATH"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "
apiVersion: streampipeline.dev/v1alpha1
kind: StreamPipeline
metadata: {name: music}
spec:
  kafka:
    bootstrapServers: kafka:9092
    security: {protocol: SaslPlaintext, sasl: {mechanism: Plain, secretRef: {name: k}}}
  topics:
    - name: plays
      fields: {user_id: int, track_id: int, event_timestamp: timestamp, event_type: string}
  generator:
    music: {}
    rate: 10
    shape: {bursts: {every: 5m, lasting: 30s, rate: 100}}
    limit: {duration: 1h}
  tables:
    - {name: rows, sql: SELECT user_id FROM plays}
  sink: {cassandra: {contactPoints: [c], keyspace: k}}
";

    fn pipeline(overrides: &Overrides) -> Pipeline {
        let mut resource = api::parse(MANIFEST).unwrap();
        apply(&mut resource, overrides).unwrap();
        api::validate(&resource).unwrap()
    }

    /// The sink of a later version does not keep a pipeline from running here.
    #[test]
    fn a_run_here_needs_neither_the_manifests_kafka_nor_its_sink() {
        let pipeline = pipeline(&Overrides {
            kafka: KafkaChoice::Embedded,
            sink: SinkChoice::Embedded,
            data: "/data".into(),
            rate: Some(500.0),
            count: Some(7),
        });
        assert_eq!(pipeline.kafka.security.sasl, None);
        assert_eq!(pipeline.sink.file(), Some(Path::new("/data/music.db")));
        let generator = pipeline.generator.unwrap();
        assert_eq!(
            (generator.rate, generator.shape),
            (500.0, api::RateShape::Constant)
        );
        assert_eq!(
            generator.limit,
            api::GeneratorLimit {
                count: Some(7),
                duration: None
            }
        );
    }

    #[test]
    fn an_address_keeps_the_manifests_security() {
        let pipeline = pipeline(&Overrides {
            kafka: KafkaChoice::Address("127.0.0.1:9092".to_owned()),
            sink: SinkChoice::Sqlite("/data/other.db".into()),
            ..Overrides::none()
        });
        assert_eq!(pipeline.kafka.bootstrap_servers, ["127.0.0.1:9092"]);
        assert!(pipeline.kafka.security.sasl.is_some());
    }

    #[test]
    fn choices_read_as_they_are_written_and_others_are_refused() {
        assert_eq!("embedded".parse(), Ok(KafkaChoice::Embedded));
        assert_eq!(
            "a:9092,b:9092".parse(),
            Ok(KafkaChoice::Address("a:9092,b:9092".to_owned()))
        );
        assert!("kafka".parse::<KafkaChoice>().unwrap_err().contains("HOST:PORT"));
        assert_eq!("sqlite:a.db".parse(), Ok(SinkChoice::Sqlite("a.db".into())));
        assert!("sqlite:".parse::<SinkChoice>().is_err());
        assert!(
            "postgres"
                .parse::<SinkChoice>()
                .unwrap_err()
                .contains("sqlite:PATH")
        );
    }
}
