//! A PodMonitor for the Prometheus operator, where that is installed.

use serde_json::{Value, json};

use super::metadata::metadata;
use super::pod::PORT_NAME;
use crate::names::label_selector;
use crate::validate::Valid;

pub(crate) fn build(valid: &Valid) -> Value {
    let name = valid.pipeline.name.to_string();
    json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "spec": {
            "selector": label_selector(&name, None),
            "podMetricsEndpoints": [{ "port": PORT_NAME, "path": "/metrics" }],
            "podTargetLabels": ["app.kubernetes.io/instance", "app.kubernetes.io/component"],
        },
        "metadata": metadata(valid, name, None),
    })
}
