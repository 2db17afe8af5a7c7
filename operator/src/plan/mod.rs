//! What the operator would do about a manifest, without doing it: its own validation and build, and the API server's
//! dry run of each apply, so that what it fills in by itself is no difference.

mod difference;
mod dry_run;
mod model;
mod own;
mod planner;
mod stand_ins;

use api::{Pipeline, StreamPipeline};
use kube::ResourceExt;

pub use difference::Difference;
pub use model::{Change, ClusterPlanError, Plan, Planned, PlannedTopic};

use crate::installation::access::KubernetesCluster;
use crate::installation::manifests;
use crate::objects::{BuildError, Decisions, build, documents};
use crate::scaling;
use crate::scaling::workers::desired_workers;
use crate::secrets::SecretContents;
use crate::validate;
use own::Own;
use planner::Planner;
use stand_ins::with_stand_ins;

/// Stands for the uid of a pipeline that is not there yet.
pub const NO_UID: &str = "00000000-0000-0000-0000-000000000000";

/// What the operator would do about `resource` in `namespace`.
pub async fn plan(
    cluster: &KubernetesCluster,
    mut resource: StreamPipeline,
    namespace: &str,
) -> Result<Plan, ClusterPlanError> {
    resource.metadata.namespace = Some(namespace.to_owned());
    validate::manifest(&resource)?;
    let mut planner = Planner::new(&cluster.client, namespace, &resource.name_any());
    let installed = planner.operator().await?;
    let own = planner.own(&resource).await?;
    let Own { live, after, change } = own;

    // What the API server has made of it is what the operator reads.
    let uid = live.as_ref().and_then(ResourceExt::uid);
    resource.spec = after.spec;
    resource.metadata.uid = Some(uid.clone().unwrap_or_else(|| NO_UID.to_owned()));
    resource.metadata.creation_timestamp = after.metadata.creation_timestamp;
    let pipeline = validate::manifest(&resource)?;
    if installed.watches.is_none() {
        planner.rival(&resource).await?;
    }
    let secrets = planner.secrets(&pipeline).await?;
    let (valid, missing) = with_stand_ins(&resource, &pipeline, secrets)?;
    planner.problems.extend(missing);

    let status = live.as_ref().and_then(|live| live.status.as_ref());
    let decision = scaling::last_reported(status.and_then(|status| status.scaling.as_ref()));
    let decisions = Decisions {
        workers: desired_workers(&pipeline, decision.map(|decision| decision.replicas)),
        completed: planner.completed().await,
        pod_monitors: planner.has_pod_monitors().await,
    };
    let objects = build(&valid, &installed.defaults, &decisions)?;
    let mut planned = vec![Planned {
        kind: "StreamPipeline",
        name: resource.name_any(),
        change,
        body: None,
    }];
    planned.extend(planner.try_all(&objects, &valid.uid).await?);
    if let Some(uid) = &uid {
        planned.extend(planner.orphans(&objects, uid).await?);
    }
    let topics = topics(&pipeline, |name| {
        let seen = status?.topics.iter().find(|topic| topic.name == name)?;
        seen.partitions
    });
    let Planner { problems, notes, .. } = planner;
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
pub fn objects(mut resource: StreamPipeline) -> Result<Vec<Planned>, ClusterPlanError> {
    resource
        .metadata
        .namespace
        .get_or_insert_with(|| "default".to_owned());
    resource.metadata.uid = Some(NO_UID.to_owned());
    let pipeline = validate::manifest(&resource)?;
    let (valid, _) = with_stand_ins(&resource, &pipeline, SecretContents::new())?;
    let decisions = Decisions {
        workers: desired_workers(&pipeline, None),
        ..Decisions::default()
    };
    let objects = build(&valid, &manifests::defaults(), &decisions)?;
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

/// The objects that the operator would apply, as YAML documents.
pub fn yaml(plan: &Plan) -> Result<String, BuildError> {
    documents(plan.objects.iter().filter_map(|object| object.body.as_ref()))
}
