//! What the Deployments of workers and generator have in common.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::desired::Defaults;
use super::metadata::metadata;
use super::pod;
use crate::names::{Role, label_selector};
use crate::validate::Valid;

pub(crate) fn build(valid: &Valid, defaults: &Defaults, role: Role, replicas: u32, name: &str) -> Deployment {
    Deployment {
        metadata: metadata(valid, name.to_owned(), Some(role)),
        spec: Some(DeploymentSpec {
            replicas: Some(replicas as i32),
            // Old ReplicaSets are of no use: the manifest is what is gone back to.
            revision_history_limit: Some(1),
            selector: label_selector(valid.pipeline.name.as_str(), Some(role)),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    // The new pod is there before the old one goes, and only one changes at a time: each change moves
                    // partitions.
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template: pod::template(valid, defaults, role, name),
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}
