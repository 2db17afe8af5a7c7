//! `spec.generator`: synthetic events.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rule::RuleText;
use super::schema::{Nothing, Reserved};
use super::topic::one;
use crate::duration::DurationText;

pub(crate) const ONE_SOURCE: RuleText = RuleText {
    problem: "there has to be exactly one source of events",
    remedy: "set one of music, listeners, eventsim, productViews, fields",
};
pub(crate) const SOURCE_NOT_AVAILABLE: RuleText = RuleText {
    problem: "this source is not available in this version",
    remedy: "available: music",
};
pub(crate) const RATE: RuleText = RuleText {
    problem: "a rate has to be more than 0 and at most 10000000 events a second",
    remedy: "set a rate in between; paused: true produces nothing",
};
pub(crate) const IDLE_REPLICAS: RuleText = RuleText {
    problem: "there are more replicas than shards to share",
    remedy: "use at most as many replicas as shards",
};
pub(crate) const EMPTY_LIMIT: RuleText = RuleText {
    problem: "the limit limits nothing",
    remedy: "set count, duration or both, or remove limit",
};
pub(crate) const ONE_SHAPE: RuleText = RuleText {
    problem: "there has to be exactly one shape",
    remedy: "set one of bursts, day",
};
pub(crate) const BURST_TOO_LONG: RuleText = RuleText {
    problem: "a burst lasts longer than the time until the next one",
    remedy: "make lasting shorter than every",
};
pub(crate) const DAY_WITHOUT_EVENTS: RuleText = RuleText {
    problem: "all weights are 0",
    remedy: "give at least one hour a weight above 0",
};
pub(crate) const DAY_PERIOD: RuleText = RuleText {
    problem: "a day of no length has no hours",
    remedy: "set a period of at least 1s",
};
pub(crate) const ONE_EVENT_TIME: RuleText = RuleText {
    problem: "there has to be exactly one kind of event time",
    remedy: "set one of now, window",
};
pub(crate) const EMPTY_WINDOW: RuleText = RuleText {
    problem: "the window ends before it begins",
    remedy: "set from to an instant before to",
};
pub(crate) const ONE_CATALOGUE: RuleText = RuleText {
    problem: "there has to be exactly one catalogue",
    remedy: "set csv, or remove catalogue to have one generated",
};
pub(crate) const CATALOGUE_SIZE_UNUSED: RuleText = RuleText {
    problem: "tracks and genres are the size of a generated catalogue, but catalogue is set",
    remedy: "remove tracks and genres, or remove catalogue",
};
pub(crate) const EMPTY_GENRES: RuleText = RuleText {
    problem: "there are more genres than tracks",
    remedy: "raise tracks or lower genres",
};
pub(crate) const AGE_BANDS: [&str; 6] = ["10-19", "20-29", "30-39", "40-49", "50-59", "60+"];
pub(crate) const AGE_BAND: RuleText = RuleText {
    problem: "there is an unknown age band",
    remedy: "use 10-19, 20-29, 30-39, 40-49, 50-59 and 60+, in quotes",
};
pub(crate) const GENDERS: [&str; 3] = ["M", "F", "X"];
pub(crate) const GENDER: RuleText = RuleText {
    problem: "there is an unknown gender",
    remedy: "use M, F and X",
};

/// Most partitions of a topic that the generator fills: a shard's checkpoint counts each partition's records, and
/// Kafka keeps at most 4 KB with a committed offset.
pub(crate) const MAX_GENERATED_PARTITIONS: i64 = 400;
/// Most events a second.
pub(crate) const MAX_RATE: f64 = 1e7;

