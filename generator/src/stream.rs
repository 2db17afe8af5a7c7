//! The events again, for those who check what became of them.

use api::Generator;

use crate::music::{Event, Music, MusicError};
use crate::shards::Shards;

/// All events of a generator, by shard and number: the same ones, in any process, as often as asked for.
#[derive(Debug)]
pub struct EventStream {
    music: Music,
}

/// An event with its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamEvent {
    pub shard: u16,
    /// Its number within the shard, from 0.
    pub index: u64,
    /// Its place in the run; a run that is limited to `count` events has the places below `count`.
    pub place: u64,
    /// The event. Its key and value are had from [`crate::music::Encoder`].
    pub event: Event,
}

impl EventStream {
    /// Makes or reads what events are made from.
    pub fn new(generator: &Generator) -> Result<Self, MusicError> {
        Music::load(generator).map(|music| Self { music })
    }

    #[must_use]
    pub fn shards(&self) -> Shards {
        self.music.shards()
    }

    /// As checkpoints carry it: changes when the events of any shard do.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.music.fingerprint()
    }

    /// The shard's events from number `from` on, without end; none for a shard that does not exist.
    pub fn shard(&self, shard: u16, from: u64) -> impl Iterator<Item = StreamEvent> + '_ {
        (from..).map_while(move |index| {
            Some(StreamEvent {
                shard,
                index,
                place: self.shards().place(shard, index),
                event: self.music.event(shard, index)?,
            })
        })
    }

    /// The shard's share of a run of `count` events.
    pub fn shard_within(&self, shard: u16, count: u64) -> impl Iterator<Item = StreamEvent> + '_ {
        let events = self.shards().events_within(shard, count);
        self.shard(shard, 0)
            .take(usize::try_from(events).unwrap_or(usize::MAX))
    }
}
