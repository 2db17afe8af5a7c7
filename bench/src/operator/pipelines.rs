//! The pipelines, and the secrets that they name.

use serde_json::{Value, json};

pub(super) const PIPELINES: usize = 1000;
/// Namespaces over which they are spread.
const NAMESPACES: usize = 20;

pub(super) fn namespaces() -> impl Iterator<Item = String> {
    (0..NAMESPACES).map(|number| format!("team-{number}"))
}

pub(super) fn secret(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": "database", "namespace": namespace },
        // "YmVuY2g=" is bench.
        "data": { "username": "YmVuY2g=", "password": "YmVuY2g=" },
    })
}

/// All of them. Their topics begin with `prefix`: no two clusters find each other's.
pub(super) fn pipelines(prefix: &str, bootstrap: &str) -> impl Iterator<Item = Value> {
    namespaces()
        .collect::<Vec<_>>()
        .into_iter()
        .cycle()
        .zip(0..PIPELINES)
        .map(move |(namespace, number)| pipeline(&namespace, number, prefix, bootstrap))
}

fn pipeline(namespace: &str, number: usize, prefix: &str, bootstrap: &str) -> Value {
    let topic = format!("{prefix}_{number}");
    json!({
        "apiVersion": "streampipeline.dev/v1alpha1", "kind": "StreamPipeline",
        "metadata": { "name": format!("pipeline-{number}"), "namespace": namespace },
        "spec": {
            "kafka": { "bootstrapServers": bootstrap },
            "topics": [{
                "name": topic, "partitions": 1,
                "fields": { "user_id": "int", "track_id": "int", "event_timestamp": "timestamp", "event_type": "string" },
            }],
            "generator": { "music": {}, "rate": 100.0 },
            "tables": [{ "name": "stored", "sql": format!("SELECT user_id FROM {topic}") }],
            "sink": { "postgres": { "host": "db", "database": "bench", "secretRef": { "name": "database" } } },
        },
    })
}