/// Synthetic events: what they are, how many a second, and what time they tell. The same seed gives the same
/// events, whatever the number of replicas.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(
    "[has(self.music), has(self.listeners), has(self.eventsim), has(self.productViews), has(self.fields)].filter(x, x).size() == 1"
).message(ONE_SOURCE))]
#[x_kube(validation = Rule::new("self.replicas <= self.shards").message(IDLE_REPLICAS).field_path(".replicas"))]
pub struct GeneratorSpec {
    /// Plays and likes of tracks by a fixed population of users. One of the sources has to be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub music: Option<MusicSpec>,
    /// Reserved for a later version: plays by ever new listeners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("false").message(SOURCE_NOT_AVAILABLE))]
    pub listeners: Option<Reserved>,
    /// Reserved for a later version: sessions of users of a streaming service, compatible with eventsim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("false").message(SOURCE_NOT_AVAILABLE))]
    pub eventsim: Option<Reserved>,
    /// Reserved for a later version: views of a shop's products.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("false").message(SOURCE_NOT_AVAILABLE))]
    pub product_views: Option<Reserved>,
    /// Reserved for a later version: records of any declared shape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("false").message(SOURCE_NOT_AVAILABLE))]
    pub fields: Option<Reserved>,
    /// The topic that events go to. Absent: the pipeline's only topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 249))]
    pub topic: Option<String>,
    /// Events a second over all replicas. With a shape: between bursts, or the mean of a day. Default 10.
    #[serde(default = "ten_a_second")]
    #[x_kube(validation = Rule::new("self > 0.0 && self <= 10000000.0").message(RATE))]
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

fn ten_a_second() -> f64 {
    10.0
}

fn forty_two() -> i64 {
    42
}

fn sixty_four() -> i64 {
    64
}

/// Plays and likes. An event has `user_id` (int), `track_id` (int), `event_timestamp` (timestamp) and
/// `event_type` (`streaming` or `like`). The tables that belong to it are references `music.users`,
/// `music.bulk_track_raw_data`, `music.artists`, `music.albums` and `music.tracks`.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.catalogue) || !(has(self.tracks) || has(self.genres))").message(CATALOGUE_SIZE_UNUSED))]
#[x_kube(validation = Rule::new(
    "(has(self.genres) ? self.genres : 114) <= (has(self.tracks) ? self.tracks : 114000)"
).message(EMPTY_GENRES).field_path(".genres"))]
pub struct MusicSpec {
    /// Size of the population; user ids are 1 to this. Default 10000.
    #[serde(default = "ten_thousand")]
    #[schemars(range(min = 1, max = 50_000_000))]
    pub users: i64,
    /// Rows of the generated catalogue. Default 114000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5_000_000))]
    pub tracks: Option<i64>,
    /// Genres that the generated catalogue's tracks are spread over, at most 114. Default 114.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 114))]
    pub genres: Option<i64>,
    /// Tracks of your own. Absent: a catalogue is generated from the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<CatalogueSpec>,
    /// Share of events that are likes, from 0 to 1; the others are plays. Default 0.01.
    #[serde(default = "one_percent")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub like_share: f64,
    /// Preferred genres by age band and gender, in place of the built-in table's. A genre that the catalogue does
    /// not have is ignored. Example: `{"20-29": {F: [pop, k-pop], M: [hip-hop]}}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "preferences_schema")]
    #[x_kube(validation = Rule::new("self.all(band, band in ['10-19', '20-29', '30-39', '40-49', '50-59', '60+'])").message(AGE_BAND))]
    #[x_kube(validation = Rule::new("self.all(band, self[band].all(gender, gender in ['M', 'F', 'X']))").message(GENDER))]
    pub preferences: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

fn ten_thousand() -> i64 {
    10_000
}

fn one_percent() -> f64 {
    0.01
}

fn preferences_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 6,
        "additionalProperties": {
            "type": "object",
            "maxProperties": 3,
            "additionalProperties": {
                "type": "array",
                "minItems": 1,
                "maxItems": 114,
                "items": { "type": "string", "minLength": 1, "maxLength": 64 },
            },
        },
    })
}

/// Where tracks come from.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.csv)").message(ONE_CATALOGUE))]
pub struct CatalogueSpec {
    /// A file in the format of the Spotify tracks data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<CatalogueCsvSpec>,
}

/// A CSV file with the 20 columns of the Spotify tracks data set, with or without its leading index column.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CatalogueCsvSpec {
    /// Path of the file, relative to the manifest's directory. Example: `data/tracks.csv`.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
}

/// How the rate varies over time.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.bursts) != has(self.day)").message(ONE_SHAPE))]
pub struct ShapeSpec {
    /// A higher (or lower) rate for a while, again and again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bursts: Option<BurstsSpec>,
    /// The rise and fall of a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<DaySpec>,
}

/// Every `every`, `rate` events a second for `lasting`; the generator's own rate in between.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("duration(self.lasting) < duration(self.every)").message(BURST_TOO_LONG).field_path(".lasting"))]
pub struct BurstsSpec {
    /// Time from the beginning of a burst to the beginning of the next. Example: `5m`.
    pub every: DurationText,
    /// Length of a burst, shorter than `every`. Example: `30s`.
    pub lasting: DurationText,
    /// Events a second during a burst.
    #[x_kube(validation = Rule::new("self > 0.0 && self <= 10000000.0").message(RATE))]
    pub rate: f64,
}

/// Relative weights of the hours of a day in UTC, linear in between; the mean rate stays the generator's.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DaySpec {
    /// Weight of each of the 24 hours, beginning with midnight; 0 or more. Only their proportions count.
    #[schemars(length(min = 24, max = 24), inner(range(min = 0.0, max = 1_000_000_000.0)))]
    #[x_kube(validation = Rule::new("self.exists(w, w > 0.0)").message(DAY_WITHOUT_EVENTS))]
    pub weights: Vec<f64>,
    /// Length of the "day"; shorter for a demonstration. Default `24h`.
    #[serde(default = "a_day")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s')").message(DAY_PERIOD))]
    pub period: DurationText,
}

fn a_day() -> DurationText {
    "24h".into()
}

/// What an event's own time says.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.now) != has(self.window)").message(ONE_EVENT_TIME))]
pub struct EventTimeSpec {
    /// The instant when the event was due. Written as `now: {}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Nothing>,
    /// Any instant of a window, evenly: to fill history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowSpec>,
}

/// A span of time, its end excluded.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self.from < self.to").message(EMPTY_WINDOW))]
pub struct WindowSpec {
    /// First instant. Example: `2026-01-01T00:00:00Z`.
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub from: String,
    /// End, excluded. Example: `2026-02-01T00:00:00Z`.
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub to: String,
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
