//! What a generator generates: one file for each source of events.

pub(crate) mod music;

use crate::union::Union;

pub use music::{CatalogueCsvSpec, CatalogueSource, CatalogueSpec, MusicSource, MusicSpec};

/// The members of `spec.generator` that name a source.
pub(crate) const SOURCES: Union = Union::of("source of events", &["music"])
    .later("source", &["listeners", "eventsim", "productViews", "fields"]);

/// A kind of events.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Plays and likes of tracks by a fixed population of users.
    Music(MusicSource),
}

/// Tables that belong to a source, by the names that a reference takes them by.
pub(crate) fn tables() -> impl Iterator<Item = &'static str> {
    music::TABLES.iter().copied()
}
