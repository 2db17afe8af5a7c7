//! What a plan needs to know of the cluster besides the pipeline's objects. It only reads.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::{Pipeline, StreamPipeline};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::{Api, Client, ResourceExt};

use super::model::{ClusterPlanError, sentence};
use super::stand_ins::stand_in;
use crate::installation::installed::{InstalledOperator, SELECTOR};
use crate::installation::manifests;
use crate::names::{COMPLETE, Role, role_name};
use crate::objects::Defaults;
use crate::secrets::{SecretContent, SecretContents};
use crate::validate::{ValidationError, is_rival};
use crate::watch;

/// Plans for one pipeline, and collects what is in the way.
pub(super) struct Planner<'a> {
    pub(super) client: &'a Client,
    pub(super) namespace: &'a str,
    pub(super) name: String,
    pub(super) problems: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// The operator that looks after the pipeline, or what one would be like.
pub(super) struct ResponsibleOperator {
    pub(super) name: Option<String>,
    pub(super) defaults: Defaults,
    pub(super) watches: Option<String>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(client: &'a Client, namespace: &'a str, name: &str) -> Self {
        Self {
            client,
            namespace,
            name: name.to_owned(),
            problems: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The operator, whose image and settings the objects get.
    pub(super) async fn operator(&mut self) -> Result<ResponsibleOperator, ClusterPlanError> {
        let deployments: Api<Deployment> = Api::all(self.client.clone());
        let found = match deployments.list(&ListParams::default().labels(SELECTOR)).await {
            Ok(found) => found.items,
            Err(kube::Error::Api(status)) if status.code == 403 => {
                self.notes.push(format!(
                    "whether an operator is installed, and with which image, is not seen: {}",
                    sentence(&status)
                ));
                return Ok(ResponsibleOperator::usual());
            }
            Err(error) => return Err(ClusterPlanError::asking("operators")(error)),
        };
        let installed: Vec<InstalledOperator> = found.iter().filter_map(InstalledOperator::read).collect();
        let Some(one) = installed.iter().find(|one| one.looks_after(self.namespace)) else {
            self.problems.push(match installed.first() {
                None => {
                    "no operator is installed; streampipeline install --apply, or helm install, installs one"
                        .to_owned()
                }
                Some(other) => format!(
                    "no operator looks after the namespace {}: {} only does after {}",
                    self.namespace,
                    other.name,
                    other.watches.as_deref().unwrap_or_default()
                ),
            });
            return Ok(ResponsibleOperator::usual());
        };
        if !one.ready {
            self.problems.push(format!(
                "the operator {} has no pod that is ready, so that nothing happens; see kubectl describe pods",
                one.name
            ));
        }
        Ok(ResponsibleOperator {
            name: Some(one.name.clone()),
            defaults: one.defaults.clone(),
            watches: one.watches.clone(),
        })
    }

    /// Adds a problem if there is an older pipeline of the same name at the same Kafka.
    pub(super) async fn rival(&mut self, resource: &StreamPipeline) -> Result<(), ClusterPlanError> {
        let pipelines: Api<DeserializeGuard<StreamPipeline>> = Api::all(self.client.clone());
        let all = match pipelines.list(&ListParams::default()).await {
            Ok(all) => all.items,
            // Nobody has any yet.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 403 => {
                self.notes.push(format!(
                    "whether another namespace has a pipeline of this name at the same Kafka is not seen: {}",
                    sentence(&status)
                ));
                return Ok(());
            }
            Err(error) => return Err(ClusterPlanError::asking("StreamPipelines")(error)),
        };
        let rival = all
            .iter()
            .filter_map(|guard| guard.0.as_ref().ok())
            .find(|other| is_rival(resource, other));
        if let Some(rival) = rival {
            let error = ValidationError::NameInUse {
                namespace: rival.namespace().unwrap_or_default(),
                name: rival.name_any(),
            };
            self.problems.push(error.to_string());
        }
        Ok(())
    }

    /// The secrets that the pipeline names and that are there. Only hashes of them go into anything.
    pub(super) async fn secrets(&mut self, pipeline: &Pipeline) -> Result<SecretContents, ClusterPlanError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), self.namespace);
        let names: BTreeSet<String> = pipeline
            .secrets()
            .into_iter()
            .map(|needed| needed.secret.name)
            .collect();
        let mut secrets = SecretContents::new();
        for name in names {
            match api.get_opt(&name).await {
                Ok(None) => {}
                Ok(Some(secret)) => {
                    secrets.insert(name, Arc::new(SecretContent::new(&secret)));
                }
                Err(kube::Error::Api(status)) if status.code == 403 => {
                    self.problems.push(format!(
                        "hashes that depend on the secret {name} are shown as if it had changed: {}",
                        sentence(&status)
                    ));
                    secrets.insert(name.clone(), stand_in(pipeline, &name));
                }
                Err(error) => return Err(ClusterPlanError::asking(format!("the secret {name}"))(error)),
            }
        }
        Ok(secrets)
    }

    /// The generator's configuration that has produced all that it was to.
    pub(super) async fn completed(&self) -> Option<String> {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), self.namespace);
        let name = role_name(&self.name, Role::Generator);
        let deployment = deployments.get_metadata_opt(&name).await.ok()??;
        deployment.annotations().get(COMPLETE).cloned()
    }

    pub(super) async fn has_pod_monitors(&self) -> bool {
        watch::has_pod_monitors(self.client).await
    }
}

impl ResponsibleOperator {
    /// As `streampipeline install` installs it.
    fn usual() -> Self {
        Self {
            name: None,
            defaults: manifests::defaults(),
            watches: None,
        }
    }
}
