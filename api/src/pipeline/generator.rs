//! Where events come from, and when.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::TopicName;

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

/// A kind of events.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Plays and likes of tracks by a fixed population of users.
    Music(MusicSource),
}

/// Parameters of the `music` source.
#[derive(Debug, Clone, PartialEq)]
pub struct MusicSource {
    /// Size of the population; user ids are 1..=users.
    pub users: u32,
    /// Where tracks come from.
    pub catalogue: CatalogueSource,
    /// Share of events that are likes, the others being plays; 0..=1.
    pub like_share: f64,
    /// Preferred genres by age band (`10-19` … `60+`) and gender (`M`, `F`, `X`) that replace the built-in
    /// table's entries.
    pub preferences: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

/// Where the track catalogue comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum CatalogueSource {
    /// Generated from the seed.
    Generated {
        /// Rows of the catalogue.
        tracks: u32,
        /// Number of genres that they are spread over, at most 114.
        genres: u16,
    },
    /// A CSV file with the 20 columns of the Spotify tracks data set, with or without its index column.
    Csv(PathBuf),
}

/// How the rate varies around its mean.
#[derive(Debug, Clone, PartialEq)]
pub enum RateShape {
    /// Always the same.
    Constant,
    /// Every `every`, `rate` events a second for `lasting`; `Generator::rate` in between.
    Bursts {
        /// Period; longer than `lasting`.
        every: Duration,
        /// Length of a burst.
        lasting: Duration,
        /// Events a second during a burst.
        rate: f64,
    },
    /// Relative weights of the hours of a day in UTC, repeated; linear in between. 24 weights, mean more than 0.
    Day {
        /// Weight of each hour.
        weights: Vec<f64>,
        /// Length of the "day"; 24 h unless a faster one is wanted for a demonstration.
        period: Duration,
    },
}

/// What an event's own time says.
#[derive(Debug, Clone, PartialEq)]
pub enum EventTime {
    /// When it was due.
    Now,
    /// A uniform instant of the window `[from, to)`, deterministic from the seed.
    Window {
        /// First instant.
        from: Timestamp,
        /// End, excluded.
        to: Timestamp,
    },
}

/// When a generator ends as complete. Both may be set: the first one reached ends it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct GeneratorLimit {
    /// Total of events over all replicas.
    pub count: Option<u64>,
    /// Time since the run began, pauses included.
    pub duration: Option<Duration>,
}
