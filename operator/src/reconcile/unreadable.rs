//! An object that has not the shape of a pipeline: stored by a later version, or before there were rules. What runs of
//! it goes on.

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use kube::{Api, CustomResourceExt};
use serde_json::json;

use super::context::Context;
use super::error::ReconcileError;
use super::write::WriteError;
use crate::names::{API_VERSION, FINALIZER, KIND, OPERATOR};
use crate::validate::ValidationError;

/// Writes into its status what is wrong with it; and if it is being deleted, lets it go.
pub(crate) async fn reconcile(invalid: &InvalidObject, context: &Context) -> Result<Action, ReconcileError> {
    let meta = &invalid.metadata;
    let key = (
        meta.namespace.clone().unwrap_or_default(),
        meta.name.clone().unwrap_or_default(),
    );
    let memory = context.memory(&key);
    let mut memory = memory.lock().await;
    let resource = api::StreamPipeline::api_resource();
    let objects: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &key.0, &resource);
    let finalizers = meta.finalizers.clone().unwrap_or_default();
    let failed = |what| {
        move |source| WriteError {
            what,
            source: Box::new(source),
        }
    };
    if meta.deletion_timestamp.is_some() {
        if finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            let others: Vec<&String> = finalizers
                .iter()
                .filter(|finalizer| *finalizer != FINALIZER)
                .collect();
            let patch =
                json!({ "metadata": { "finalizers": others, "resourceVersion": meta.resource_version } });
            let written = objects
                .patch(&key.1, &PatchParams::default(), &Patch::Merge(&patch))
                .await;
            written.map_err(failed("finalizers"))?;
        }
        return Ok(Action::await_change());
    }
    let error = ValidationError::Unreadable(invalid.error.clone());
    let message = error.to_string();
    if memory.unreadable.as_ref() == Some(&(meta.generation, message.clone())) {
        return Ok(Action::await_change());
    }
    let patch = json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": { "name": key.1 },
        "status": {
            "phase": "Invalid",
            "observedGeneration": meta.generation,
            "conditions": [{
                "type": "Ready",
                "status": "False",
                "reason": error.reason(),
                "message": message,
                "observedGeneration": meta.generation,
                "lastTransitionTime": (context.clock)(),
            }],
        },
    });
    let parameters = PatchParams::apply(OPERATOR).force();
    let written = objects
        .patch_status(&key.1, &parameters, &Patch::Apply(&patch))
        .await;
    written.map_err(failed("status"))?;
    memory.unreadable = Some((meta.generation, message));
    Ok(Action::await_change())
}
