//! A row of the catalogue, in the shape of the Spotify tracks data set.

use std::io;
use std::path::PathBuf;

use crate::fingerprint::Fingerprint;

/// The 20 columns, in the order of the data set and of `music.bulk_track_raw_data`.
pub(crate) const COLUMNS: [&str; 20] = [
    "track_id",
    "artists",
    "album_name",
    "track_name",
    "popularity",
    "duration_ms",
    "explicit",
    "danceability",
    "energy",
    "key",
    "loudness",
    "mode",
    "speechiness",
    "acousticness",
    "instrumentalness",
    "liveness",
    "valence",
    "tempo",
    "time_signature",
    "track_genre",
];

/// One track under one genre; a track that occurs under several genres has several rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CatalogueRow {
    /// 22 characters of base 62. Not the events' `track_id`, which is the row's number in `music.tracks`.
    pub(crate) track_id: String,
    /// One or several names, joined with `;`.
    pub(crate) artists: Option<String>,
    pub(crate) album_name: Option<String>,
    pub(crate) track_name: Option<String>,
    /// 0 to 100.
    pub(crate) popularity: i64,
    /// Milliseconds.
    pub(crate) duration_ms: i64,
    pub(crate) explicit: bool,
    pub(crate) danceability: f64,
    pub(crate) energy: f64,
    /// Pitch class: 0 is C, 11 is B, -1 unknown.
    pub(crate) key: i64,
    /// Decibels, mostly negative.
    pub(crate) loudness: f64,
    /// 1 major, 0 minor.
    pub(crate) mode: i64,
    pub(crate) speechiness: f64,
    pub(crate) acousticness: f64,
    pub(crate) instrumentalness: f64,
    pub(crate) liveness: f64,
    pub(crate) valence: f64,
    /// Beats a minute.
    pub(crate) tempo: f64,
    /// Beats a bar.
    pub(crate) time_signature: i64,
    pub(crate) track_genre: String,
}

/// Why a catalogue cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The file cannot be opened.
    #[error("catalogue {} cannot be opened", path.display())]
    Open {
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The header lacks a column.
    #[error("catalogue {}: the header has no column {column}; it must have the 20 columns {}", path.display(), COLUMNS.join(", "))]
    MissingColumn {
        path: PathBuf,
        /// The first column that is missing.
        column: &'static str,
    },
    /// A line that is no CSV record with as many fields as the header.
    #[error("catalogue {}, line {line}: {problem}", path.display())]
    Line {
        path: PathBuf,
        /// Counted from 1, the header included.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// A field that does not hold what its column is for.
    #[error("catalogue {}, line {line}, column {column}: {value:?} is not {expected}", path.display())]
    Value {
        path: PathBuf,
        /// Counted from 1, the header included: the line on which the record begins.
        line: u64,
        column: &'static str,
        /// The field, broken UTF-8 replaced.
        value: String,
        /// What it should be: "a whole number".
        expected: &'static str,
    },
    /// No track has artists, album and name.
    #[error("the catalogue has no track with artists, album and name")]
    Empty,
}

/// The content of a catalogue in one number.
pub(crate) fn fingerprint(rows: &[CatalogueRow], fingerprint: &mut Fingerprint) {
    fingerprint.number(rows.len() as u64);
    for row in rows {
        // Destructured, so that a new column is not forgotten.
        let CatalogueRow {
            track_id,
            artists,
            album_name,
            track_name,
            popularity,
            duration_ms,
            explicit,
            danceability,
            energy,
            key,
            loudness,
            mode,
            speechiness,
            acousticness,
            instrumentalness,
            liveness,
            valence,
            tempo,
            time_signature,
            track_genre,
        } = row;
        for name in [artists, album_name, track_name] {
            // An absent name is the same as an empty one, in the file and here.
            fingerprint.text(name.as_deref().unwrap_or_default());
        }
        fingerprint.text(track_id);
        fingerprint.text(track_genre);
        for whole in [
            popularity,
            duration_ms,
            key,
            mode,
            time_signature,
            &i64::from(*explicit),
        ] {
            fingerprint.number(*whole as u64);
        }
        for real in [
            danceability,
            energy,
            loudness,
            speechiness,
            acousticness,
            instrumentalness,
            liveness,
            valence,
            tempo,
        ] {
            fingerprint.real(*real);
        }
    }
}
