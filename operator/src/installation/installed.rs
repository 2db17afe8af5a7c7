//! The operator that is installed, as its Deployment shows it: what it gives to pipelines that name nothing else.

use std::str::FromStr;

use api::crd::PullPolicy;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Container;
use kube::ResourceExt;

use crate::objects::Defaults;

/// Selects the Deployments of operators, whatever the names of their releases.
pub(crate) const SELECTOR: &str =
    "app.kubernetes.io/part-of=streampipeline,app.kubernetes.io/component=operator";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstalledOperator {
    /// Namespace and name of its Deployment.
    pub(crate) name: String,
    /// What it was started with.
    pub(crate) defaults: Defaults,
    /// The only namespace that it looks after.
    pub(crate) watches: Option<String>,
    /// Whether one of its pods is ready.
    pub(crate) ready: bool,
}

impl InstalledOperator {
    /// The operator of a Deployment; `None` if that runs something else.
    #[must_use]
    pub(crate) fn read(deployment: &Deployment) -> Option<Self> {
        let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
        let container = pod
            .containers
            .iter()
            .find(|container| container.name == "operator")?;
        let policy = setting(container, "image-pull-policy", "STREAMPIPELINE_IMAGE_PULL_POLICY");
        let policies = [PullPolicy::Always, PullPolicy::IfNotPresent, PullPolicy::Never];
        let pull_policy = policies
            .into_iter()
            .find(|known| policy.as_deref() == Some(known.as_str()))
            .unwrap_or(PullPolicy::IfNotPresent);
        let without = setting(
            container,
            "no-network-policies",
            "STREAMPIPELINE_NO_NETWORK_POLICIES",
        );
        let ready = deployment
            .status
            .as_ref()
            .and_then(|status| status.available_replicas);
        Some(Self {
            name: format!(
                "{}/{}",
                deployment.namespace().unwrap_or_default(),
                deployment.name_any()
            ),
            defaults: Defaults {
                image: setting(container, "image", "STREAMPIPELINE_IMAGE")?,
                pull_policy,
                network_policies: without.is_none_or(|value| bool::from_str(&value) == Ok(false)),
            },
            watches: setting(container, "namespace", "STREAMPIPELINE_WATCH_NAMESPACE"),
            ready: ready.unwrap_or(0) > 0,
        })
    }

    /// Whether it looks after pipelines of `namespace`.
    #[must_use]
    pub(crate) fn looks_after(&self, namespace: &str) -> bool {
        self.watches.as_deref().is_none_or(|watched| watched == namespace)
    }
}

/// `--name=value`, `--name value`, `--name` (true), or else the variable.
fn setting(container: &Container, name: &str, variable: &str) -> Option<String> {
    let option = format!("--{name}");
    let mut arguments = container.args.iter().flatten();
    while let Some(argument) = arguments.next() {
        if let Some(rest) = argument.strip_prefix(&option) {
            if let Some(value) = rest.strip_prefix('=') {
                return Some(value.to_owned());
            }
            if rest.is_empty() {
                let value = arguments.next().filter(|next| !next.starts_with('-'));
                return Some(value.map_or("true".to_owned(), Clone::clone));
            }
        }
    }
    let variable = container
        .env
        .iter()
        .flatten()
        .find(|other| other.name == variable)?;
    variable.value.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(args: &str) -> Deployment {
        serde_yaml::from_str(&format!(
            "
metadata: {{name: op, namespace: ops}}
spec:
  selector: {{}}
  template:
    spec:
      containers:
        - {{name: operator, image: 'own:1', args: {args}, env: [{{name: STREAMPIPELINE_IMAGE, value: 'i:1'}}]}}
status: {{availableReplicas: 1}}
"
        ))
        .unwrap()
    }

    #[test]
    fn settings_are_read_as_the_operator_reads_them() {
        for (args, image, policy, network, watches) in [
            ("[run]", "i:1", PullPolicy::IfNotPresent, true, None),
            (
                "[run, --image=j:2, --image-pull-policy=Never, --no-network-policies, --namespace=team]",
                "j:2",
                PullPolicy::Never,
                false,
                Some("team"),
            ),
            (
                "[run, --image, 'j:2', --no-network-policies, --log=info]",
                "j:2",
                PullPolicy::IfNotPresent,
                false,
                None,
            ),
        ] {
            let installed = InstalledOperator::read(&deployment(args)).unwrap();
            assert_eq!(installed.name, "ops/op");
            assert!(installed.ready);
            let defaults = Defaults {
                image: image.to_owned(),
                pull_policy: policy,
                network_policies: network,
            };
            assert_eq!(
                (installed.defaults.clone(), installed.watches.as_deref()),
                (defaults, watches),
                "{args}"
            );
            assert_eq!(installed.looks_after("other"), watches.is_none());
        }
    }

    #[test]
    fn what_is_no_operator_is_none() {
        let mut other = deployment("[run]");
        other
            .spec
            .as_mut()
            .unwrap()
            .template
            .spec
            .as_mut()
            .unwrap()
            .containers[0]
            .name = "web".to_owned();
        assert_eq!(InstalledOperator::read(&other), None);
    }
}
