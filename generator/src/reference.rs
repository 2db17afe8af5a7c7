//! The tables that belong to the events: users and the catalogue, whole and normalised.

use api::{Generator, MusicSource, Source};

use crate::fingerprint::Fingerprint;
use crate::music::MusicError;
use crate::music::catalogue;
use crate::music::catalogue_row::{self, CatalogueRow};
use crate::music::derived::{self, Numbered, Track};
use crate::music::users::{User, Users};

/// Rows of a chunk, at most.
const CHUNK: usize = 10_000;

/// What a column holds. Any value may be absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// 32-bit integers.
    Int,
    /// 64-bit integers.
    Long,
    /// 64-bit floating-point numbers.
    Double,
    Boolean,
    Text,
    /// Lists of 32-bit integers.
    IntList,
}

/// A column's name and type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnSchema {
    pub name: &'static str,
    pub column_type: ColumnType,
}

/// Rows of a reference table, by columns of equal length.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferenceTable {
    /// The name: `music.users`.
    pub name: &'static str,
    /// The columns, in the order of the schema.
    pub columns: Vec<ReferenceColumn>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ReferenceColumn {
    pub name: &'static str,
    /// A value for each row.
    pub values: ReferenceValues,
}

/// Values of one type.
#[derive(Debug, Clone, PartialEq)]
pub enum ReferenceValues {
    /// [`ColumnType::Int`].
    Int(Vec<Option<i32>>),
    /// [`ColumnType::Long`].
    Long(Vec<Option<i64>>),
    /// [`ColumnType::Double`].
    Double(Vec<Option<f64>>),
    /// [`ColumnType::Boolean`].
    Boolean(Vec<Option<bool>>),
    /// [`ColumnType::Text`].
    Text(Vec<Option<String>>),
    /// [`ColumnType::IntList`].
    IntList(Vec<Option<Vec<i32>>>),
}

impl ReferenceValues {
    /// The type of the values.
    #[must_use]
    pub fn column_type(&self) -> ColumnType {
        match self {
            Self::Int(_) => ColumnType::Int,
            Self::Long(_) => ColumnType::Long,
            Self::Double(_) => ColumnType::Double,
            Self::Boolean(_) => ColumnType::Boolean,
            Self::Text(_) => ColumnType::Text,
            Self::IntList(_) => ColumnType::IntList,
        }
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Int(values) => values.len(),
            Self::Long(values) => values.len(),
            Self::Double(values) => values.len(),
            Self::Boolean(values) => values.len(),
            Self::Text(values) => values.len(),
            Self::IntList(values) => values.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A column of values, one of each row.
macro_rules! column {
    ($name:literal, $variant:ident, $rows:expr, $value:expr) => {
        ReferenceColumn {
            name: $name,
            values: ReferenceValues::$variant($rows.iter().map($value).collect()),
        }
    };
}

const USERS: &str = "music.users";
const BULK: &str = "music.bulk_track_raw_data";
const ARTISTS: &str = "music.artists";
const ALBUMS: &str = "music.albums";
const TRACKS: &str = "music.tracks";

/// The names of all tables.
pub const NAMES: [&str; 5] = [USERS, BULK, ARTISTS, ALBUMS, TRACKS];

/// The columns of a table, without making any row; `None` for a name that is not one of [`NAMES`].
#[must_use]
pub fn schema(table: &str) -> Option<Vec<ColumnSchema>> {
    let columns = match table {
        USERS => user_columns(&[]),
        BULK => bulk_columns(&[]),
        ARTISTS => artist_columns(&[]),
        ALBUMS => album_columns(&[]),
        TRACKS => track_columns(&[]),
        _ => return None,
    };
    let schema = |column: &ReferenceColumn| ColumnSchema {
        name: column.name,
        column_type: column.values.column_type(),
    };
    Some(columns.iter().map(schema).collect())
}

/// The reference tables of a generator. Holds the catalogue, about 250 bytes a track; users are made as they
/// are asked for.
#[derive(Debug)]
pub struct References {
    users: Users,
    rows: Vec<CatalogueRow>,
}

impl References {
    /// Makes or reads the catalogue.
    pub fn load(generator: &Generator) -> Result<Self, MusicError> {
        let Source::Music(MusicSource { users, catalogue, .. }) = &generator.source;
        Ok(Self {
            users: Users::new(generator.seed, *users),
            rows: catalogue::load(catalogue, generator.seed)?,
        })
    }

    /// The rows of a table in chunks of at most 10,000, in the order of its first column (the raw catalogue: in
    /// the order of the file); `None` for a name that is not one of [`NAMES`].
    #[must_use]
    pub fn chunks(&self, table: &str) -> Option<Box<dyn Iterator<Item = ReferenceTable> + Send + '_>> {
        Some(match table {
            USERS => {
                let users = self.users;
                chunked(
                    USERS,
                    (1..=users.count()).map(move |id| (id, users.user(id))),
                    user_columns,
                )
            }
            BULK => chunked(BULK, self.rows.iter(), bulk_columns),
            ARTISTS => chunked(
                ARTISTS,
                derived::artists(&derived::tracks(&self.rows)),
                artist_columns,
            ),
            ALBUMS => chunked(
                ALBUMS,
                derived::albums(&derived::tracks(&self.rows)),
                album_columns,
            ),
            TRACKS => chunked(TRACKS, self.numbered_tracks(), track_columns),
            _ => return None,
        })
    }

    fn numbered_tracks(&self) -> impl Iterator<Item = NumberedTrack<'_>> {
        let tracks = derived::tracks(&self.rows);
        let artists = Numbered::new(derived::artists(&tracks));
        let albums = Numbered::new(derived::albums(&tracks));
        (1..).zip(tracks).map(move |(id, track)| NumberedTrack {
            id,
            artist_ids: track
                .artist_names()
                .filter_map(|name| artists.number(name))
                .collect(),
            album_id: albums.number(track.album),
            track,
        })
    }

