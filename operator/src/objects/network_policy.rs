//! What the pipeline's pods may talk to: brokers, sink and DNS; and who may ask them: whoever scrapes metrics.
//!
//! A NetworkPolicy knows addresses, not names, so a host that is given by its name is allowed by its port alone. The
//! brokers are always allowed so: clients are told of further brokers by the first ones. The port is the one of the
//! pod behind a Service, if that differs from the Service's.

use std::collections::BTreeSet;
use std::net::IpAddr;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata::metadata;
use super::pod::PORT;
use crate::names::label_selector;
use crate::validate::Valid;

pub(crate) fn build(valid: &Valid) -> NetworkPolicy {
    let name = valid.pipeline.name.to_string();
    let mut egress = vec![
        rule(vec![port(53, "UDP"), port(53, "TCP")], None),
        rule(
            broker_ports(valid)
                .into_iter()
                .map(|number| port(number, "TCP"))
                .collect(),
            None,
        ),
    ];
    egress.extend(valid.pipeline.sink.endpoints().into_iter().map(|endpoint| {
        let address = endpoint.host.trim_matches(['[', ']']).parse().ok();
        rule(vec![port(i32::from(endpoint.port), "TCP")], address)
    }));
    NetworkPolicy {
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(label_selector(&name, None)),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule {
                ports: Some(vec![port(PORT, "TCP")]),
                ..NetworkPolicyIngressRule::default()
            }]),
            egress: Some(egress),
        }),
        metadata: metadata(valid, name, None),
    }
}

fn broker_ports(valid: &Valid) -> BTreeSet<i32> {
    let servers = &valid.pipeline.kafka.bootstrap_servers;
    servers
        .iter()
        .filter_map(|server| server.rsplit_once(':'))
        .filter_map(|(_, port)| port.parse().ok())
        .collect()
}

fn rule(ports: Vec<NetworkPolicyPort>, address: Option<IpAddr>) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        ports: Some(ports),
        to: address.map(|address| {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            vec![NetworkPolicyPeer {
                ip_block: Some(IPBlock {
                    cidr: format!("{address}/{bits}"),
                    except: None,
                }),
                ..NetworkPolicyPeer::default()
            }]
        }),
    }
}

fn port(number: i32, protocol: &str) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(number)),
        protocol: Some(protocol.to_owned()),
        ..NetworkPolicyPort::default()
    }
}
