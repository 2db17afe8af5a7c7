//! A cluster as a person's command reaches it, and what is said when it cannot be reached.

use std::time::Duration;

use kube::config::{KubeConfigOptions, KubeconfigError};
use kube::{Client, Config};

/// A cluster that answers.
#[derive(Clone)]
pub struct KubernetesCluster {
    pub client: Client,
    /// Its address, for messages.
    pub url: String,
    /// The namespace of who names none.
    pub namespace: String,
}

/// Why a cluster cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing says where it is.
    #[error("no access to a cluster: set KUBECONFIG, or write ~/.kube/config")]
    NotConfigured(#[source] Box<kube::Error>),
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig cannot be used{}", context.as_ref().map(|name| format!(" with the context {name}; see kubectl config get-contexts")).unwrap_or_default())]
    Kubeconfig {
        /// The context that was asked for.
        context: Option<String>,
        /// What is wrong with it.
        #[source]
        source: Box<KubeconfigError>,
    },
    #[error("the cluster at {url} does not answer; check the context and the network")]
    Unreachable {
        url: String,
        #[source]
        source: Box<kube::Error>,
    },
    /// It does not know who asks.
    #[error("the cluster at {url} refuses the credentials of this context; log in again")]
    Unauthorized { url: String },
}

/// For a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// For an answer.
const ANSWER: Duration = Duration::from_secs(30);

/// Connects to the cluster of a kubeconfig's context (the present one if none is named), or to the one around this pod.
pub async fn connect(context: Option<&str>) -> Result<KubernetesCluster, ConnectError> {
    let mut config = match context {
        Some(context) => {
            let options = KubeConfigOptions {
                context: Some(context.to_owned()),
                ..KubeConfigOptions::default()
            };
            let config = Config::from_kubeconfig(&options).await;
            config.map_err(|source| ConnectError::Kubeconfig {
                context: Some(context.to_owned()),
                source: Box::new(source),
            })?
        }
        None => Config::infer()
            .await
            .map_err(|source| ConnectError::NotConfigured(Box::new(kube::Error::InferConfig(source))))?,
    };
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(ANSWER);
    config.reset_reader_on_write = true;
    let url = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let namespace = config.default_namespace.clone();
    let client = Client::try_from(config).map_err(|source| ConnectError::NotConfigured(Box::new(source)))?;
    match client.apiserver_version().await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 401 => {
            return Err(ConnectError::Unauthorized { url });
        }
        // It answers: what may not be done is found where it is tried.
        Err(kube::Error::Api(status)) if status.code < 500 => {}
        Err(source) => {
            return Err(ConnectError::Unreachable {
                url,
                source: Box::new(source),
            });
        }
    }
    Ok(KubernetesCluster {
        client,
        url,
        namespace,
    })
}