    /// Changes when any row of any table does.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut fingerprint = Fingerprint::new();
        self.users.fingerprint(&mut fingerprint);
        catalogue_row::fingerprint(&self.rows, &mut fingerprint);
        fingerprint.finish()
    }
}

fn chunked<'a, R: 'a>(
    name: &'static str,
    rows: impl IntoIterator<Item = R, IntoIter: Send> + 'a,
    columns: fn(&[R]) -> Vec<ReferenceColumn>,
) -> Box<dyn Iterator<Item = ReferenceTable> + Send + 'a> {
    let mut rows = rows.into_iter();
    Box::new(std::iter::from_fn(move || {
        let chunk: Vec<R> = rows.by_ref().take(CHUNK).collect();
        (!chunk.is_empty()).then(|| ReferenceTable {
            name,
            columns: columns(&chunk),
        })
    }))
}

fn user_columns(rows: &[(u32, User)]) -> Vec<ReferenceColumn> {
    vec![
        column!("user_id", Int, rows, |(id, _)| Some(*id as i32)),
        column!("user_name", Text, rows, |(_, user)| Some(user.name.clone())),
        column!("gender", Text, rows, |(_, user)| Some(
            user.profile.gender.as_str().to_owned()
        )),
        column!("age", Int, rows, |(_, user)| Some(i32::from(user.profile.age))),
    ]
}

fn bulk_columns(rows: &[&CatalogueRow]) -> Vec<ReferenceColumn> {
    vec![
        column!("track_id", Text, rows, |row| Some(row.track_id.clone())),
        column!("artists", Text, rows, |row| row.artists.clone()),
        column!("album_name", Text, rows, |row| row.album_name.clone()),
        column!("track_name", Text, rows, |row| row.track_name.clone()),
        column!("popularity", Long, rows, |row| Some(row.popularity)),
        column!("duration_ms", Long, rows, |row| Some(row.duration_ms)),
        column!("explicit", Boolean, rows, |row| Some(row.explicit)),
        column!("danceability", Double, rows, |row| Some(row.danceability)),
        column!("energy", Double, rows, |row| Some(row.energy)),
        column!("key", Long, rows, |row| Some(row.key)),
        column!("loudness", Double, rows, |row| Some(row.loudness)),
        column!("mode", Long, rows, |row| Some(row.mode)),
        column!("speechiness", Double, rows, |row| Some(row.speechiness)),
        column!("acousticness", Double, rows, |row| Some(row.acousticness)),
        column!("instrumentalness", Double, rows, |row| Some(row.instrumentalness)),
        column!("liveness", Double, rows, |row| Some(row.liveness)),
        column!("valence", Double, rows, |row| Some(row.valence)),
        column!("tempo", Double, rows, |row| Some(row.tempo)),
        column!("time_signature", Long, rows, |row| Some(row.time_signature)),
        column!("track_genre", Text, rows, |row| Some(row.track_genre.clone())),
    ]
}

fn artist_columns(rows: &[(i32, &str)]) -> Vec<ReferenceColumn> {
    vec![
        column!("artist_id", Int, rows, |(id, _)| Some(*id)),
        column!("artist_name", Text, rows, |(_, name)| Some((*name).to_owned())),
    ]
}

fn album_columns(rows: &[(i32, &str)]) -> Vec<ReferenceColumn> {
    vec![
        column!("album_id", Int, rows, |(id, _)| Some(*id)),
        column!("album_name", Text, rows, |(_, name)| Some((*name).to_owned())),
    ]
}

/// A row of `music.tracks`.
struct NumberedTrack<'a> {
    id: i32,
    artist_ids: Vec<i32>,
    album_id: Option<i32>,
    track: Track<'a>,
}

