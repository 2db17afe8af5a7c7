//! The pipeline's own object: status, finalizers, events. Written only when something changes.

use api::StreamPipeline;
use api::crd::StreamPipelineStatus;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::context::Context;
use crate::objects::OPERATOR;
use crate::status::{Transition, transitions};

/// Why the pipeline's own object could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the {what} of the pipeline")]
pub struct WriteError {
    /// Status or finalizers.
    pub what: &'static str,
    /// What the API server said.
    #[source]
    pub source: Box<kube::Error>,
}

/// The status that was written last, and where it will be seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct StatusMemory(Option<Written>);

#[derive(Debug, Clone)]
struct Written {
    status: StreamPipelineStatus,
    /// The resource's version before; a watch that lags still shows it.
    before: Option<String>,
}

impl StatusMemory {
    /// The status that the API server has: what was written last, while the watch still shows what was before.
    pub(crate) fn newest(&self, resource: &StreamPipeline) -> StreamPipelineStatus {
        match &self.0 {
            Some(written) if written.before == resource.resource_version() => written.status.clone(),
            _ => resource.status.clone().unwrap_or_default(),
        }
    }
}

/// Writes `status` if it says something else than `previous`, and tells of what has changed by events.
pub(crate) async fn write_status(
    resource: &StreamPipeline,
    status: StreamPipelineStatus,
    previous: &StreamPipelineStatus,
    memory: &mut StatusMemory,
    context: &Context,
) -> Result<(), WriteError> {
    if status == *previous {
        return Ok(());
    }
    let name = resource.name_any();
    let api: Api<StreamPipeline> =
        Api::namespaced(context.client.clone(), &resource.namespace().unwrap_or_default());
    let patch = json!({
        "apiVersion": "streampipeline.dev/v1alpha1",
        "kind": "StreamPipeline",
        "metadata": { "name": name, "uid": resource.uid() },
        "status": status,
    });
    let parameters = PatchParams::apply(OPERATOR).force();
    let written = api.patch_status(&name, &parameters, &Patch::Apply(&patch)).await;
    written.map_err(|source| WriteError {
        what: "status",
        source: Box::new(source),
    })?;
    context.metrics.wrote("status");
    for transition in transitions(&previous.conditions, &status.conditions) {
        tell(resource, &transition, context).await;
    }
    memory.0 = Some(Written {
        status,
        before: resource.resource_version(),
    });
    Ok(())
}

/// An event is a courtesy: one that cannot be written is only logged.
pub(crate) async fn tell(resource: &StreamPipeline, transition: &Transition, context: &Context) {
    let now = (context.clock)();
    if let Err(error) = context.events.tell(resource, transition, now).await {
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
