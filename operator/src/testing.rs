//! Pipelines for unit tests.

use api::{Pipeline, StreamPipeline};

use crate::objects::{Decisions, Defaults, Objects, build};
use crate::secrets::{SecretContent, SecretContents};
use crate::validate::{Valid, manifest, validate};

/// A small manifest; `more` is YAML of further members of `spec`, indented by two blanks from its second line on.
pub(crate) fn resource(more: &str) -> StreamPipeline {
    let mut resource = api::parse(&format!(
        "
apiVersion: streampipeline.dev/v1alpha1
kind: StreamPipeline
metadata: {{name: music, namespace: streams}}
spec:
  kafka: {{bootstrapServers: 'kafka:9092'}}
  topics:
    - name: plays
      partitions: 4
      fields: {{user_id: int, track_id: int, event_timestamp: timestamp, event_type: string}}
  tables:
    - {{name: stored, sql: SELECT user_id FROM plays}}
  sink: {{postgres: {{host: db, database: music, secretRef: {{name: music-postgres}}}}}}
  {more}
"
    ))
    .unwrap();
    resource.metadata.uid = Some("uid-1".to_owned());
    resource.metadata.generation = Some(1);
    resource
}

pub(crate) fn pipeline(more: &str) -> Pipeline {
    manifest(&resource(more)).unwrap()
}

/// Every secret that a test names has everything in it.
pub(crate) fn secrets(password: &str) -> SecretContents {
    let keys = ["username", "password", "ca.crt", "tls.crt", "tls.key"];
    let secret = SecretContent {
        data: keys.map(|key| (key.to_owned(), password.to_owned())).into(),
        hash: password.to_owned(),
    };
    ["music-postgres", "kafka-user", "kafka-ca"]
        .map(|name| (name.to_owned(), std::sync::Arc::new(secret.clone())))
        .into()
}

pub(crate) fn valid_with(more: &str, secrets: &SecretContents) -> Valid {
    let resource = resource(more);
    validate(&resource, manifest(&resource).unwrap(), secrets).unwrap()
}

pub(crate) fn valid(more: &str) -> Valid {
    valid_with(more, &secrets("a"))
}

pub(crate) fn defaults() -> Defaults {
    Defaults {
        image: "streampipeline:1".to_owned(),
        pull_policy: api::crd::PullPolicy::IfNotPresent,
        network_policies: true,
    }
}

pub(crate) fn objects(valid: &Valid) -> Objects {
    let decisions = Decisions {
        workers: 1,
        ..Decisions::default()
    };
    build(valid, &defaults(), &decisions).unwrap()
}
