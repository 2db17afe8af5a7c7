//! What librdkafka's errors mean to whoever has to do something about them.

use rdkafka::error::RDKafkaErrorCode;

use crate::issue::{Issue, IssueKind};

/// The issue that an error stands for; `None` for one that is no lasting issue of Kafka (the end of a
/// partition, a rebalance, a full queue) and for [`RDKafkaErrorCode::AllBrokersDown`], which only sums up others.
pub(super) fn classify(code: RDKafkaErrorCode, reason: &str) -> Option<Issue> {
    use RDKafkaErrorCode as Code;

    let (broker, detail) = split_reason(reason);
    // The connection stood and was closed meanwhile, by a listener of another protocol or by a broker that ends. The next
    // attempt tells which.
    if detail.starts_with("Send failed") {
        return None;
    }
    let kind = match code {
        Code::BrokerTransportFailure | Code::SSL | Code::Authentication | Code::SaslAuthenticationFailed => {
            connection_kind(code, &detail)
        }
        Code::Resolve => IssueKind::UnknownHost,
        Code::UnsupportedSASLMechanism => IssueKind::Authentication,
        Code::IllegalSASLState => IssueKind::WrongProtocol,
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => IssueKind::NotAuthorised,
        Code::UnknownTopicOrPartition | Code::UnknownTopic => IssueKind::TopicMissing,
        _ => return None,
    };
    Some(Issue { kind, broker, detail })
}

/// librdkafka reports what went wrong during a handshake only in words.
fn connection_kind(code: RDKafkaErrorCode, detail: &str) -> IssueKind {
    let says = |texts: &[&str]| texts.iter().any(|text| detail.contains(text));
    if says(&[
        "connecting to a SSL listener",
        "connecting to a PLAINTEXT broker listener",
        "might require SASL",
        "current SASL state",
    ]) {
        IssueKind::WrongProtocol
    } else if code == RDKafkaErrorCode::SSL || says(&["SSL handshake", "SSL_HANDSHAKE", "certificate"]) {
        IssueKind::Tls
    } else if code == RDKafkaErrorCode::BrokerTransportFailure {
        IssueKind::Unreachable
    } else {
        IssueKind::Authentication
    }
}

