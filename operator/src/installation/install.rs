//! The operator for people without helm: its manifests are applied, and its pods waited for.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, TypeMeta};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Api, Client, CustomResourceExt, ResourceExt};
use serde_json::Value;
use tokio::time::Instant;

use super::definition::{self, DefinitionError};
use super::installed::SELECTOR;
use super::manifests::{Installation, ManifestsError, objects, text};
use crate::pods::summarize;

const DEPLOYMENT: &str = "streampipeline-operator";
/// Who applies all but the definition, which the operator keeps up to date itself.
const MANAGER: &str = "streampipeline-install";
const POLL: Duration = Duration::from_secs(1);

/// An object of the installation, by kind and name, after it was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedObject {
    pub kind: String,
    pub name: String,
    pub effect: ApplyEffect,
}

/// What applying an object has done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplyEffect {
    Created,
    Changed,
    /// It was as it should be.
    Unchanged,
}

/// Why the operator is not installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error(transparent)]
    Manifests(#[from] ManifestsError),
    /// Two would work against each other.
    #[error("{0}")]
    AlreadyThere(String),
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    #[error("cannot {action} {kind} {name}")]
    Refused {
        /// `apply`, `look at`, …
        action: &'static str,
        kind: String,
        name: String,
        #[source]
        source: Box<kube::Error>,
    },
    /// It does not come up.
    #[error("the operator is not ready after {patience:?}: {why}")]
    NotReady {
        patience: Duration,
        /// What its pods say.
        why: String,
    },
}

/// Applies the installation; what is as it should be is not written.
pub async fn apply(client: &Client, installation: &Installation) -> Result<Vec<AppliedObject>, InstallError> {
    check_others(client, &installation.namespace).await?;
    let mut applied = Vec::new();
    let objects = objects(installation)?;
    let (namespaces, rest) = objects.split_at(objects.len().min(1));
    for object in namespaces {
        applied.push(apply_one(client, object).await?);
    }
    applied.push(apply_definition(client).await?);
    for object in rest {
        applied.push(apply_one(client, object).await?);
    }
    Ok(applied)
}

/// Names of roles are the cluster's: a second operator of this name elsewhere would take the first one's rights.
async fn check_others(client: &Client, namespace: &str) -> Result<(), InstallError> {
    let deployments: Api<Deployment> = Api::all(client.clone());
    let found = deployments
        .list(&ListParams::default().labels(SELECTOR))
        .await
        .map_err(refused("list", "Deployments", "of operators"))?;
    for deployment in &found.items {
        let place = deployment.namespace().unwrap_or_default();
        let name = deployment.name_any();
        let by_helm = deployment
            .labels()
            .get("app.kubernetes.io/managed-by")
            .is_some_and(|by| by == "Helm");
        if by_helm {
            return Err(InstallError::AlreadyThere(format!(
                "helm has installed the operator {place}/{name}; use helm upgrade"
            )));
        }
        if place != namespace {
            return Err(InstallError::AlreadyThere(format!(
                "the operator {place}/{name} is there already; use --namespace {place}, or remove it first"
            )));
        }
    }
    Ok(())
}

async fn apply_definition(client: &Client) -> Result<AppliedObject, InstallError> {
    let name = api::StreamPipeline::crd_name();
    let definitions: Api<DynamicObject> = Api::all_with(
        client.clone(),
        &ApiResource::erase::<
            k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
        >(&()),
    );
    let look = async || {
        let found = definitions.get_metadata_opt(name).await;
        let found = found.map_err(refused("look at", "CustomResourceDefinition", name))?;
        // Its version changes with its status, too.
        Ok::<_, InstallError>(found.map(|found| found.metadata.generation))
    };
    let before = look().await?;
    definition::apply(client).await?;
    let after = look().await?;
    Ok(AppliedObject {
        kind: "CustomResourceDefinition".to_owned(),
        name: name.to_owned(),
        effect: effect(before.as_ref(), after.as_ref()),
    })
}

async fn apply_one(client: &Client, object: &Value) -> Result<AppliedObject, InstallError> {
    let text = |pointer| text(object, pointer);
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    let types = TypeMeta {
        api_version: text("/apiVersion").to_owned(),
        kind: kind.to_owned(),
    };
    let gvk =
        GroupVersionKind::try_from(types).map_err(|error| ManifestsError::Unreadable(error.to_string()))?;
    let (resource, capabilities) =
        pinned_kind(client, &gvk)
            .await
            .map_err(refused("look up the kind of", kind, name))?;
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => Api::namespaced_with(client.clone(), text("/metadata/namespace"), &resource),
    };
    let before = api
        .get_metadata_opt(name)
        .await
        .map_err(refused("look at", kind, name))?;
    let before = before.and_then(|before| before.metadata.resource_version);
    let after = api
        .patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(object))
        .await
        .map_err(refused("apply", kind, name))?;
    Ok(AppliedObject {
        kind: kind.to_owned(),
        name: name.to_owned(),
        effect: effect(before.as_ref(), after.metadata.resource_version.as_ref()),
    })
}

fn effect<T: PartialEq>(before: Option<&T>, after: Option<&T>) -> ApplyEffect {
    match before {
        None => ApplyEffect::Created,
        Some(_) if before == after => ApplyEffect::Unchanged,
        Some(_) => ApplyEffect::Changed,
    }
}

/// Waits until the operator's pods are of this installation and ready.
pub async fn wait(client: &Client, namespace: &str, patience: Duration) -> Result<(), InstallError> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let deadline = Instant::now() + patience;
    loop {
        let deployment =
            deployments
                .get(DEPLOYMENT)
                .await
                .map_err(refused("look at", "Deployment", DEPLOYMENT))?;
        if is_rolled_out(&deployment) {
            return Ok(());
        }
        if Instant::now() > deadline {
            let why = failure(client, namespace).await;
            return Err(InstallError::NotReady { patience, why });
        }
        tokio::time::sleep(POLL).await;
    }
}

fn is_rolled_out(deployment: &Deployment) -> bool {
    let wanted = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    deployment.status.as_ref().is_some_and(|status| {
        status.observed_generation == deployment.metadata.generation
            && status.updated_replicas.unwrap_or(0) >= wanted
            && status.available_replicas.unwrap_or(0) >= wanted
    })
}

async fn failure(client: &Client, namespace: &str) -> String {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pods = pods.list(&ListParams::default().labels(SELECTOR)).await;
    let failure = pods.ok().and_then(|pods| summarize(&pods.items).failure);
    failure.unwrap_or_else(|| format!("see kubectl describe pods --namespace {namespace}"))
}

fn refused(action: &'static str, kind: &str, name: &str) -> impl FnOnce(kube::Error) -> InstallError {
    let (kind, name) = (kind.to_owned(), name.to_owned());
    move |source| InstallError::Refused {
        action,
        kind,
        name,
        source: Box::new(source),
    }
}