fn track_columns(rows: &[NumberedTrack<'_>]) -> Vec<ReferenceColumn> {
    vec![
        column!("track_id", Int, rows, |row| Some(row.id)),
        column!("track_name", Text, rows, |row| Some(row.track.name.to_owned())),
        column!("artist_id_array", IntList, rows, |row| Some(
            row.artist_ids.clone()
        )),
        column!("album_id", Int, rows, |row| row.album_id),
        column!("genre", Text, rows, |row| Some(row.track.row.track_genre.clone())),
        column!("popularity", Long, rows, |row| Some(row.track.row.popularity)),
        column!("duration_ms", Long, rows, |row| Some(row.track.row.duration_ms)),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use api::CatalogueSource;

    use super::*;

    fn generator(users: u32, tracks: u32, seed: u64) -> Generator {
        Generator {
            source: Source::Music(MusicSource {
                users,
                catalogue: CatalogueSource::Generated { tracks, genres: 114 },
                like_share: 0.01,
                preferences: BTreeMap::new(),
            }),
            seed,
            ..crate::testing::generator()
        }
    }

    #[test]
    fn schemas_are_the_tables() {
        let text = |table: &str| {
            let columns: Vec<String> = schema(table)
                .unwrap()
                .iter()
                .map(|column| format!("{} {:?}", column.name, column.column_type))
                .collect();
            columns.join(", ")
        };
        assert_eq!(
            text("music.users"),
            "user_id Int, user_name Text, gender Text, age Int"
        );
        assert_eq!(text("music.artists"), "artist_id Int, artist_name Text");
        assert_eq!(text("music.albums"), "album_id Int, album_name Text");
        assert_eq!(
            text("music.tracks"),
            "track_id Int, track_name Text, artist_id_array IntList, album_id Int, genre Text, popularity Long, duration_ms Long"
        );
        let bulk = schema("music.bulk_track_raw_data").unwrap();
        assert_eq!(
            bulk.iter().map(|column| column.name).collect::<Vec<_>>(),
            catalogue_row::COLUMNS
        );
        assert_eq!(schema("music.listeners"), None);
    }

    #[test]
    fn tables_come_in_chunks_of_their_schema() {
        let references = References::load(&generator(25_000, 12_000, 42)).unwrap();
        for (name, rows) in [
            ("music.users", 25_000),
            ("music.bulk_track_raw_data", 12_000),
            ("music.tracks", 12_000),
        ] {
            let chunks: Vec<ReferenceTable> = references.chunks(name).unwrap().collect();
            let lengths: Vec<usize> = chunks.iter().map(|chunk| chunk.columns[0].values.len()).collect();
            assert_eq!(lengths.iter().sum::<usize>(), rows, "{name}");
            assert!(lengths.iter().all(|length| *length <= 10_000));
            for chunk in &chunks {
                assert_eq!(chunk.name, name);
                for (column, schema) in chunk.columns.iter().zip(schema(name).unwrap()) {
                    assert_eq!(
                        (column.name, column.values.column_type()),
                        (schema.name, schema.column_type)
                    );
                    assert_eq!(column.values.len(), chunk.columns[0].values.len());
                }
            }
        }
        assert!(references.chunks("music.listeners").is_none());
    }

    /// Ids run from 1 without gaps, and what tracks refer to is there.
    #[test]
    fn references_hold() {
        let references = References::load(&generator(10, 3_000, 42)).unwrap();
        let one = |name: &str| references.chunks(name).unwrap().next().unwrap();
        let ids = |name: &str| match &one(name).columns[0].values {
            ReferenceValues::Int(ids) => ids.iter().map(|id| id.unwrap()).collect::<Vec<i32>>(),
            other => panic!("{other:?}"),
        };
        for name in ["music.users", "music.artists", "music.albums", "music.tracks"] {
            let ids = ids(name);
            assert_eq!(ids, (1..=ids.len() as i32).collect::<Vec<_>>(), "{name}");
        }
        let tracks = one("music.tracks");
        let (ReferenceValues::IntList(artists), ReferenceValues::Int(albums)) =
            (&tracks.columns[2].values, &tracks.columns[3].values)
        else {
            panic!("{tracks:?}");
        };
        let last_artist = *ids("music.artists").last().unwrap();
        assert!(
            artists
                .iter()
                .flatten()
                .all(|ids| !ids.is_empty() && ids.iter().all(|id| (1..=last_artist).contains(id)))
        );
        let last_album = *ids("music.albums").last().unwrap();
        assert!(
            albums
                .iter()
                .all(|id| id.is_some_and(|id| (1..=last_album).contains(&id)))
        );
    }

    #[test]
    fn the_fingerprint_tells_contents_apart() {
        let fingerprint = |users, tracks, seed| {
            References::load(&generator(users, tracks, seed))
                .unwrap()
                .fingerprint()
        };
        assert_eq!(fingerprint(10, 100, 1), fingerprint(10, 100, 1));
        assert_ne!(fingerprint(10, 100, 1), fingerprint(11, 100, 1));
        assert_ne!(fingerprint(10, 100, 1), fingerprint(10, 101, 1));
        assert_ne!(fingerprint(10, 100, 1), fingerprint(10, 100, 2));
    }
}
