//! The operator's own custom resource definition, kept up to date so that an upgrade needs no manual step. It goes up to
//! newer releases and never back.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, CustomResourceExt, ResourceExt};
use semver::Version;

use crate::names::OPERATOR;

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

/// Applies the definition, unless that of a newer release is there, and waits until it is served.
pub async fn apply(client: &Client) -> Result<(), DefinitionError> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let failed = |error| DefinitionError::Apply(Box::new(error));
    loop {
        match bring(&definitions).await {
            Ok(definition) if is_established(&definition) => {
                log(&definition);
                return Ok(());
            }
            // The API server writes into a new one itself; or another release came first, and has to be looked at.
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(failed(error)),
        }
        if tokio::time::Instant::now() > deadline {
            return Err(DefinitionError::NotServed(PATIENCE));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The definition as it is after this. During a rollout, or after one was undone, an earlier release runs beside or after
/// a later one: it leaves the later one's fields alone, since the API server drops a field that no definition knows from
/// every object that is written, be it only its status.
async fn bring(definitions: &Api<CustomResourceDefinition>) -> Result<CustomResourceDefinition, kube::Error> {
    let name = api::StreamPipeline::crd_name();
    let mut ours = api::definition();
    if let Some(found) = definitions.get_opt(name).await? {
        if release(&found) > release(&ours) {
            return Ok(found);
        }
        // What was looked at is what is replaced.
        ours.metadata.resource_version = found.metadata.resource_version;
    }
    let parameters = PatchParams::apply(OPERATOR).force();
    definitions.patch(name, &parameters, &Patch::Apply(&ours)).await
}

fn log(definition: &CustomResourceDefinition) {
    let newer = release(definition).filter(|found| Some(found) > release(&api::definition()).as_ref());
    if let Some(release) = newer {
        tracing::warn!(%release, "the custom resource definition is of a newer release, and stays as it is");
    } else {
        tracing::info!("the custom resource definition is up to date");
    }
}

/// Of which release a definition is. One that does not tell is older than all that do.
fn release(definition: &CustomResourceDefinition) -> Option<Version> {
    Version::parse(definition.annotations().get(api::RELEASE)?).ok()
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
