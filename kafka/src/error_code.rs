//! What brokers answer with instead of doing what they were asked, and what is to be done about it.

use std::fmt;

/// What an error asks for; the worse, the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Consequence {
    /// The same again, soon: a transaction is still being ended.
    Wait,
    /// The same again, after the cluster was asked who is responsible now.
    Retry,
    /// What is under way is void: a producer starts again, a member joins again, a reader decides where to go on.
    Restart,
    /// Somebody has to grant a right or choose another setting; waiting changes nothing.
    Fix,
}

macro_rules! error_codes {
    ($($name:ident = $number:literal, $consequence:ident, $text:literal;)+) => {
        /// An error of Kafka's protocol. Those that this product's requests can meet have names, which are Kafka's.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $(
                #[doc = concat!($text, " (", stringify!($number), ").")]
                $name,
            )+
            /// Any other, by its number.
            Other(i16),
        }

        impl ErrorCode {
            /// The error with a number; `None` for 0, which says that all went well.
            #[must_use]
            pub const fn from_number(number: i16) -> Option<Self> {
                match number {
                    0 => None,
                    $($number => Some(Self::$name),)+
                    number => Some(Self::Other(number)),
                }
            }

            /// The number that stands for it in answers.
            #[must_use]
            pub const fn number(self) -> i16 {
                match self {
                    $(Self::$name => $number,)+
                    Self::Other(number) => number,
                }
            }

            /// What is to be done about it.
            #[must_use]
            pub const fn consequence(self) -> Consequence {
                match self {
                    $(Self::$name => Consequence::$consequence,)+
                    Self::Other(_) => Consequence::Restart,
                }
            }
        }

        impl fmt::Display for ErrorCode {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name => f.write_str(concat!($text, " (", stringify!($name), ")")),)+
                    Self::Other(number) => write!(f, "Kafka's error {number}"),
                }
            }
        }
    };
}

