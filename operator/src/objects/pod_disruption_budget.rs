//! One pod of a role leaves at a time when nodes are drained. A single pod may leave too: nobody waits without end.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata::metadata;
use crate::names::{Role, label_selector, role_name};
use crate::validate::Valid;

pub(crate) fn build(valid: &Valid, role: Role) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(valid, role_name(valid.pipeline.name.as_str(), role), Some(role)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(label_selector(valid.pipeline.name.as_str(), Some(role))),
            // A pod that does not work anyway does not stand in a drain's way.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
