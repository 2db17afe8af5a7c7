//! The operator for people without helm: the manifests of `deploy/install`, for another namespace or with another
//! image, printed or applied.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, TypeMeta};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Api, Client, CustomResourceExt, ResourceExt};
use serde_json::Value;
use tokio::time::Instant;

use crate::installation::definition::{self, DefinitionError};
use crate::installation::installed::{Installed, SELECTOR};
use crate::objects::{BuildError, Defaults};
use crate::plan::documents;

/// Made from the chart.
const OBJECTS: &str = include_str!("../../../deploy/install/operator.yaml");
const NAMESPACE: &str = include_str!("../../../deploy/install/namespace.yaml");
/// Where `deploy/install` puts the operator.
pub const USUAL_NAMESPACE: &str = "streampipeline";
/// Name of the Deployment.
const DEPLOYMENT: &str = "streampipeline-operator";
/// Who applies all but the definition, which the operator keeps up to date itself.
const MANAGER: &str = "streampipeline-install";
const POLL: Duration = Duration::from_secs(1);

/// What is to be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The operator's namespace.
    pub namespace: String,
    /// Another image than the release's, for the operator and for pipelines that name none.
    pub image: Option<String>,
}

/// What was done about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was not there.
    Created,
    /// It was another.
    Changed,
    /// It was as it should be.
    Unchanged,
}

/// Why the operator is not installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A defect.
    #[error("the manifests in this program cannot be read: {0}")]
    Manifests(String),
    /// A defect.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Two would work against each other.
    #[error("{0}")]
    AlreadyThere(String),
    /// The definition.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The API server refused.
    #[error("cannot {action} {kind} {name}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// The object's kind.
        kind: String,
        /// Its name.
        name: String,
        /// What the API server said.
        #[source]
        source: Box<kube::Error>,
    },
    /// It does not come up.
    #[error("the operator is not ready after {patience:?}: {why}")]
    NotReady {
        /// How long was waited.
        patience: Duration,
        /// What its pods say.
        why: String,
    },
}

/// Every object of the installation but the definition, in the order in which they are applied.
pub fn objects(installation: &Installation) -> Result<Vec<Value>, InstallError> {
    let read = |text: &str| -> Result<Vec<Value>, InstallError> {
        serde_yaml::from_multiple(text).map_err(|error| InstallError::Manifests(error.to_string()))
    };
    let mut objects = read(NAMESPACE)?;
    objects.extend(read(OBJECTS)?.into_iter().filter(|object| !object.is_null()));
    for object in &mut objects {
        place(object, &installation.namespace);
        if let Some(image) = &installation.image {
            set_image(object, image);
        }
    }
    Ok(objects)
}

/// The installation as YAML documents, the definition with them.
pub fn yaml(installation: &Installation) -> Result<String, InstallError> {
    let objects = objects(installation)?;
    let namespaces = objects.iter().take(1);
    let rest = objects.iter().skip(1);
    let definition = api::crd_yaml();
    let separator = if definition.starts_with("---") {
        ""
    } else {
        "---\n"
    };
    Ok(format!(
        "{}{separator}{definition}{}",
        documents(namespaces)?,
        documents(rest)?
    ))
}

/// What pipelines get of an operator that is installed this way.
#[must_use]
pub(crate) fn defaults() -> Defaults {
    let usual = Installation {
        namespace: USUAL_NAMESPACE.to_owned(),
        image: None,
    };
    let installed = objects(&usual).ok().and_then(|objects| {
        let deployment = objects
            .into_iter()
            .find(|object| text(object, "/kind") == "Deployment")?;
        Installed::read(&serde_json::from_value(deployment).ok()?)
    });
    installed.map_or_else(
        || Defaults {
            image: String::new(),
            pull_policy: api::crd::PullPolicy::IfNotPresent,
            network_policies: true,
        },
        |installed| installed.defaults,
    )
}

/// Puts an object, and whoever it gives rights to, into `namespace`.
fn place(object: &mut Value, namespace: &str) {
    if text(object, "/kind") == "Namespace" {
        replace(object, "/metadata/name", namespace);
    }
    replace(object, "/metadata/namespace", namespace);
    for subject in elements(object, "/subjects") {
        replace(subject, "/namespace", namespace);
    }
}

