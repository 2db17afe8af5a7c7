//! The manifests of `deploy/install`, for another namespace or with another image.

use serde_json::Value;

use super::installed::InstalledOperator;
use crate::objects::{BuildError, Defaults, documents};

/// Made from the chart.
const OBJECTS: &str = include_str!("../../../deploy/install/operator.yaml");
const NAMESPACE: &str = include_str!("../../../deploy/install/namespace.yaml");
/// Where `deploy/install` puts the operator.
pub const USUAL_NAMESPACE: &str = "streampipeline";

/// Where the operator is to be, and with which image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// It is created if it is not there.
    pub namespace: String,
    /// Another image than the release's, for the operator and for pipelines that name none.
    pub image: Option<String>,
}

/// A defect.
#[derive(Debug, thiserror::Error)]
pub enum ManifestsError {
    #[error("the manifests in this program cannot be read: {0}")]
    Unreadable(String),
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Every object of the installation but the definition, in the order in which they are applied.
pub fn objects(installation: &Installation) -> Result<Vec<Value>, ManifestsError> {
    let read = |text: &str| -> Result<Vec<Value>, ManifestsError> {
        serde_yaml::from_multiple(text).map_err(|error| ManifestsError::Unreadable(error.to_string()))
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
pub fn yaml(installation: &Installation) -> Result<String, ManifestsError> {
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
        InstalledOperator::read(&serde_json::from_value(deployment).ok()?)
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

pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
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
        let read = |value: Value| InstalledOperator::read(&serde_json::from_value(value).unwrap()).unwrap();
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
