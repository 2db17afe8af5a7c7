//! The Job that creates tables and loads references. Its name carries the hash of all that it does, so that a change
//! makes a new Job, and one that is done stays as the proof of it.

use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use serde_json::json;

use super::labels::{Role, metadata, role_name};
use super::{BuildError, Defaults, hash, pod};
use crate::validate::Valid;

/// The exit code of a program that fails again until somebody changes the manifest.
const USAGE: i32 = 2;

/// The Job, and the name that it shares with its ConfigMap.
pub(crate) fn build(valid: &Valid, defaults: &Defaults) -> Result<(Job, String), BuildError> {
    let template = pod::template(valid, defaults, Role::Prepare, "");
    let template = serde_json::to_value(template).map_err(|error| BuildError(error.to_string()))?;
    let hash: String = hash::of(&json!(template)).chars().take(10).collect();
    let name = format!("{}-{hash}", role_name(valid, Role::Prepare));
    let job = Job {
        metadata: metadata(valid, name.clone(), Some(Role::Prepare)),
        spec: Some(JobSpec {
            // After these the operator takes over, with pauses that grow.
            backoff_limit: Some(2),
            pod_failure_policy: Some(failure_policy()),
            template: pod::template(valid, defaults, Role::Prepare, &name),
            ..JobSpec::default()
        }),
        ..Job::default()
    };
    Ok((job, name))
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
