//! What stands in a broker's `server.properties`. Pure.

use std::collections::BTreeMap;
use std::path::Path;

use super::node::Ports;
use crate::certificates::Certificates;

/// The user of the SASL listeners.
pub const KAFKA_USER: &str = "alice";
/// That user's password, by PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 alike.
pub const KAFKA_PASSWORD: &str = "alice-secret";

/// What all test brokers have in common.
const COMMON: &str = include_str!("../../kafka/server.properties");

/// A broker's place in its cluster and on the machine.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) id: u32,
    pub(crate) brokers: u32,
    pub(crate) voters: &'a str,
    pub(crate) ports: &'a Ports,
    /// What clients of the plaintext listener are told instead of its own address.
    pub(crate) advertised: Option<&'a str>,
    pub(crate) directory: &'a Path,
    pub(crate) certificates: &'a Certificates,
}

impl Place<'_> {
    /// What clients of the plaintext listener are told.
    pub(crate) fn advertised(&self) -> String {
        self.advertised
            .map_or_else(|| self.ports.plaintext.address(), str::to_owned)
    }
}

/// `controller.quorum.voters`: every broker is a controller too.
pub(crate) fn voters(ports: &[Ports]) -> String {
    let voter = |(id, ports): (u32, &Ports)| format!("{id}@{}", ports.controller.address());
    (1..).zip(ports).map(voter).collect::<Vec<_>>().join(",")
}

/// All settings of one broker.
pub(crate) fn server_properties(place: &Place<'_>) -> BTreeMap<String, String> {
    let mut settings = parse(COMMON);
    let mut set = |key: &str, value: String| settings.insert(key.to_owned(), value);

    let ports = place.ports;
    let clients = [
        ("INTERNAL", ports.internal.address()),
        ("PLAINTEXT", ports.plaintext.address()),
        ("SASL_PLAINTEXT", ports.sasl.address()),
        ("SSL", ports.tls.address()),
        ("SASL_SSL", ports.sasl_tls.address()),
    ];
    let controller = [("CONTROLLER", ports.controller.address())];
    let told = clients.clone().map(|(name, address)| match name {
        "PLAINTEXT" => (name, place.advertised()),
        _ => (name, address),
    });
    set("node.id", place.id.to_string());
    set("controller.quorum.voters", place.voters.to_owned());
    set("listeners", listeners(clients.iter().chain(&controller)));
    set("advertised.listeners", listeners(told.iter().chain(&controller)));
    set("log.dirs", place.directory.join("data").display().to_string());
    set(
        "ssl.keystore.location",
        place.certificates.server_with_key().display().to_string(),
    );
    set(
        "ssl.truststore.location",
        place.certificates.ca().display().to_string(),
    );

    let module = "org.apache.kafka.common.security";
    for listener in ["sasl_plaintext", "sasl_ssl"] {
        let key = |mechanism| format!("listener.name.{listener}.{mechanism}.sasl.jaas.config");
        let user =
            format!(r#"{module}.plain.PlainLoginModule required user_{KAFKA_USER}="{KAFKA_PASSWORD}";"#);
        set(&key("plain"), user);
        for mechanism in ["scram-sha-256", "scram-sha-512"] {
            set(
                &key(mechanism),
                format!("{module}.scram.ScramLoginModule required;"),
            );
        }
    }

    let replicas = place.brokers.min(3);
    for topic in [
        "offsets.topic",
        "transaction.state.log",
        "share.coordinator.state.topic",
    ] {
        set(&format!("{topic}.replication.factor"), replicas.to_string());
    }
    set("default.replication.factor", replicas.to_string());
    let in_sync = if replicas == 3 { "2" } else { "1" };
    for key in [
        "min.insync.replicas",
        "transaction.state.log.min.isr",
        "share.coordinator.state.topic.min.isr",
    ] {
        set(key, in_sync.to_owned());
    }
    settings
}

fn listeners<'a>(listeners: impl Iterator<Item = &'a (&'a str, String)>) -> String {
    listeners
        .map(|(name, address)| format!("{name}://{address}"))
        .collect::<Vec<_>>()
        .join(",")
}

/// Reads `key=value` lines, as far as our own file uses the format.
fn parse(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Writes them as a properties file: there, a backslash would begin an escape.
pub(crate) fn render(settings: &BTreeMap<String, String>) -> String {
    settings
        .iter()
        .map(|(key, value)| [key, "=", &value.replace('\\', "\\\\"), "\n"].concat())
        .collect()
}

/// `meta.properties` of the formatted disk, changed to be broker `id`'s: the disk's identity has to differ
/// between brokers, and is a base64 number of which two digits suffice for that.
pub(crate) fn disk_identity(meta: &str, id: u32) -> String {
    let line = |line: &str| match line.split_once('=') {
        Some(("node.id", _)) => format!("node.id={id}\n"),
        Some(("directory.id", disk)) => {
            format!("directory.id={id:02}{}\n", disk.get(2..).unwrap_or_default())
        }
        _ => format!("{line}\n"),
    };
    meta.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::LOOPBACK;

    fn settings(brokers: u32, advertised: Option<&str>) -> (BTreeMap<String, String>, Ports) {
        let directory = tempfile::tempdir().unwrap();
        let certificates = Certificates::generate(directory.path().join("certificates"), LOOPBACK).unwrap();
        let ports = Ports::reserve(LOOPBACK).unwrap();
        let place = Place {
            id: 1,
            brokers,
            voters: "1@127.0.0.1:1",
            ports: &ports,
            advertised,
            directory: directory.path(),
            certificates: &certificates,
        };
        (server_properties(&place), ports)
    }

    #[test]
    fn durability_grows_with_the_cluster() {
        for (brokers, replicas, in_sync) in [(1, "1", "1"), (2, "2", "1"), (3, "3", "2"), (5, "3", "2")] {
            let (settings, _) = settings(brokers, None);
            assert_eq!(
                settings["default.replication.factor"], replicas,
                "{brokers} brokers"
            );
            assert_eq!(
                settings["offsets.topic.replication.factor"], replicas,
                "{brokers} brokers"
            );
            assert_eq!(settings["min.insync.replicas"], in_sync, "{brokers} brokers");
        }
    }

    #[test]
    fn only_plaintext_clients_are_sent_to_the_proxy() {
        let (settings, ports) = settings(1, Some("127.0.0.1:9"));
        let told = &settings["advertised.listeners"];
        assert!(told.contains(",PLAINTEXT://127.0.0.1:9,"), "{told}");
        assert!(
            told.contains(&format!("INTERNAL://{}", ports.internal.address())),
            "{told}"
        );
        assert!(settings["listeners"].contains(&format!(",PLAINTEXT://{},", ports.plaintext.address())));
    }

    #[test]
    fn disks_of_different_brokers_differ() {
        let meta = "version=1\nnode.id=1\ndirectory.id=kSk2e7nYQ8iZc1bQ3XhYqA\ncluster.id=c\n";
        assert_eq!(
            disk_identity(meta, 3),
            "version=1\nnode.id=3\ndirectory.id=03k2e7nYQ8iZc1bQ3XhYqA\ncluster.id=c\n"
        );
    }
}
