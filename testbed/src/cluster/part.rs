//! The processes of a cluster by name.

use std::fmt;

/// A process of a cluster that a test may hurt. Nodes are named by their number, from 1, as in `node-1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Keeps all objects; they survive its death.
    Etcd,
    /// The API server: frozen or down, clients see an outage, and pods run on.
    ApiServer,
    /// Deployments, Jobs, garbage collection, lost nodes.
    ControllerManager,
    /// Gives pods to nodes.
    Scheduler,
    /// The agent of one node: down, its pods run on, and after 20 s the node counts as lost.
    Kubelet(u32),
    /// What runs the containers of one node; they outlive it.
    Containerd(u32),
    /// Services, for all nodes.
    Proxy,
    /// `NetworkPolicy`, for all nodes; what is in force stays so while it is down.
    NetworkPolicies,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Etcd => f.write_str("etcd"),
            Self::ApiServer => f.write_str("kube-apiserver"),
            Self::ControllerManager => f.write_str("kube-controller-manager"),
            Self::Scheduler => f.write_str("kube-scheduler"),
            Self::Kubelet(node) => write!(f, "kubelet-{node}"),
            Self::Containerd(node) => write!(f, "containerd-{node}"),
            Self::Proxy => f.write_str("kube-proxy"),
            Self::NetworkPolicies => f.write_str("kube-netpol"),
        }
    }
}