/// Takes `ssl://kafka:9093/bootstrap: text (after 3ms in state CONNECT)` apart into `kafka:9093` and `text`.
fn split_reason(reason: &str) -> (String, String) {
    let mut rest = reason.trim();
    let mut broker = "";
    while let Some((head, tail)) = rest.split_once(": ") {
        let head = head.rsplit_once("://").map_or(head, |(_, address)| address);
        let address = head.split_once('/').map_or(head, |(address, _)| address);
        if address
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
        {
            broker = address;
        } else if !matches!(head, "GroupCoordinator" | "TxnCoordinator") {
            break;
        }
        rest = tail;
    }
    let end = rest.rfind(" (after ").unwrap_or(rest.len());
    (broker.to_owned(), rest.get(..end).unwrap_or(rest).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    use IssueKind as Kind;
    use RDKafkaErrorCode as Code;

    /// Reasons as librdkafka 2.12 gives them, recorded with Kafka 4.3.
    #[test]
    fn recorded_errors_are_told_apart() {
        for (code, reason, kind, broker, detail) in [
            (
                Code::BrokerTransportFailure,
                "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state \
                 CONNECT, 1 identical error(s) suppressed)",
                Kind::Unreachable,
                "127.0.0.1:1",
                "Connect to ipv4#127.0.0.1:1 failed: Connection refused",
            ),
            (
                Code::BrokerTransportFailure,
                "GroupCoordinator: 127.0.0.1:19092: Connection setup timed out in state APIVERSION_QUERY (after 3005ms in \
                 state APIVERSION_QUERY, 1 identical error(s) suppressed)",
                Kind::Unreachable,
                "127.0.0.1:19092",
                "Connection setup timed out in state APIVERSION_QUERY",
            ),
            (
                Code::Resolve,
                "nosuchhost.invalid:9092/bootstrap: Failed to resolve 'nosuchhost.invalid:9092': Name or service not \
                 known (after 0ms in state CONNECT)",
                Kind::UnknownHost,
                "nosuchhost.invalid:9092",
                "Failed to resolve 'nosuchhost.invalid:9092': Name or service not known",
            ),
            (
                Code::Authentication,
                "sasl_plaintext://127.0.0.1:19094/bootstrap: SASL authentication error: Authentication failed: \
                 Invalid username or password (after 301ms in state AUTH_REQ)",
                Kind::Authentication,
                "127.0.0.1:19094",
                "SASL authentication error: Authentication failed: Invalid username or password",
            ),
            (
                Code::Authentication,
                "sasl_plaintext://127.0.0.1:19094/bootstrap: SASL SCRAM-SHA-256 mechanism handshake failed: Broker: \
                 Unsupported SASL mechanism: broker's supported mechanisms: PLAIN,SCRAM-SHA-512 (after 300ms in \
                 state AUTH_HANDSHAKE)",
                Kind::Authentication,
                "127.0.0.1:19094",
                "SASL SCRAM-SHA-256 mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's \
                 supported mechanisms: PLAIN,SCRAM-SHA-512",
            ),
            (
                Code::Authentication,
                "sasl_plaintext://127.0.0.1:19092/bootstrap: SASL PLAIN mechanism handshake failed: Broker: Request \
                 not valid in current SASL state: broker's supported mechanisms:  (after 5ms in state AUTH_HANDSHAKE)",
                Kind::WrongProtocol,
                "127.0.0.1:19092",
                "SASL PLAIN mechanism handshake failed: Broker: Request not valid in current SASL state: broker's \
                 supported mechanisms: ",
            ),
            (
                Code::BrokerTransportFailure,
                "ssl://127.0.0.1:19092/bootstrap: SSL handshake failed: Disconnected: SSL connection closed by peer: \
                 connecting to a PLAINTEXT broker listener? (after 1ms in state SSL_HANDSHAKE)",
                Kind::WrongProtocol,
                "127.0.0.1:19092",
                "SSL handshake failed: Disconnected: SSL connection closed by peer: connecting to a PLAINTEXT broker \
                 listener?",
            ),
            (
                Code::SSL,
                "ssl://kafka.db:9093/1: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: \
                 broker certificate could not be verified (after 9ms in state SSL_HANDSHAKE)",
                Kind::Tls,
                "kafka.db:9093",
                "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate \
                 could not be verified",
            ),
            (
                Code::UnknownTopicOrPartition,
                "Subscribed topic not available: missing-topic: Broker: Unknown topic or partition",
                Kind::TopicMissing,
                "",
                "Subscribed topic not available: missing-topic: Broker: Unknown topic or partition",
            ),
            (
                Code::GroupAuthorizationFailed,
                "GroupCoordinator: FindCoordinator response error: Group authorization failed",
                Kind::NotAuthorised,
                "",
                "FindCoordinator response error: Group authorization failed",
            ),
        ] {
            let expected = Issue {
                kind,
                broker: broker.to_owned(),
                detail: detail.to_owned(),
            };
            assert_eq!(classify(code, reason), Some(expected), "{reason}");
        }
    }

    #[test]
    fn what_passes_by_itself_is_no_problem() {
        for code in [
            Code::PartitionEOF,
            Code::AllBrokersDown,
            Code::RebalanceInProgress,
            Code::QueueFull,
        ] {
            assert_eq!(classify(code, "1/1 brokers are down"), None);
        }
        let broken = "127.0.0.1:9092/bootstrap: Send failed: Broken pipe (after 1ms in state UP)";
        assert_eq!(classify(Code::BrokerTransportFailure, broken), None);
    }
}
