//! A small generator for the tests of this room.

use std::collections::BTreeMap;

use api::{CatalogueSource, EventTime, Generator, GeneratorLimit, MusicSource, RateShape, Source, TopicName};

/// 1,000 events a second of 1,000 users over 64 shards and 1,140 tracks; seed 42, without a limit.
pub(crate) fn generator() -> Generator {
    Generator {
        source: Source::Music(MusicSource {
            users: 1_000,
            catalogue: CatalogueSource::Generated {
                tracks: 1_140,
                genres: 114,
            },
            like_share: 0.01,
            preferences: BTreeMap::new(),
        }),
        topic: TopicName::new("music_streaming_data").unwrap(),
        rate: 1_000.0,
        shape: RateShape::Constant,
        event_time: EventTime::Now,
        seed: 42,
        shards: 64,
        replicas: 1,
        limit: GeneratorLimit::default(),
        paused: false,
    }
}
