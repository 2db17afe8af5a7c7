//! A headless Service: each pod's metrics by name.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata::metadata;
use super::pod::{PORT, PORT_NAME};
use crate::names::selecting;
use crate::validate::Valid;

pub(crate) fn build(valid: &Valid) -> Service {
    let name = valid.pipeline.name.to_string();
    Service {
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            selector: Some(selecting(&name, None)),
            ports: Some(vec![ServicePort {
                name: Some(PORT_NAME.to_owned()),
                port: PORT,
                target_port: Some(IntOrString::String(PORT_NAME.to_owned())),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            // Who looks at a pod that is not ready wants to know why.
            publish_not_ready_addresses: Some(true),
            ..ServiceSpec::default()
        }),
        metadata: metadata(valid, name, None),
        ..Service::default()
    }
}
