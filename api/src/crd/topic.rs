//! `spec.topics[]`: Kafka topics and the shape of their records.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rule::RuleText;
use crate::StartFrom;

pub(crate) const TOPIC_NAME: RuleText = RuleText {
    problem: "this is not a topic name",
    remedy: "use at most 249 letters, digits, '.', '_' and '-', and neither '.' nor '..' alone",
};
pub(crate) const FEWER_PARTITIONS: RuleText = RuleText {
    problem: "a topic cannot have fewer partitions than it had",
    remedy: "keep the number, or make a new topic",
};
pub(crate) const EVENT_TIME_FIELD: RuleText = RuleText {
    problem: "this does not name a field of the topic that is a timestamp",
    remedy: "name one of the fields, or declare it as timestamp, timestamp(ms) or timestamp(s)",
};

/// A Kafka topic and the shape of its records, which are JSON objects.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(
    "!has(self.eventTime) || (self.eventTime in self.fields && self.fields[self.eventTime].matches('^\\\\s*timestamp'))"
).message(EVENT_TIME_FIELD).field_path(".eventTime"))]
pub struct TopicSpec {
    /// The topic's name, which is also its table's name in SQL. Example: `music_streaming_data`.
    #[schemars(length(max = 249))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9._-]+$') && self != '.' && self != '..'").message(TOPIC_NAME))]
    pub name: String,
    /// Partitions to create the topic with; the most workers that can share its records. Raising the number adds
    /// partitions, lowering it is refused. A topic that exists with more keeps them. Default 1; a topic that the
    /// generator fills has at most 400.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10_000))]
    #[x_kube(validation = Rule::new("self >= oldSelf").message(FEWER_PARTITIONS))]
    pub partitions: i64,
    /// Replicas of each partition when the topic is created; not more than there are brokers. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100))]
    pub replication_factor: i64,
    /// Kafka's topic configuration, used when the topic is created. Example: `{retention.ms: "86400000"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "config_schema")]
    pub config: BTreeMap<String, String>,
    /// Fields of a record that are of use, each with its type. Other fields are ignored; an absent field is NULL.
    /// Types: `boolean`, `int`, `long`, `float`, `double`, `string`, `timestamp` (text such as
    /// `2026-01-31T12:00:00Z`), `timestamp(ms)` and `timestamp(s)` (a number since 1970), `array<T>`, `map<T>`,
    /// `struct<name: T, …>`. Example: `{user_id: int, at: timestamp}`.
    #[schemars(schema_with = "fields_schema")]
    pub fields: BTreeMap<String, String>,
    /// The timestamp field that says when an event happened. Absent: the time that Kafka keeps with the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub event_time: Option<String>,
    /// Where reading begins in a partition that has never been read: `earliest` (the oldest record that is there;
    /// the default) or `latest` (records that come after the pipeline).
    #[serde(default = "earliest")]
    pub start_from: StartFrom,
}

pub(super) fn one() -> i64 {
    1
}

fn earliest() -> StartFrom {
    StartFrom::Earliest
}

fn config_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "additionalProperties": { "type": "string", "maxLength": 1024 },
        "maxProperties": 64,
    })
}

/// Names and types of fields; used for topics and CSV files.
pub(super) fn fields_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "additionalProperties": { "type": "string", "maxLength": 2048 },
        "minProperties": 1,
        "maxProperties": 256,
    })
}
