//! What a pipeline needs in Kafka, by its manifest.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::kafka::admin::TopicPlan;
use api::{Pipeline, SecretPurpose};
use runtime::secrets::{Secrets as SecretSource, variable_name};
use serde_json::json;

use crate::hash;
use crate::secrets::SecretContents;

/// The topics of one pipeline as they should be, and what else of it is in Kafka.
#[derive(Debug, Clone)]
pub struct DesiredTopics {
    pub uid: String,
    pub access: BrokerAccess,
    /// In the order of the manifest.
    pub topics: Vec<TopicPlan>,
    /// The group that workers commit as.
    pub group: String,
    /// The groups that are deleted with the topics.
    pub groups: Vec<String>,
    /// The topic of the generator's shards, which is deleted as well.
    pub shards_topic: Option<String>,
    /// Changes when topics have to be looked at anew.
    pub topics_hash: String,
}

/// Brokers, and how to get in. Equal for pipelines that may share connections.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerAccess {
    /// As the manifest has it.
    pub kafka: api::Kafka,
    pub secrets: SecretContents,
}

impl DesiredTopics {
    /// What `pipeline` needs in Kafka; `uid` is that of its object.
    #[must_use]
    pub fn new(uid: &str, pipeline: &Pipeline, secrets: &SecretContents) -> Self {
        let uses = pipeline.secrets().into_iter();
        let named = uses.filter(|needed| needed.purpose == SecretPurpose::Kafka);
        let access = BrokerAccess {
            kafka: pipeline.kafka.clone(),
            secrets: named
                .filter_map(|named| secrets.get_key_value(&named.secret.name))
                .map(|(name, secret)| (name.clone(), Arc::clone(secret)))
                .collect(),
        };
        let hashes: BTreeMap<_, _> = access
            .secrets
            .iter()
            .map(|(name, secret)| (name, &secret.hash))
            .collect();
        let topics: Vec<TopicPlan> = pipeline.topics.iter().map(TopicPlan::from).collect();
        let described = format!("{:?} {topics:?}", access.kafka);
        let mut groups = vec![pipeline.worker_group()];
        groups.extend(pipeline.generator.as_ref().map(|_| pipeline.generator_group()));
        Self {
            uid: uid.to_owned(),
            topics_hash: hash::of(&json!([described, hashes])),
            access,
            topics,
            group: pipeline.worker_group(),
            groups,
            shards_topic: pipeline
                .generator
                .as_ref()
                .map(|_| pipeline.generator_shards_topic()),
        }
    }
}

impl BrokerAccess {
    /// Where clients read the secrets.
    pub(super) fn source(&self) -> SecretSource {
        let mut variables = BTreeMap::new();
        for (name, secret) in &self.secrets {
            for (key, value) in &secret.data {
                variables.insert(variable_name(name, key), value.clone());
            }
        }
        SecretSource::new(None, move |name| variables.get(name).cloned())
    }
}
