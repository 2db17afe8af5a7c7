//! Where a program's events go: as it is said on the command line, and opened.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use api::{Generator, Pipeline};
use kafka::admin::AdminError;
use kafka::client::ClientError;
use runtime::secrets::Secrets;

use crate::music::Music;
use crate::output::Target;
use crate::output::kafka::{KafkaTarget, Replica};

pub enum Destination {
    Discard,
    /// Lines of JSON; the text names the file or pipe in errors.
    Lines(Target, String),
    /// The embedded broker: all shards are this process's, and every start is a new run.
    Idempotent(KafkaTarget),
    /// Kafka, exactly once; shards are shared with the other replicas.
    Transactional(KafkaTarget),
}

/// Where events are to go: `kafka`, `stdout`, `none` or `file:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The manifest's brokers, in transactions.
    Kafka,
    /// Standard output, lines of JSON.
    Stdout,
    /// Nowhere: how fast is it?
    Discard,
    /// A file, lines of JSON.
    File(PathBuf),
}

/// Why a destination cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// The file cannot be made.
    #[error("cannot create {}", .path.display())]
    Create {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// No access to Kafka.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The topics cannot be made ready.
    #[error(transparent)]
    Topics(#[from] AdminError),
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.strip_prefix("file:")) {
            ("kafka", _) => Ok(Self::Kafka),
            ("stdout", _) => Ok(Self::Stdout),
            ("none", _) => Ok(Self::Discard),
            (_, Some(path)) if !path.is_empty() => Ok(Self::File(path.into())),
            (other, _) => Err(format!("{other:?} is neither kafka, stdout, file:PATH nor none")),
        }
    }
}

impl Choice {
    /// Opens it for the events of `generator`, which is the pipeline's with what the command line put in its place.
    pub async fn open(
        &self,
        pipeline: &Pipeline,
        generator: &Generator,
        music: &Music,
        secrets: &Secrets,
        replica: &Replica,
    ) -> Result<Destination, DestinationError> {
        Ok(match self {
            Self::Discard => Destination::Discard,
            Self::Stdout => Destination::Lines(
                Arc::new(Mutex::new(std::io::stdout())),
                "standard output".to_owned(),
            ),
            Self::File(path) => {
                Destination::Lines(Arc::new(Mutex::new(create(path)?)), path.display().to_string())
            }
            Self::Kafka => {
                let target = KafkaTarget::new(pipeline, generator, music, secrets, replica)?;
                target.ensure_topics(pipeline).await?;
                Destination::Transactional(target)
            }
        })
    }
}

fn create(path: &Path) -> Result<File, DestinationError> {
    File::create(path).map_err(|source| DestinationError::Create {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_read_as_they_are_written_and_others_are_refused() {
        assert_eq!("kafka".parse(), Ok(Choice::Kafka));
        assert_eq!("none".parse(), Ok(Choice::Discard));
        assert_eq!("file:a/b.jsonl".parse(), Ok(Choice::File("a/b.jsonl".into())));
        for wrong in ["file:", "Kafka", ""] {
            let error = wrong.parse::<Choice>().unwrap_err();
            assert_eq!(
                error,
                format!("{wrong:?} is neither kafka, stdout, file:PATH nor none")
            );
        }
    }
}
