//! The kinds of objects that a pipeline owns.

use kube::api::ApiResource;
use kube::core::GroupVersionKind;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    ServiceAccount,
    NetworkPolicy,
    Service,
    PodDisruptionBudget,
    PodMonitor,
    ConfigMap,
    Job,
    CronJob,
    Deployment,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::ServiceAccount,
        Self::NetworkPolicy,
        Self::Service,
        Self::PodDisruptionBudget,
        Self::PodMonitor,
        Self::ConfigMap,
        Self::Job,
        Self::CronJob,
        Self::Deployment,
    ];

    /// Group, version, kind and the plural as in URLs.
    #[must_use]
    pub(crate) fn names(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::ServiceAccount => ("", "v1", "ServiceAccount", "serviceaccounts"),
            Self::NetworkPolicy => ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::PodDisruptionBudget => ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
            Self::PodMonitor => ("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors"),
            Self::ConfigMap => ("", "v1", "ConfigMap", "configmaps"),
            Self::Job => ("batch", "v1", "Job", "jobs"),
            Self::CronJob => ("batch", "v1", "CronJob", "cronjobs"),
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
        }
    }

    /// The kind's name, as users know it.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        self.names().2
    }

    /// How the API server is asked for it.
    #[must_use]
    pub(crate) fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.names();
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }

    /// Whether every change of what is wanted, and no other, raises `metadata.generation`. Where it does not, any
    /// change is seen by `metadata.resourceVersion`.
    #[must_use]
    pub(crate) fn has_generation(self) -> bool {
        !matches!(self, Self::ServiceAccount | Self::Service | Self::ConfigMap)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
