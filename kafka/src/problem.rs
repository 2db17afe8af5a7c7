//! What librdkafka's errors mean to whoever has to do something about them.

use std::fmt;

use rdkafka::error::RDKafkaErrorCode;

/// A kind of problem with Kafka, by its remedy. The names are metric labels too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemKind {
    /// No connection, or it was lost.
    Unreachable,
    /// The host name has no address.
    UnknownHost,
    /// The listener expects another `security.protocol`.
    WrongProtocol,
    /// Certificates do not fit.
    Tls,
    /// User name, password or mechanism were refused.
    Authentication,
    /// The user may not do this.
    NotAuthorised,
    /// The topic is not there.
    TopicMissing,
}

/// A problem with Kafka; its `Display` is one line with the broker's address and a remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind.
    pub kind: ProblemKind,
    /// `host:port` of the broker that it is about; empty when the error does not name one.
    pub broker: String,
    /// What librdkafka says, without its decorations.
    pub detail: String,
}

impl ProblemKind {
    /// Its name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::UnknownHost => "unknown_host",
            Self::WrongProtocol => "wrong_protocol",
            Self::Tls => "tls",
            Self::Authentication => "authentication",
            Self::NotAuthorised => "not_authorised",
            Self::TopicMissing => "topic_missing",
        }
    }

    /// Whether it is about connections, so that one that stands proves that it is over.
    pub(crate) fn is_about_connections(self) -> bool {
        !matches!(self, Self::NotAuthorised | Self::TopicMissing)
    }

    /// Whether waiting may cure it: brokers restart and names appear, but settings do not change by themselves.
    pub(crate) fn may_pass(self) -> bool {
        matches!(self, Self::Unreachable | Self::UnknownHost)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, broker, detail } = self;
        let at = if broker.is_empty() {
            String::new()
        } else {
            format!(" at {broker}")
        };
        match kind {
            ProblemKind::Unreachable => write!(
                f,
                "no connection to Kafka{at}: {detail}; is it running, and is spec.kafka.bootstrapServers right?"
            ),
            ProblemKind::UnknownHost => {
                write!(
                    f,
                    "no address for Kafka{at}: {detail}; is spec.kafka.bootstrapServers right?"
                )
            }
            ProblemKind::WrongProtocol => write!(
                f,
                "no common protocol with Kafka{at}: {detail}; does spec.kafka.security.protocol fit this listener?"
            ),
            ProblemKind::Tls => write!(
                f,
                "no TLS connection to Kafka{at}: {detail}; check spec.kafka.security.tls and its secrets"
            ),
            ProblemKind::Authentication => write!(
                f,
                "Kafka{at} refused the credentials: {detail}; check spec.kafka.security.sasl and its secret"
            ),
            ProblemKind::NotAuthorised => {
                write!(
                    f,
                    "Kafka{at} does not allow it: {detail}; give the user this permission (ACL)"
                )
            }
            ProblemKind::TopicMissing => {
                write!(f, "{detail}; create the topic, or check its name in spec.topics")
            }
        }
    }
}

/// The problem that an error stands for; `None` for one that is no lasting problem of Kafka (the end of a
/// partition, a rebalance, a full queue) and for [`RDKafkaErrorCode::AllBrokersDown`], which only sums up others.
#[must_use]
pub fn classify(code: RDKafkaErrorCode, reason: &str) -> Option<Problem> {
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
        Code::Resolve => ProblemKind::UnknownHost,
        Code::UnsupportedSASLMechanism => ProblemKind::Authentication,
        Code::IllegalSASLState => ProblemKind::WrongProtocol,
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => ProblemKind::NotAuthorised,
        Code::UnknownTopicOrPartition | Code::UnknownTopic => ProblemKind::TopicMissing,
        _ => return None,
    };
    Some(Problem { kind, broker, detail })
}

/// librdkafka reports what went wrong during a handshake only in words.
fn connection_kind(code: RDKafkaErrorCode, detail: &str) -> ProblemKind {
    let says = |texts: &[&str]| texts.iter().any(|text| detail.contains(text));
    if says(&[
        "connecting to a SSL listener",
        "connecting to a PLAINTEXT broker listener",
        "might require SASL",
        "current SASL state",
    ]) {
        ProblemKind::WrongProtocol
    } else if code == RDKafkaErrorCode::SSL || says(&["SSL handshake", "SSL_HANDSHAKE", "certificate"]) {
        ProblemKind::Tls
    } else if code == RDKafkaErrorCode::BrokerTransportFailure {
        ProblemKind::Unreachable
    } else {
        ProblemKind::Authentication
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

    use ProblemKind as Kind;
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
            let expected = Problem {
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

    #[test]
    fn a_line_names_the_broker_and_the_remedy() {
        let problem = Problem {
            kind: Kind::Authentication,
            broker: "kafka:9094".to_owned(),
            detail: "Invalid username or password".to_owned(),
        };
        assert_eq!(
            problem.to_string(),
            "Kafka at kafka:9094 refused the credentials: Invalid username or password; check \
             spec.kafka.security.sasl and its secret"
        );
        assert!(
            Problem {
                broker: String::new(),
                ..problem
            }
            .to_string()
            .starts_with("Kafka refused")
        );
    }
}
