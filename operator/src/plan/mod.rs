//! What the operator would do about a manifest, without doing it: its own validation and build, and the API server's
//! dry run of each apply, so that what it fills in by itself is no difference.

mod ask;
mod difference;
pub(crate) mod installed;

use std::collections::BTreeSet;

use api::{Pipeline, StreamPipeline};
use kube::ResourceExt;
use kube::core::Status;
use serde_json::Value;

pub use difference::Difference;

use crate::access::Cluster;
use crate::build::{BuildError, Decisions, build};
use crate::dereference::{Secret, Secrets};
use crate::install;
use crate::scaling;
use crate::validate::{self, Refusal, Valid};
use crate::workers::desired_workers;
use ask::{Asker, Own};

/// Stands for the uid of a pipeline that is not there yet.
pub const NO_UID: &str = "00000000-0000-0000-0000-000000000000";

/// What would be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The pipeline's name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Whether it is there already.
    pub exists: bool,
    /// Namespace and name of the operator that looks after it, if one was found.
    pub operator: Option<String>,
    /// Topics, in the order of the manifest.
    pub topics: Vec<PlannedTopic>,
    /// The pipeline itself, its objects in the order in which they are applied, and what would be deleted.
    pub objects: Vec<Planned>,
    /// What is in the way of it, a line each.
    pub problems: Vec<String>,
    /// What could not be taken into account, a line each.
    pub notes: Vec<String>,
}

/// A topic, which is Kafka's to have: what is known of it is what the operator has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedTopic {
    /// Its name.
    pub name: String,
    /// Partitions that it is to have at least.
    pub partitions: i32,
    /// Partitions that the operator has seen.
    pub seen: Option<i32>,
}

/// An object.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What would become of it.
    pub change: Change,
    /// What the operator would apply; `None` of what it does not.
    pub body: Option<Value>,
}

/// What would become of an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It is not there and would be.
    Created,
    /// It would be another.
    Changed(Vec<Difference>),
    /// It is as it would be.
    Unchanged,
    /// It would go.
    Deleted,
    /// Nobody knows: the API server has refused to look at it or to try it, in these words.
    Refused(String),
    /// It is somebody else's, and the operator would leave it alone.
    Foreign(String),
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The operator would refuse the manifest.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The API server would refuse the manifest.
    #[error("the API server refuses the manifest: {0}")]
    Rejected(String),
    /// It has no place.
    #[error("there is no namespace {0}; create it with kubectl create namespace {0}, or name another")]
    NoNamespace(String),
    /// The API server does not let us look.
    #[error("{0}")]
    Forbidden(String),
    /// The API server does not answer as it should.
    #[error("cannot look at {what}")]
    Ask {
        /// What was asked for.
        what: String,
        /// What was answered.
        #[source]
        source: Box<kube::Error>,
    },
    /// A defect.
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl PlanError {
    /// Whether another manifest would do.
    #[must_use]
    pub fn is_about_the_manifest(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Rejected(_))
    }

    fn asking(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |error| match error {
            kube::Error::Api(status) if status.code == 403 => Self::Forbidden(sentence(&status)),
            source => Self::Ask {
                what,
                source: Box::new(source),
            },
        }
    }
}

