//! `spec.generator`: synthetic events.

use std::time::Duration;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::duration::DurationText;
use crate::event_time::{EventTime, EventTimeSpec, event_time};
use crate::names::TopicName;
use crate::problem::Collector;
use crate::rate::{RateShape, ShapeSpec, rate, rate_rule, shape};
use crate::rule::RuleText;
use crate::schema::Reserved;
use crate::source::{MusicSpec, SOURCES, Source, music};
use crate::topic::TopicSpec;
use crate::values::{duration, narrow};

const PATH: &str = "spec.generator";

pub(crate) const WHICH_TOPIC: RuleText = RuleText {
    problem: "there are several topics",
    remedy: "say which one the generator fills",
};
pub(crate) const NO_SUCH_TOPIC: RuleText = RuleText {
    problem: "this does not name a topic of the pipeline",
    remedy: "name one of spec.topics",
};
pub(crate) const TOO_MANY_PARTITIONS: RuleText = RuleText {
    problem: "a topic that the generator fills has more than 400 partitions",
    remedy: "lower its partitions",
};
const IDLE_REPLICAS: RuleText = RuleText {
    problem: "there are more replicas than shards to share",
    remedy: "use at most as many replicas as shards",
};
const EMPTY_LIMIT: RuleText = RuleText {
    problem: "the limit limits nothing",
    remedy: "set count, duration or both, or remove limit",
};

/// Most partitions of a topic that the generator fills: a shard's checkpoint counts each partition's records, and
/// Kafka keeps at most 4 KB with a committed offset.
const MAX_GENERATED_PARTITIONS: i64 = 400;

/// Synthetic events: what they are, how many a second, and what time they tell. The same seed gives the same
/// events, whatever the number of replicas.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = SOURCES.rule())]
#[x_kube(validation = Rule::new("self.replicas <= self.shards").message(IDLE_REPLICAS).field_path(".replicas"))]
pub struct GeneratorSpec {
    /// Plays and likes of tracks by a fixed population of users. One of the sources has to be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub music: Option<MusicSpec>,
    /// Reserved for a later version: plays by ever new listeners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = SOURCES.unavailable_rule())]
    pub listeners: Option<Reserved>,
    /// Reserved for a later version: sessions of users of a streaming service, compatible with eventsim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = SOURCES.unavailable_rule())]
    pub eventsim: Option<Reserved>,
    /// Reserved for a later version: views of a shop's products.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = SOURCES.unavailable_rule())]
    pub product_views: Option<Reserved>,
    /// Reserved for a later version: records of any declared shape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = SOURCES.unavailable_rule())]
    pub fields: Option<Reserved>,
    /// The topic that events go to. Absent: the pipeline's only topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 249))]
    pub topic: Option<String>,
    /// Events a second over all replicas. With a shape: between bursts, or the mean of a day. Default 10.
    #[serde(default = "ten_a_second")]
    #[x_kube(validation = rate_rule())]
    pub rate: f64,
    /// How the rate varies. Absent: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<ShapeSpec>,
    /// What an event's own time says. Absent: `now`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<EventTimeSpec>,
    /// Everything about the events follows from it. Default 42.
    #[serde(default = "forty_two")]
    #[schemars(range(min = 0))]
    pub seed: i64,
    /// Parts that the events are divided into, each made by one replica at a time; another number gives other
    /// events. Default 64.
    #[serde(default = "sixty_four")]
    #[schemars(range(min = 1, max = 1024))]
    pub shards: i64,
    /// Generator pods, which share the shards; at most as many as shards. More of them make a higher rate possible,
    /// not other events. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1024))]
    pub replicas: i64,
    /// When the generator ends as complete. Absent: it runs until it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitSpec>,
    /// `true`: produce nothing until it is `false` again, then go on where it stopped. Default `false`.
    #[serde(default)]
    pub paused: bool,
}

fn one() -> i64 {
    1
}

fn ten_a_second() -> f64 {
    10.0
}

fn forty_two() -> i64 {
    42
}

fn sixty_four() -> i64 {
    64
}

/// When the generator ends as complete: at the first of the two that is reached.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.count) || has(self.duration)").message(EMPTY_LIMIT))]
pub struct LimitSpec {
    /// Total of events over all replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub count: Option<i64>,
    /// Time since the run began, pauses included. Example: `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<DurationText>,
}