/// The operator's own image, and the one that it gives to pipelines.
fn set_image(object: &mut Value, image: &str) {
    for container in elements(object, "/spec/template/spec/containers") {
        replace(container, "/image", image);
        for variable in elements(container, "/env") {
            if text(variable, "/name") == "STREAMPIPELINE_IMAGE" {
                replace(variable, "/value", image);
            }
        }
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn elements<'a>(object: &'a mut Value, pointer: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = object.pointer_mut(pointer).and_then(Value::as_array_mut);
    list.into_iter().flatten()
}

/// Only what is there has another value afterwards.
fn replace(object: &mut Value, pointer: &str, value: &str) {
    if let Some(there) = object.pointer_mut(pointer) {
        *there = Value::from(value);
    }
}

/// Applies the installation; what is as it should be is not written.
pub async fn apply(client: &Client, installation: &Installation) -> Result<Vec<Applied>, InstallError> {
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

async fn apply_definition(client: &Client) -> Result<Applied, InstallError> {
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
    Ok(Applied {
        kind: "CustomResourceDefinition".to_owned(),
        name: name.to_owned(),
        outcome: outcome(before.as_ref(), after.as_ref()),
    })
}

async fn apply_one(client: &Client, object: &Value) -> Result<Applied, InstallError> {
    let text = |pointer| text(object, pointer);
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    let types = TypeMeta {
        api_version: text("/apiVersion").to_owned(),
        kind: kind.to_owned(),
    };
    let gvk =
        GroupVersionKind::try_from(types).map_err(|error| InstallError::Manifests(error.to_string()))?;
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
    Ok(Applied {
        kind: kind.to_owned(),
        name: name.to_owned(),
        outcome: outcome(before.as_ref(), after.metadata.resource_version.as_ref()),
    })
}

fn outcome<T: PartialEq>(before: Option<&T>, after: Option<&T>) -> Outcome {
    match before {
        None => Outcome::Created,
        Some(_) if before == after => Outcome::Unchanged,
        Some(_) => Outcome::Changed,
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
            let why = trouble(client, namespace).await;
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

async fn trouble(client: &Client, namespace: &str) -> String {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let seen = pods.list(&ListParams::default().labels(SELECTOR)).await;
    let trouble = seen.ok().and_then(|pods| crate::pods::look(&pods.items).trouble);
    trouble.unwrap_or_else(|| format!("see kubectl describe pods --namespace {namespace}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn installation(image: Option<&str>) -> Installation {
        Installation {
            namespace: "elsewhere".to_owned(),
            image: image.map(str::to_owned),
        }
    }

    /// Each string of `value` that is `wanted`, by its path.
    fn places(value: &Value, wanted: &str, path: &str, found: &mut Vec<String>) {
        match value {
            Value::String(text) if text == wanted => found.push(path.to_owned()),
            Value::Object(members) => {
                for (name, value) in members {
                    places(value, wanted, &format!("{path}.{name}"), found);
                }
            }
            Value::Array(elements) => {
                for value in elements {
                    places(value, wanted, &format!("{path}[]"), found);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn everything_is_in_the_namespace() {
        let objects = objects(&installation(None)).unwrap();
        assert_eq!(objects[0]["kind"], "Namespace");
        assert_eq!(objects[0]["metadata"]["name"], "elsewhere");
        let mut found = Vec::new();
        for object in &objects {
            places(
                object,
                USUAL_NAMESPACE,
                object["kind"].as_str().unwrap(),
                &mut found,
            );
        }
        found.retain(|place| !place.contains(".labels.") && !place.contains(".matchLabels."));
        assert_eq!(found, Vec::<String>::new(), "still says {USUAL_NAMESPACE}");
        let namespaced = objects
            .iter()
            .filter(|object| object["metadata"]["namespace"] == "elsewhere")
            .count();
        assert_eq!(namespaced, 4, "service account, role, binding and Deployment");
    }

    #[test]
    fn another_image_is_the_operators_and_the_pipelines() {
        let deployment = |image| {
            let objects = objects(&installation(image)).unwrap();
            objects
                .into_iter()
                .find(|object| object["kind"] == "Deployment")
                .unwrap()
        };
        let read = |value: Value| Installed::read(&serde_json::from_value(value).unwrap()).unwrap();
        let other = deployment(Some("registry/own:2"));
        assert_eq!(
            other["spec"]["template"]["spec"]["containers"][0]["image"],
            "registry/own:2"
        );
        assert_eq!(read(other).defaults.image, "registry/own:2");
        assert_eq!(read(deployment(None)).defaults, defaults());
        assert!(
            defaults()
                .image
                .ends_with(concat!(":", env!("CARGO_PKG_VERSION")))
        );
    }

    #[test]
    fn the_yaml_has_the_definition_between_namespace_and_operator() {
        let read: Vec<Value> = serde_yaml::from_multiple(&yaml(&installation(None)).unwrap()).unwrap();
        let kinds: Vec<&str> = read
            .iter()
            .map(|object| object["kind"].as_str().unwrap())
            .collect();
        assert_eq!(
            kinds[..3],
            ["Namespace", "CustomResourceDefinition", "ServiceAccount"]
        );
        assert_eq!(kinds.last(), Some(&"Deployment"));
        let mut read = read;
        read.remove(1);
        assert_eq!(read, objects(&installation(None)).unwrap());
    }
}
