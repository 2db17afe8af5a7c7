//! Which cluster is wanted, and whose.

use std::net::IpAddr;
use std::path::PathBuf;

use super::install::install;
use super::machinery::Machinery;
use super::{Cluster, Kubernetes};
use crate::error::Error;
use crate::tools::{CONTAINERD, NFT, RUNC};

/// The kubeconfig of a cluster to use instead of starting one.
const KUBECONFIG: &str = "STREAMPIPELINE_TESTBED_KUBECONFIG";
/// The address of this machine that pods of that cluster reach.
const HOST_ADDRESS: &str = "STREAMPIPELINE_TESTBED_HOST_ADDRESS";

/// What one network of /24 has addresses for, and more than a machine has memory for.
const MOST_NODES: u32 = 9;

/// A cluster that is to be started.
#[derive(Debug, Clone)]
#[must_use = "nothing runs before start()"]
pub struct ClusterBuilder {
    nodes: u32,
}

impl Default for ClusterBuilder {
    fn default() -> Self {
        Self { nodes: 1 }
    }
}

impl ClusterBuilder {
    /// How many nodes, 1 to 9; they are named `node-1` and so on.
    pub fn nodes(mut self, nodes: u32) -> Self {
        self.nodes = nodes;
        self
    }

    /// Starts the cluster and waits until its nodes and its DNS are ready. Where `STREAMPIPELINE_TESTBED_KUBECONFIG` is
    /// set, that cluster is used as it is.
    pub async fn start(self) -> Result<Cluster, Error> {
        if let Some(kubeconfig) = std::env::var_os(KUBECONFIG).filter(|path| !path.is_empty()) {
            return Ok(Cluster {
                kubernetes: Kubernetes::new(kubeconfig.into(), "kubectl".into(), "helm".into(), None)?,
                host: own_host_address(std::env::var(HOST_ADDRESS).ok())?,
            });
        }
        if !(1..=MOST_NODES).contains(&self.nodes) {
            return Err(Error::Misuse(format!(
                "a test cluster has 1 to {MOST_NODES} nodes, not {}: ControlPlane is one without",
                self.nodes
            )));
        }
        if !rustix::process::geteuid().is_root() {
            return Err(Error::NotRoot);
        }
        for tool in [CONTAINERD, RUNC, NFT] {
            tool.find()?;
        }
        let installed = install().await?;
        let machinery = Machinery::start(&installed, self.nodes).await?;
        let host = machinery.told("host")?;
        let host = host
            .parse()
            .map_err(|_| Error::Misuse(format!("the cluster told {host:?} as the host's address")))?;
        let kubeconfig: PathBuf = machinery.kubeconfig();
        Ok(Cluster {
            kubernetes: Kubernetes::new(kubeconfig, installed.kubectl(), installed.helm(), Some(machinery))?,
            host,
        })
    }
}

fn own_host_address(set: Option<String>) -> Result<IpAddr, Error> {
    let set = set.unwrap_or_default();
    set.parse().map_err(|_| {
        Error::Misuse(format!(
            "{KUBECONFIG} is set, so {HOST_ADDRESS} has to be the address of this machine that pods of that cluster \
             reach, and not {set:?} (kind: `docker network inspect kind`, Gateway)"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_of_ones_own_needs_the_address_of_this_machine() {
        let table = [
            (Some("172.18.0.1"), true),
            (Some("fd00::1"), true),
            (Some("localhost"), false),
            (None, false),
        ];
        for (set, good) in table {
            let address = own_host_address(set.map(str::to_owned));
            assert_eq!(address.is_ok(), good, "{set:?}");
        }
    }
}
