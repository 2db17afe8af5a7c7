//! Sinks whose names are kept for later versions: what the custom resource definition says of them. Nothing reads
//! what is written there.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::json;

use crate::secret::SecretRefSpec;

pub(super) fn cassandra(generator: &mut SchemaGenerator) -> Schema {
    let mut secret = generator.subschema_for::<SecretRefSpec>();
    secret.insert(
        "description".to_owned(),
        json!("Secret with the keys `username` and `password`."),
    );
    json_schema!({
        "type": "object",
        "properties": {
            "contactPoints": {
                "description": "Nodes to begin with, as `host:port`. Example: `[cassandra:9042]`.",
                "type": "array",
                "items": { "type": "string", "maxLength": 260 },
                "minItems": 1,
                "maxItems": 32,
            },
            "keyspace": text("The keyspace, which has to exist.", 48),
            "localDatacenter": {
                "description": "The data centre whose nodes have to acknowledge.",
                "type": "string",
                "maxLength": 128,
            },
            "secretRef": secret,
        },
        "required": ["contactPoints", "keyspace"],
    })
}

pub(super) fn lake(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "url": text("Where files go: `gs://bucket/prefix` or `file:///directory`.", 1024),
        },
        "required": ["url"],
    })
}

pub(super) fn bigquery(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "dataset": text("The data set, which has to exist.", 1024),
            "project": text("The project.", 63),
        },
        "required": ["dataset", "project"],
    })
}

fn text(description: &str, most: u32) -> serde_json::Value {
    json!({ "description": description, "type": "string", "minLength": 1, "maxLength": most })
}
