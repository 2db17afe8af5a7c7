//! Whether an installation works, seen from within the cluster: rights, definition, leader. `helm test` runs it.

use std::time::Duration;

use api::StreamPipeline;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};

use crate::installation::rbac::{RULES, RuleScope};

#[derive(Debug, Clone)]
pub struct CheckConfig {
    /// Where pipelines are looked after; everywhere if absent.
    pub namespace: Option<String>,
    pub own_namespace: String,
    pub lease: String,
    /// Whether it keeps the custom resource definition up to date.
    pub definition: bool,
}

/// How long a leader may take to appear after an installation.
const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_secs(1);
/// Questions under way at a time.
const AT_A_TIME: usize = 8;

/// What does not work, a sentence each.
pub async fn check(client: &Client, config: &CheckConfig) -> Result<Vec<String>, kube::Error> {
    let mut problems: Vec<String> = stream::iter(rights(config))
        .map(|right| denied(client, right))
        .buffered(AT_A_TIME)
        .try_filter_map(|problem| std::future::ready(Ok(problem)))
        .try_collect()
        .await?;
    let pipelines: Api<StreamPipeline> = match &config.namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    if let Err(error) = pipelines.list_metadata(&ListParams::default().limit(1)).await {
        problems.push(not_served(&error));
    }
    problems.extend(no_leader(client, config).await?);
    Ok(problems)
}

fn not_served(error: &kube::Error) -> String {
    match error {
        // Not the object but the kind: a list of none is no error.
        kube::Error::Api(status) if status.code == 404 => {
            "the cluster does not know StreamPipelines: apply their definition (streampipeline-operator crd), or \
             restart an operator that keeps it up to date"
                .to_owned()
        }
        kube::Error::Api(status) => format!("StreamPipelines cannot be listed: {}", status.message),
        error => format!(
            "StreamPipelines cannot be listed: {}",
            runtime::report::line(error)
        ),
    }
}

/// All that the operator calls, one question a verb.
fn rights(config: &CheckConfig) -> Vec<ResourceAttributes> {
    let rules = RULES
        .iter()
        .filter(|rule| config.definition || rule.scope != RuleScope::Cluster);
    rules
        .flat_map(|rule| {
            let namespace = match rule.scope {
                RuleScope::Watched => config.namespace.clone(),
                RuleScope::Own => Some(config.own_namespace.clone()),
                RuleScope::Cluster => None,
            };
            let (resource, subresource) = match rule.resource.split_once('/') {
                Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
                None => (rule.resource, None),
            };
            rule.verbs.iter().map(move |verb| ResourceAttributes {
                group: Some(rule.group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource: subresource.clone(),
                verb: Some((*verb).to_owned()),
                // No rule has more than one name.
                name: rule.names.first().map(|name| (*name).to_owned()),
                namespace: namespace.clone(),
                ..ResourceAttributes::default()
            })
        })
        .collect()
}

async fn denied(client: &Client, right: ResourceAttributes) -> Result<Option<String>, kube::Error> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(right.clone()),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = reviews.create(&PostParams::default(), &review).await?;
    let allowed = answer.status.is_some_and(|status| status.allowed);
    Ok((!allowed).then(|| sentence(&right)))
}

fn sentence(right: &ResourceAttributes) -> String {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let resource = match (&right.subresource, text(&right.group).as_str()) {
        (Some(subresource), group) => format!("{}/{subresource} of {group}", text(&right.resource)),
        (None, "") => text(&right.resource),
        (None, group) => format!("{} of {group}", text(&right.resource)),
    };
    let place = right
        .namespace
        .as_ref()
        .map_or("the cluster".to_owned(), |name| format!("namespace {name}"));
    format!("no right to {} {resource} in {place}", text(&right.verb))
}

async fn no_leader(client: &Client, config: &CheckConfig) -> Result<Option<String>, kube::Error> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), &config.own_namespace);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let lease = leases.get_opt(&config.lease).await?;
        if lease.is_some_and(|lease| leads(&lease, Timestamp::now())) {
            return Ok(None);
        }
        if tokio::time::Instant::now() > deadline {
            let problem = format!(
                "nobody has held the Lease {}/{} for {PATIENCE:?}: see the operator's log",
                config.own_namespace, config.lease
            );
            return Ok(Some(problem));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Whether somebody holds `lease` and has renewed it in time.
fn leads(lease: &Lease, now: Timestamp) -> bool {
    let Some(spec) = &lease.spec else { return false };
    let held = spec
        .holder_identity
        .as_ref()
        .is_some_and(|holder| !holder.is_empty());
    let valid = SignedDuration::from_secs(spec.lease_duration_seconds.unwrap_or_default().into());
    held && spec
        .renew_time
        .as_ref()
        .is_some_and(|renewed| now.duration_since(renewed.0) <= valid)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::LeaseSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    use super::*;

    fn config() -> CheckConfig {
        CheckConfig {
            namespace: Some("team-a".to_owned()),
            own_namespace: "operators".to_owned(),
            lease: "operator".to_owned(),
            definition: true,
        }
    }

    #[test]
    fn each_verb_of_the_table_is_asked_for_where_it_is_needed() {
        let all: usize = RULES.iter().map(|rule| rule.verbs.len()).sum();
        let asked = rights(&config());
        assert_eq!(asked.len(), all);
        let sentences: Vec<String> = asked.iter().map(sentence).collect();
        for sentence in [
            "no right to patch streampipelines/status of streampipeline.dev in namespace team-a",
            "no right to list pods in namespace team-a",
            "no right to create leases of coordination.k8s.io in namespace operators",
            "no right to patch customresourcedefinitions of apiextensions.k8s.io in the cluster",
        ] {
            assert!(
                sentences.iter().any(|other| other == sentence),
                "{sentence} in {sentences:#?}"
            );
        }
        let without = rights(&CheckConfig {
            definition: false,
            ..config()
        });
        assert!(
            without
                .iter()
                .all(|right| right.group.as_deref() != Some("apiextensions.k8s.io"))
        );
    }

    #[test]
    fn a_leader_holds_a_lease_that_has_not_run_out() {
        let second = |second| Timestamp::from_second(second).unwrap();
        let lease = |holder: Option<&str>, renewed: i64| Lease {
            spec: Some(LeaseSpec {
                holder_identity: holder.map(str::to_owned),
                lease_duration_seconds: Some(30),
                renew_time: Some(MicroTime(second(renewed))),
                ..LeaseSpec::default()
            }),
            ..Lease::default()
        };
        for (lease, expected) in [
            (lease(Some("a"), 970), true),
            (lease(Some("a"), 969), false),
            // Another machine's clock may be ahead.
            (lease(Some("a"), 1001), true),
            (lease(Some(""), 1000), false),
            (lease(None, 1000), false),
            (Lease::default(), false),
        ] {
            assert_eq!(leads(&lease, second(1000)), expected, "{lease:?}");
        }
    }
}
