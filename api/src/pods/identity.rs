//! The service account of pods.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::labels::{annotations_schema, check_keys, dns_name, dns_name_rule, own_keys, own_prefix_rule};
use crate::problem::Collector;
use crate::rule::RuleText;

const ONE_SERVICE_ACCOUNT: RuleText = RuleText {
    problem: "a service account of your own has its own annotations",
    remedy: "set name or annotations, not both",
};

/// The identity of the pipeline's pods.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.name) || !has(self.annotations)").message(ONE_SERVICE_ACCOUNT))]
pub struct ServiceAccountSpec {
    /// A service account that exists. Absent: the operator makes one with the pipeline's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = dns_name_rule())]
    pub name: Option<String>,
    /// Annotations of the service account that the operator makes, such as those of Workload Identity.
    /// Example: `{iam.gke.io/gcp-service-account: music@project.iam.gserviceaccount.com}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "annotations_schema")]
    #[x_kube(validation = own_prefix_rule())]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// The identity of a pipeline's pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceAccount {
    /// One that exists.
    Existing(String),
    /// One that the operator makes, with these annotations.
    Own(BTreeMap<String, String>),
}

pub(super) fn service_account(spec: ServiceAccountSpec, problems: &mut Collector) -> ServiceAccount {
    let path = "spec.pods.serviceAccount";
    let ServiceAccountSpec { name, annotations } = spec;
    if let Some(annotations) = &annotations {
        own_keys(annotations, &format!("{path}.annotations"), problems);
        check_keys(annotations.keys(), &format!("{path}.annotations"), problems);
    }
    if name.is_some() && annotations.is_some() {
        problems.broken(path, ONE_SERVICE_ACCOUNT);
    }
    match name {
        Some(name) => {
            dns_name(&name, &format!("{path}.name"), problems);
            ServiceAccount::Existing(name)
        }
        None => ServiceAccount::Own(annotations.unwrap_or_default()),
    }
}
