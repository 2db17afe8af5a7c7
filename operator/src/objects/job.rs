//! What Jobs have in common: preparation and the runs of models.

use k8s_openapi::api::batch::v1::{
    JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::PodTemplateSpec;

/// The exit code of a program that fails again until somebody changes the manifest.
const USAGE: i32 = 2;
/// Pods after the first one.
const RETRIES: i32 = 2;

pub(crate) fn spec(template: PodTemplateSpec) -> JobSpec {
    JobSpec {
        backoff_limit: Some(RETRIES),
        pod_failure_policy: Some(failure_policy()),
        template,
        ..JobSpec::default()
    }
}

fn failure_policy() -> PodFailurePolicy {
    PodFailurePolicy {
        rules: vec![
            PodFailurePolicyRule {
                action: "FailJob".to_owned(),
                on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
                    operator: "In".to_owned(),
                    values: vec![USAGE],
                    ..PodFailurePolicyOnExitCodesRequirement::default()
                }),
                ..PodFailurePolicyRule::default()
            },
            // A drained node is not the program's failure.
            PodFailurePolicyRule {
                action: "Ignore".to_owned(),
                on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
                    type_: "DisruptionTarget".to_owned(),
                    status: "True".to_owned(),
                }]),
                ..PodFailurePolicyRule::default()
            },
        ],
    }
}
