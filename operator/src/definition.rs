//! The operator's own custom resource definition, kept up to date so that an upgrade needs no manual step.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, CustomResourceExt};

use crate::build::OPERATOR;

/// Why the definition is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// The API server refused it.
    #[error(
        "cannot apply the custom resource definition; apply it yourself (streampipeline-operator crd) and use --no-crd"
    )]
    Apply(#[source] Box<kube::Error>),
    /// The API server took it, but does not serve it.
    #[error(
        "the custom resource definition is not served after {0:?}; see kubectl describe crd streampipelines.streampipeline.dev"
    )]
    NotServed(Duration),
}

/// How long the API server may take to serve it.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(200);

/// Applies the definition and waits until it is served.
pub async fn apply(client: &Client) -> Result<(), DefinitionError> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definition = api::StreamPipeline::crd();
    let name = api::StreamPipeline::crd_name();
    let failed = |error| DefinitionError::Apply(Box::new(error));
    let parameters = PatchParams::apply(OPERATOR).force();
    let mut applied = definitions
        .patch(name, &parameters, &Patch::Apply(&definition))
        .await
        .map_err(failed)?;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !is_established(&applied) {
        if tokio::time::Instant::now() > deadline {
            return Err(DefinitionError::NotServed(PATIENCE));
        }
        tokio::time::sleep(POLL).await;
        applied = definitions.get(name).await.map_err(failed)?;
    }
    tracing::info!("the custom resource definition is up to date");
    Ok(())
}

fn is_established(definition: &CustomResourceDefinition) -> bool {
    let conditions = definition
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| {
        conditions
            .iter()
            .any(|condition| condition.type_ == "Established" && condition.status == "True")
    })
}
