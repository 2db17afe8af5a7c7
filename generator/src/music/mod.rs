//! Source `music`: a fixed population of users plays and likes the tracks of a catalogue.
//!
//! A user is drawn uniformly; the user's age and gender give the preferred genres; of their tracks one is drawn
//! by popularity. Everything is a pure function of (seed, shard, number of the event within the shard).

pub(crate) mod catalogue;
pub(crate) mod catalogue_row;
mod choices;
mod csv_file;
pub(crate) mod derived;
mod events;
mod generated;
mod genres;
mod preferences;
mod titles;
pub(crate) mod users;

pub use catalogue_row::CatalogueError;
pub use choices::NoCandidate;
pub use events::{Encoder, Event, EventType};
pub use preferences::PreferenceError;
pub use users::Gender;

use api::{EventTime, Generator, MusicSource, Source};

use crate::fingerprint::Fingerprint;
use crate::random::{Family, Purpose};
use crate::shards::Shards;
use catalogue_row::CatalogueRow;
use choices::Choices;
use preferences::Preferences;
use users::Users;

/// Why a `music` source cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum MusicError {
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The preferences of the manifest.
    #[error(transparent)]
    Preferences(#[from] PreferenceError),
    /// Preferences and catalogue do not fit each other.
    #[error(transparent)]
    NoCandidate(#[from] NoCandidate),
}

/// A `music` source, ready to give any event of any shard. About 12 bytes a candidate track; nothing a user.
#[derive(Debug)]
pub struct Music {
    shards: Shards,
    users: Users,
    choices: Choices,
    like_share: f64,
    /// Start and length in microseconds.
    window: Option<(i64, u64)>,
    /// By shard.
    families: Box<[Family]>,
    fingerprint: u64,
}

impl Music {
    /// Makes or reads the catalogue, and prepares the choices among its tracks.
    pub fn load(generator: &Generator) -> Result<Self, MusicError> {
        let Generator {
            source: Source::Music(source),
            event_time,
            seed,
            shards,
            ..
        } = generator;
        let seed = *seed;
        let shards = Shards::new(source.users, *shards);
        let preferences = Preferences::new(&source.preferences)?;
        let rows = catalogue::load(&source.catalogue, seed)?;
        let tracks = derived::tracks(&rows);
        if tracks.is_empty() {
            return Err(CatalogueError::Empty.into());
        }
        let users = Users::new(seed, source.users);
        Ok(Self {
            fingerprint: fingerprint(generator, source, shards, users, &rows),
            shards,
            users,
            choices: Choices::new(&tracks, &preferences)?,
            like_share: source.like_share,
            window: match event_time {
                EventTime::Now => None,
                EventTime::Window { from, to } => {
                    let (from, to) = (from.as_microsecond(), to.as_microsecond());
                    Some((from, to.saturating_sub(from).max(1) as u64))
                }
            },
            families: (0..shards.count())
                .map(|shard| Family::new(seed, Purpose::Events, u64::from(shard)))
                .collect(),
        })
    }

    /// The shards that the source is split into.
    #[must_use]
    pub fn shards(&self) -> Shards {
        self.shards
    }

    /// Changes when the events of any shard do. Rate, shape, limits and replicas do not change events.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The shard's event number `index`; `None` for a shard that does not exist.
    #[must_use]
    pub fn event(&self, shard: u16, index: u64) -> Option<Event> {
        let mut random = self.families.get(usize::from(shard))?.stream(index);
        let place = random.below(u64::from(self.shards.population(shard))) as u32;
        let user_id = self.shards.user(shard, place);
        let track_id = self.choices.choose(self.users.profile(user_id), random.next());
        let event_type = if random.chance(self.like_share) {
            EventType::Like
        } else {
            EventType::Streaming
        };
        let time = self
            .window
            .map(|(from, length)| from + random.below(length) as i64);
        Some(Event {
            user_id,
            track_id,
            event_type,
            time,
        })
    }
}

/// Of all that events are made from.
fn fingerprint(
    generator: &Generator,
    source: &MusicSource,
    shards: Shards,
    users: Users,
    rows: &[CatalogueRow],
) -> u64 {
    let MusicSource {
        users: _,
        catalogue: _,
        like_share,
        preferences,
    } = source;
    let mut fingerprint = Fingerprint::new();
    fingerprint.text(generator.topic.as_str());
    fingerprint.number(generator.seed);
    fingerprint.number(u64::from(shards.count()));
    users.fingerprint(&mut fingerprint);
    catalogue_row::fingerprint(rows, &mut fingerprint);
    fingerprint.real(*like_share);
    for (band, by_gender) in preferences {
        for (gender, genres) in by_gender {
            fingerprint.text(band);
            fingerprint.text(gender);
            for genre in genres {
                fingerprint.text(genre);
            }
        }
    }
    match generator.event_time {
        EventTime::Now => fingerprint.number(0),
        EventTime::Window { from, to } => {
            fingerprint.number(from.as_microsecond() as u64);
            fingerprint.number(to.as_microsecond() as u64);
        }
    }
    fingerprint.finish()
}

#[cfg(test)]
mod tests;