error_codes! {
    UnknownServerError = -1, Restart, "the broker failed in an unexpected way";
    OffsetOutOfRange = 1, Restart, "the log has no such offset";
    CorruptMessage = 2, Retry, "the records were damaged on their way";
    UnknownTopicOrPartition = 3, Retry, "the broker knows no such topic or partition";
    LeaderNotAvailable = 5, Retry, "the partition has no leader at the moment";
    NotLeaderOrFollower = 6, Retry, "the broker does not lead the partition";
    RequestTimedOut = 7, Retry, "the broker could not do it in time";
    BrokerNotAvailable = 8, Restart, "the broker is not available";
    ReplicaNotAvailable = 9, Retry, "the replica is not available";
    MessageTooLarge = 10, Fix, "the batch is larger than the topic's max.message.bytes";
    OffsetMetadataTooLarge = 12, Fix, "the text beside an offset is longer than the broker's offset.metadata.max.bytes";
    NetworkException = 13, Retry, "the broker was disconnected from others";
    CoordinatorLoadInProgress = 14, Retry, "the coordinator is still loading";
    CoordinatorNotAvailable = 15, Retry, "there is no coordinator at the moment";
    NotCoordinator = 16, Retry, "the broker is not the coordinator";
    InvalidTopicException = 17, Restart, "the topic's name is not valid";
    RecordListTooLarge = 18, Restart, "the batch is larger than the topic's segments";
    NotEnoughReplicas = 19, Retry, "fewer replicas are in sync than the topic's min.insync.replicas";
    NotEnoughReplicasAfterAppend = 20, Retry, "fewer replicas stayed in sync than the topic's min.insync.replicas";
    IllegalGeneration = 22, Restart, "the group has gone on to another generation";
    InconsistentGroupProtocol = 23, Fix, "the group's members share partitions in another way";
    InvalidGroupId = 24, Fix, "the group's name is not valid";
    UnknownMemberId = 25, Restart, "the group does not know this member";
    InvalidSessionTimeout = 26, Fix, "the session timeout is outside of what the broker allows";
    RebalanceInProgress = 27, Restart, "the group shares its partitions anew";
    TopicAuthorizationFailed = 29, Fix, "the user has no right to the topic";
    GroupAuthorizationFailed = 30, Fix, "the user has no right to the group";
    ClusterAuthorizationFailed = 31, Fix, "the user has no right to the cluster";
    InvalidTimestamp = 32, Fix, "a record's timestamp is outside of what the topic allows";
    UnsupportedSaslMechanism = 33, Restart, "the broker does not offer the SASL mechanism";
    IllegalSaslState = 34, Restart, "the broker expects another request at this point of the SASL handshake";
    UnsupportedVersion = 35, Fix, "the broker does not know this version of the request";
    TopicAlreadyExists = 36, Restart, "the topic is there already";
    InvalidPartitions = 37, Restart, "the number of partitions is not valid";
    InvalidReplicationFactor = 38, Restart, "the number of replicas is not valid";
    InvalidConfig = 40, Restart, "the topic's configuration is not valid";
    NotController = 41, Retry, "the broker is not the controller";
    InvalidRequest = 42, Restart, "the broker does not understand the request";
    PolicyViolation = 44, Fix, "a policy of the broker forbids it";
    OutOfOrderSequenceNumber = 45, Restart, "the broker has missed a batch before this one";
    DuplicateSequenceNumber = 46, Restart, "the broker has the batch already";
    InvalidProducerEpoch = 47, Restart, "a producer of the same name was started later";
    InvalidTxnState = 48, Restart, "the transaction is not at this point";
    InvalidProducerIdMapping = 49, Restart, "the producer's id belongs to another name";
    InvalidTransactionTimeout = 50, Fix, "the transaction timeout is longer than the broker's transaction.max.timeout.ms";
    ConcurrentTransactions = 51, Wait, "the transaction before is still being ended";
    TransactionalIdAuthorizationFailed = 53, Fix, "the user has no right to the transactional id";
    KafkaStorageError = 56, Retry, "the broker's disk failed";
    SaslAuthenticationFailed = 58, Restart, "the broker refuses the credentials";
    UnknownProducerId = 59, Restart, "the broker does not know the producer any more";
    NonEmptyGroup = 68, Restart, "the group has members";
    GroupIdNotFound = 69, Restart, "there is no such group";
    FetchSessionIdNotFound = 70, Retry, "the broker does not know the fetch session";
    InvalidFetchSessionEpoch = 71, Retry, "the fetch session is at another point";
    ListenerNotFound = 72, Retry, "the leader has no listener like this one";
    TopicDeletionDisabled = 73, Restart, "the broker's delete.topic.enable is off";
    FencedLeaderEpoch = 74, Retry, "the partition has a newer leader";
    UnknownLeaderEpoch = 75, Retry, "the broker does not know of the newest leader yet";
    UnsupportedCompressionType = 76, Restart, "the records are compressed in a way that this request cannot carry";
    OffsetNotAvailable = 78, Retry, "a new leader does not know yet where the partition ends";
    MemberIdRequired = 79, Restart, "the member is to join under the name that it was given";
    PreferredLeaderNotAvailable = 80, Retry, "the preferred leader is not available";
    GroupMaxSizeReached = 81, Restart, "the group is full";
    FencedInstanceId = 82, Fix, "another process has joined under the same name";
    EligibleLeadersNotAvailable = 83, Retry, "no replica may lead the partition";
    ElectionNotNeeded = 84, Retry, "the partition has its leader already";
    InvalidRecord = 87, Fix, "the broker refuses a record";
    UnstableOffsetCommit = 88, Retry, "an open transaction may change the offset";
    ThrottlingQuotaExceeded = 89, Retry, "the user's quota is used up";
    ProducerFenced = 90, Restart, "a producer of the same transactional id was started later";
    UnknownTopicId = 100, Retry, "the broker knows no topic of this id";
    InconsistentTopicId = 103, Retry, "the topic has another id";
    TransactionalIdNotFound = 105, Restart, "there is no transaction of this name";
    FetchSessionTopicIdError = 106, Retry, "the fetch session names topics in two ways";
    TransactionAbortable = 120, Restart, "the transaction cannot be committed any more";
}

#[cfg(test)]
mod tests {
    use kafka_protocol::error::ResponseError;

    use super::*;

    /// Sessions of share groups, which this product has none of, and what nobody has assigned.
    fn is_of_others(number: i16) -> bool {
        matches!(number, 122 | 123 | 133..)
    }

    #[test]
    fn names_numbers_and_what_passes_by_itself_are_those_of_kafka() {
        for number in (-1..=200).filter(|number| !is_of_others(*number)) {
            let (known, own) = (
                ResponseError::try_from_code(number),
                ErrorCode::from_number(number),
            );
            assert_eq!(known.is_some(), own.is_some(), "{number}");
            let (Some(known), Some(own)) = (known, own) else {
                continue;
            };
            assert_eq!(own.number(), number);
            let is_retried = own.consequence() == Consequence::Retry;
            assert_eq!(is_retried, known.is_retriable(), "{own:?}");
            if !matches!(own, ErrorCode::Other(_)) {
                assert_eq!(format!("{own:?}"), format!("{known:?}"));
            }
        }
    }

    #[test]
    fn a_text_says_what_it_means_and_what_to_look_for() {
        assert_eq!(
            ErrorCode::TopicAuthorizationFailed.to_string(),
            "the user has no right to the topic (TopicAuthorizationFailed)"
        );
        assert_eq!(ErrorCode::Other(119).to_string(), "Kafka's error 119");
    }
}