/// What an API server says, on one line.
fn sentence(status: &Status) -> String {
    status.message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What the operator would do about `resource` in `namespace`.
pub async fn plan(
    cluster: &Cluster,
    mut resource: StreamPipeline,
    namespace: &str,
) -> Result<Plan, PlanError> {
    resource.metadata.namespace = Some(namespace.to_owned());
    validate::manifest(&resource)?;
    let mut asker = Asker::new(&cluster.client, namespace, &resource.name_any());
    let installed = asker.operator().await?;
    let own = asker.own(&resource).await?;
    let Own { live, after, change } = own;

    // What the API server has made of it is what the operator reads.
    let uid = live.as_ref().and_then(ResourceExt::uid);
    resource.spec = after.spec;
    resource.metadata.uid = Some(uid.clone().unwrap_or_else(|| NO_UID.to_owned()));
    resource.metadata.creation_timestamp = after.metadata.creation_timestamp;
    let pipeline = validate::manifest(&resource)?;
    if installed.watches.is_none() {
        asker.rival(&resource).await?;
    }
    let secrets = asker.secrets(&pipeline).await?;
    let (valid, missing) = with_stand_ins(&resource, &pipeline, secrets)?;
    asker.problems.extend(missing);

    let status = live.as_ref().and_then(|live| live.status.as_ref());
    let decision = scaling::told(status.and_then(|status| status.scaling.as_ref()));
    let decisions = Decisions {
        workers: desired_workers(&pipeline, decision.map(|decision| decision.replicas)),
        completed: asker.completed().await,
        pod_monitors: asker.has_pod_monitors().await,
    };
    let objects = build(&valid, &installed.defaults, &decisions)?;
    let mut planned = vec![Planned {
        kind: "StreamPipeline",
        name: resource.name_any(),
        change,
        body: None,
    }];
    planned.extend(asker.try_all(&objects, &valid.uid).await?);
    if let Some(uid) = &uid {
        planned.extend(asker.orphans(&objects, uid).await?);
    }
    let topics = topics(&pipeline, |name| {
        let seen = status?.topics.iter().find(|topic| topic.name == name)?;
        seen.partitions
    });
    let Asker { problems, notes, .. } = asker;
    Ok(Plan {
        name: resource.name_any(),
        namespace: namespace.to_owned(),
        exists: live.is_some(),
        operator: installed.name,
        topics,
        objects: planned,
        problems,
        notes,
    })
}

/// The objects that an operator with the usual settings would apply in an empty cluster. Nobody is asked.
pub fn objects(mut resource: StreamPipeline) -> Result<Vec<Planned>, PlanError> {
    resource
        .metadata
        .namespace
        .get_or_insert_with(|| "default".to_owned());
    resource.metadata.uid = Some(NO_UID.to_owned());
    let pipeline = validate::manifest(&resource)?;
    let (valid, _) = with_stand_ins(&resource, &pipeline, Secrets::new())?;
    let decisions = Decisions {
        workers: desired_workers(&pipeline, None),
        ..Decisions::default()
    };
    let objects = build(&valid, &install::defaults(), &decisions)?;
    let planned = objects.iter().map(|desired| Planned {
        kind: desired.kind.as_str(),
        name: desired.name.clone(),
        change: Change::Created,
        body: Some(desired.body.clone()),
    });
    Ok(planned.collect())
}

fn topics(pipeline: &Pipeline, seen: impl Fn(&str) -> Option<i32>) -> Vec<PlannedTopic> {
    let topics = pipeline.topics.iter().map(|topic| PlannedTopic {
        name: topic.name.to_string(),
        partitions: topic.partitions,
        seen: seen(topic.name.as_str()),
    });
    topics.collect()
}

/// Puts manifest and secrets together; what is missing in these is told, and something else stands in for it, so that
/// everything else can be shown.
fn with_stand_ins(
    resource: &StreamPipeline,
    pipeline: &Pipeline,
    mut secrets: Secrets,
) -> Result<(Valid, Vec<String>), Refusal> {
    let mut missing = BTreeSet::new();
    loop {
        match validate::validate(resource, pipeline.clone(), &secrets) {
            Ok(valid) => return Ok((valid, missing.into_iter().collect())),
            Err(refusal) => {
                let (Refusal::SecretMissing { name, .. } | Refusal::SecretKeyMissing { name, .. }) = &refusal
                else {
                    return Err(refusal);
                };
                secrets.insert(name.clone(), stand_in(pipeline, name));
                missing.insert(refusal.to_string());
            }
        }
    }
}

/// Has every key that a pipeline wants of the secret `name`, and nothing in them.
fn stand_in(pipeline: &Pipeline, name: &str) -> std::sync::Arc<Secret> {
    let uses = pipeline.secrets();
    let keys = uses
        .iter()
        .filter(|needed| needed.secret.name == name)
        .flat_map(|needed| needed.keys);
    std::sync::Arc::new(Secret {
        data: keys.map(|key| ((*key).to_owned(), String::new())).collect(),
        hash: String::new(),
    })
}

/// The objects that the operator would apply, as YAML documents.
pub fn yaml(plan: &Plan) -> Result<String, BuildError> {
    documents(plan.objects.iter().filter_map(|object| object.body.as_ref()))
}

pub(crate) fn documents<'a>(objects: impl Iterator<Item = &'a Value>) -> Result<String, BuildError> {
    let mut text = String::new();
    for object in objects {
        let document = serde_yaml::to_string(object).map_err(|error| BuildError::new(&error))?;
        text.push_str("---\n");
        text.push_str(&document);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn missing_secrets_are_told_and_do_not_hide_the_rest() {
        let resource = testing::resource("");
        let pipeline = testing::pipeline("");
        let (valid, missing) = with_stand_ins(&resource, &pipeline, Secrets::new()).unwrap();
        assert_eq!(
            missing,
            [
                "spec.sink.postgres.secretRef: there is no secret music-postgres; create it in this namespace with the keys username and password"
            ]
        );
        assert_eq!(testing::objects(&valid).worker.len(), 2);
        let mut half = testing::secrets("a");
        let mut secret = (*half["music-postgres"]).clone();
        secret.data.remove("password");
        half.insert("music-postgres".to_owned(), std::sync::Arc::new(secret));
        let (_, missing) = with_stand_ins(&resource, &pipeline, half).unwrap();
        assert_eq!(
            missing,
            ["spec.sink.postgres.secretRef: the secret music-postgres has no key password; add it"]
        );
        let (_, missing) = with_stand_ins(&resource, &pipeline, testing::secrets("a")).unwrap();
        assert_eq!(missing, Vec::<String>::new());
    }

    #[test]
    fn yaml_is_what_would_be_applied() {
        let objects = testing::objects(&testing::valid("generator: {music: {}, rate: 5}"));
        let bodies: Vec<&Value> = objects.iter().map(|desired| &desired.body).collect();
        let text = documents(bodies.iter().copied()).unwrap();
        let read: Vec<Value> = serde_yaml::from_multiple(&text).unwrap();
        assert_eq!(read.iter().collect::<Vec<_>>(), bodies);
    }
}
