//! The identity of a pipeline's pods.

use api::ServiceAccount as Wanted;
use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata::metadata;
use crate::validate::Valid;

/// The service account that the pods use.
pub(crate) fn name(valid: &Valid) -> String {
    match &valid.pipeline.pods.service_account {
        Wanted::Existing(name) => name.clone(),
        Wanted::Own(_) => valid.pipeline.name.to_string(),
    }
}

/// The service account to make, unless there is one already.
pub(crate) fn build(valid: &Valid) -> Option<ServiceAccount> {
    let Wanted::Own(annotations) = &valid.pipeline.pods.service_account else {
        return None;
    };
    let mut metadata = metadata(valid, name(valid), None);
    if !annotations.is_empty() {
        metadata.annotations = Some(annotations.clone());
    }
    Some(ServiceAccount {
        metadata,
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    })
}
