//! The pipeline's own object: status, finalizers, events. Written only when something changes.

use api::StreamPipeline;
use api::crd::StreamPipelineStatus;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::context::Context;
use super::memory::WrittenStatus;
use crate::names::{API_VERSION, KIND, OPERATOR};
use crate::status::{Transition, transitions};

#[derive(Debug, thiserror::Error)]
#[error("cannot write the {what} of the pipeline")]
pub(crate) struct WriteError {
    /// Status or finalizers.
    pub(crate) what: &'static str,
    #[source]
    pub(crate) source: Box<kube::Error>,
}

/// Writes `status` if it differs from `previous`, and emits events of what has changed.
pub(crate) async fn write_status(
    resource: &StreamPipeline,
    status: StreamPipelineStatus,
    previous: &StreamPipelineStatus,
    written: &mut WrittenStatus,
    context: &Context,
) -> Result<(), WriteError> {
    if status == *previous {
        return Ok(());
    }
    let name = resource.name_any();
    let api: Api<StreamPipeline> =
        Api::namespaced(context.client.clone(), &resource.namespace().unwrap_or_default());
    let patch = json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": { "name": name, "uid": resource.uid() },
        "status": status,
    });
    let parameters = PatchParams::apply(OPERATOR).force();
    let result = api.patch_status(&name, &parameters, &Patch::Apply(&patch)).await;
    result.map_err(|source| WriteError {
        what: "status",
        source: Box::new(source),
    })?;
    context.metrics.wrote("status");
    for transition in transitions(&previous.conditions, &status.conditions) {
        emit(resource, &transition, context).await;
    }
    written.remember(resource, status);
    Ok(())
}

/// An event is a courtesy: one that cannot be written is only logged.
pub(crate) async fn emit(resource: &StreamPipeline, transition: &Transition, context: &Context) {
    let now = (context.clock)();
    if let Err(error) = context.events.emit(resource, transition, now).await {
        tracing::debug!(%error, "an event could not be written");
    }
}

/// Sets the finalizers, unless somebody else has changed the object meanwhile.
pub(crate) async fn write_finalizers(
    resource: &StreamPipeline,
    finalizers: &[String],
    context: &Context,
) -> Result<(), WriteError> {
    let api: Api<StreamPipeline> =
        Api::namespaced(context.client.clone(), &resource.namespace().unwrap_or_default());
    let patch = json!({ "metadata": {
        "finalizers": finalizers,
        "resourceVersion": resource.resource_version(),
    }});
    let written = api
        .patch(
            &resource.name_any(),
            &PatchParams::default(),
            &Patch::Merge(&patch),
        )
        .await;
    match written {
        Ok(_) => {
            context.metrics.wrote("status");
            Ok(())
        }
        // It is gone.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(WriteError {
            what: "finalizers",
            source: Box::new(source),
        }),
    }
}