impl GeneratorSpec {
    /// The paths of its source's files.
    pub(crate) fn paths_mut(&mut self) -> impl Iterator<Item = &mut String> {
        self.music.iter_mut().flat_map(MusicSpec::paths_mut)
    }
}

/// Synthetic events.
#[derive(Debug, Clone, PartialEq)]
pub struct Generator {
    /// What kind of events.
    pub source: Source,
    /// The topic that they go to.
    pub topic: TopicName,
    /// Events a second over all replicas (mean over the shape's period when there is a shape). More than 0.
    pub rate: f64,
    /// How the rate varies over time.
    pub shape: RateShape,
    /// What event times say.
    pub event_time: EventTime,
    /// The same seed gives the same events.
    pub seed: u64,
    /// Fixed number of virtual shards, each deterministic from (seed, shard).
    pub shards: u16,
    /// Generator replicas (pods) that share the shards.
    pub replicas: u16,
    /// When to end; a generator without a limit runs until it is stopped.
    pub limit: GeneratorLimit,
    /// `true`: produce nothing until it is `false` again, then continue where it stopped.
    pub paused: bool,
}

/// When a generator ends as complete. Both may be set: the first one reached ends it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct GeneratorLimit {
    /// Total of events over all replicas.
    pub count: Option<u64>,
    /// Time since the run began, pauses included.
    pub duration: Option<Duration>,
}

pub(crate) fn generator(
    spec: &GeneratorSpec,
    paused: bool,
    topics: &[TopicSpec],
    problems: &mut Collector,
) -> Option<Generator> {
    let topic = topic(spec, topics, problems);
    rate(spec.rate, &format!("{PATH}.rate"), problems);
    if spec.replicas > spec.shards {
        problems.broken(format!("{PATH}.replicas"), IDLE_REPLICAS);
    }
    let source = source(spec, problems);
    let shape = match &spec.shape {
        Some(shape) => self::shape(shape, problems),
        None => Some(RateShape::Constant),
    };
    let event_time = match &spec.event_time {
        Some(event_time) => self::event_time(event_time, problems),
        None => Some(EventTime::Now),
    };
    let limit = match &spec.limit {
        Some(limit) => self::limit(limit, problems),
        None => GeneratorLimit::default(),
    };
    Some(Generator {
        source: source?,
        topic: topic?,
        rate: spec.rate,
        shape: shape?,
        event_time: event_time?,
        seed: narrow(spec.seed),
        shards: narrow(spec.shards),
        replicas: narrow(spec.replicas),
        limit,
        paused,
    })
}

/// The topic that is filled: it has to be there, and to have the fields that the source writes.
fn topic(spec: &GeneratorSpec, topics: &[TopicSpec], problems: &mut Collector) -> Option<TopicName> {
    let found = match (&spec.topic, topics) {
        (Some(name), _) => topics.iter().enumerate().find(|(_, topic)| topic.name == *name),
        (None, [only]) => Some((0, only)),
        // No topic at all is reported as such.
        (None, []) => return None,
        (None, _) => {
            problems.broken(PATH, WHICH_TOPIC);
            return None;
        }
    };
    let Some((index, topic)) = found else {
        problems.broken(format!("{PATH}.topic"), NO_SUCH_TOPIC);
        return None;
    };
    if topic.partitions > MAX_GENERATED_PARTITIONS {
        problems.broken(format!("spec.topics[{index}].partitions"), TOO_MANY_PARTITIONS);
    }
    if spec.music.is_some() {
        music::check_fields(&topic.fields, &format!("spec.topics[{index}].fields"), problems);
    }
    TopicName::new(&topic.name).ok()
}

fn source(spec: &GeneratorSpec, problems: &mut Collector) -> Option<Source> {
    SOURCES.check(spec, PATH, problems);
    spec.music
        .as_ref()
        .map(|spec| Source::Music(music::music(spec, problems)))
}

fn limit(spec: &LimitSpec, problems: &mut Collector) -> GeneratorLimit {
    let path = format!("{PATH}.limit");
    if spec.count.is_none() && spec.duration.is_none() {
        problems.broken(&path, EMPTY_LIMIT);
    }
    GeneratorLimit {
        count: spec.count.map(narrow),
        duration: spec
            .duration
            .as_ref()
            .and_then(|text| duration(text, &format!("{path}.duration"), problems)),
    }
}
