//! What is wrong with Kafka, for whoever has to do something about it.

use std::fmt;

/// A kind of issue with Kafka, by its remedy. The names are metric labels too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IssueKind {
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

/// An issue with Kafka; its `Display` is one line with the broker's address and a remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// By its remedy.
    pub kind: IssueKind,
    /// `host:port` of the broker that it is about; empty when the error does not name one.
    pub broker: String,
    /// What the client or the broker says.
    pub detail: String,
}

impl IssueKind {
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

impl Issue {
    /// One of the cluster as a whole.
    pub(crate) fn of_cluster(kind: IssueKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            broker: String::new(),
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, broker, detail } = self;
        let at = if broker.is_empty() {
            String::new()
        } else {
            format!(" at {broker}")
        };
        match kind {
            IssueKind::Unreachable => write!(
                f,
                "no connection to Kafka{at}: {detail}; is it running, and is spec.kafka.bootstrapServers right?"
            ),
            IssueKind::UnknownHost => {
                write!(
                    f,
                    "no address for Kafka{at}: {detail}; is spec.kafka.bootstrapServers right?"
                )
            }
            IssueKind::WrongProtocol => write!(
                f,
                "no common protocol with Kafka{at}: {detail}; does spec.kafka.security.protocol fit this listener?"
            ),
            IssueKind::Tls => write!(
                f,
                "no TLS connection to Kafka{at}: {detail}; check spec.kafka.security.tls and its secrets"
            ),
            IssueKind::Authentication => write!(
                f,
                "Kafka{at} refused the credentials: {detail}; check spec.kafka.security.sasl and its secret"
            ),
            IssueKind::NotAuthorised => {
                write!(
                    f,
                    "Kafka{at} does not allow it: {detail}; give the user this permission (ACL)"
                )
            }
            IssueKind::TopicMissing => {
                write!(f, "{detail}; create the topic, or check its name in spec.topics")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_broker_and_the_remedy() {
        let issue = Issue {
            kind: IssueKind::Authentication,
            broker: "kafka:9094".to_owned(),
            detail: "Invalid username or password".to_owned(),
        };
        assert_eq!(
            issue.to_string(),
            "Kafka at kafka:9094 refused the credentials: Invalid username or password; check \
             spec.kafka.security.sasl and its secret"
        );
        assert!(
            Issue {
                broker: String::new(),
                ..issue
            }
            .to_string()
            .starts_with("Kafka refused")
        );
    }
}
