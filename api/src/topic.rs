//! `spec.topics[]`: Kafka topics and the shape of their records.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::field_type::{Field, FieldType};
use crate::names::{TopicName, unique};
use crate::problem::Collector;
use crate::rule::RuleText;
use crate::values::{fields, fields_schema, narrow};

const TOPIC_NAME: RuleText = RuleText {
    problem: "this is not a topic name",
    remedy: "use at most 249 letters, digits, '.', '_' and '-', and neither '.' nor '..' alone",
};
const FEWER_PARTITIONS: RuleText = RuleText {
    problem: "a topic cannot have fewer partitions than it had",
    remedy: "keep the number, or make a new topic",
};
const EVENT_TIME_FIELD: RuleText = RuleText {
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

fn one() -> i64 {
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

/// A Kafka topic and the shape of its records.
#[derive(Debug, Clone, PartialEq)]
pub struct Topic {
    /// The topic's name, also the table's name in SQL.
    pub name: TopicName,
    /// Partitions to create; more are added when it is raised.
    pub partitions: i32,
    /// Replicas to create each partition with.
    pub replication_factor: i16,
    /// Kafka topic configuration to create it with.
    pub config: BTreeMap<String, String>,
    /// Fields that are decoded, sorted by name.
    pub fields: Vec<Field>,
    /// The timestamp field that says when a record's event happened; absent means Kafka's record timestamp.
    pub event_time: Option<String>,
    /// Where a partition that has never been read is begun.
    pub start_from: StartFrom,
}

/// Where reading begins when no position is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StartFrom {
    /// The oldest record that is there.
    Earliest,
    /// Records that come after the pipeline.
    Latest,
}

/// A partition of a topic, as everything downstream names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// The topic.
    pub topic: std::sync::Arc<str>,
    /// The number within it, from 0.
    pub number: i32,
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.topic, self.number)
    }
}

pub(crate) fn topics(specs: &[TopicSpec], problems: &mut Collector) -> Option<Vec<Topic>> {
    let paths = (0..).map(|index| format!("spec.topics[{index}].name"));
    unique(
        specs.iter().map(|spec| spec.name.as_str()).zip(paths),
        "topic",
        problems,
    );
    let topics: Vec<Option<Topic>> = specs
        .iter()
        .enumerate()
        .map(|(index, spec)| topic(spec, &format!("spec.topics[{index}]"), problems))
        .collect();
    topics.into_iter().collect()
}

fn topic(spec: &TopicSpec, path: &str, problems: &mut Collector) -> Option<Topic> {
    let name = TopicName::new(&spec.name).ok();
    if name.is_none() {
        problems.broken(format!("{path}.name"), TOPIC_NAME);
    }
    let fields = fields(&spec.fields, &format!("{path}.fields"), problems);
    if let Some(event_time) = &spec.event_time {
        // A field whose type is not understood is reported as such, and may be meant as a timestamp.
        let understood = fields.iter().find(|field| field.name == *event_time);
        let fits = match understood {
            Some(field) => matches!(field.data_type, FieldType::Timestamp(_)),
            None => spec.fields.contains_key(event_time),
        };
        if !fits {
            problems.broken(format!("{path}.eventTime"), EVENT_TIME_FIELD);
        }
    }
    Some(Topic {
        name: name?,
        partitions: narrow(spec.partitions),
        replication_factor: narrow(spec.replication_factor),
        config: spec.config.clone(),
        fields,
        event_time: spec.event_time.clone(),
        start_from: spec.start_from,
    })
}
