//! The normalised tables behind the catalogue: artists, albums and tracks with surrogate numbers.
//!
//! Numbers begin with 1 and follow the byte order of the names, which does not depend on any locale; equally
//! named tracks follow the order of the catalogue. Rows without artists, album or name take no part.

use std::collections::{BTreeSet, HashMap};

use super::catalogue_row::CatalogueRow;

/// A row of `music.tracks`; its `track_id` is its place plus 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Track<'a> {
    pub(crate) row: &'a CatalogueRow,
    pub(crate) name: &'a str,
    artists: &'a str,
    pub(crate) album: &'a str,
}

/// All tracks in the order of their ids.
pub(crate) fn tracks(rows: &[CatalogueRow]) -> Vec<Track<'_>> {
    let mut tracks: Vec<Track<'_>> = rows
        .iter()
        .filter_map(|row| {
            Some(Track {
                row,
                name: row.track_name.as_deref()?,
                artists: row.artists.as_deref()?,
                album: row.album_name.as_deref()?,
            })
        })
        .collect();
    // Stable: equal names stay in the catalogue's order.
    tracks.sort_by_key(|track| track.name);
    tracks
}

impl<'a> Track<'a> {
    /// The artists, in the order of the catalogue's text.
    pub(crate) fn artist_names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.artists.split(';').filter(|name| !name.is_empty())
    }
}

/// Distinct names in order, with their numbers.
pub(crate) type Names<'a> = Vec<(i32, &'a str)>;

/// `music.artists`.
pub(crate) fn artists<'a>(tracks: &[Track<'a>]) -> Names<'a> {
    number(tracks.iter().flat_map(Track::artist_names))
}

/// `music.albums`.
pub(crate) fn albums<'a>(tracks: &[Track<'a>]) -> Names<'a> {
    number(tracks.iter().map(|track| track.album))
}

fn number<'a>(names: impl Iterator<Item = &'a str>) -> Names<'a> {
    (1..).zip(names.collect::<BTreeSet<_>>()).collect()
}

#[derive(Debug)]
pub(crate) struct Numbered<'a>(HashMap<&'a str, i32>);

impl<'a> Numbered<'a> {
    pub(crate) fn new(names: Names<'a>) -> Self {
        Self(names.into_iter().map(|(number, name)| (name, number)).collect())
    }

    pub(crate) fn number(&self, name: &str) -> Option<i32> {
        self.0.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::generated;
    use super::*;

    fn row(artists: Option<&str>, album: Option<&str>, name: Option<&str>, genre: &str) -> CatalogueRow {
        CatalogueRow {
            artists: artists.map(str::to_owned),
            album_name: album.map(str::to_owned),
            track_name: name.map(str::to_owned),
            track_genre: genre.to_owned(),
            ..generated::rows(1, 1, 1).remove(0)
        }
    }

    #[test]
    fn tables_are_normalised() {
        let rows = [
            row(Some("Zed;Amy"), Some("Last"), Some("Song"), "pop"),
            row(Some("Amy"), Some("First"), Some("Air"), "pop"),
            row(Some("Zed;Amy"), Some("Last"), Some("Song"), "rock"),
            row(None, Some("None"), Some("Nameless"), "pop"),
            row(Some("Nobody"), None, Some("Nameless"), "pop"),
            row(Some("Nobody"), Some("None"), None, "pop"),
        ];
        let tracks = tracks(&rows);
        let artists = artists(&tracks);
        let albums = albums(&tracks);
        assert_eq!(artists, [(1, "Amy"), (2, "Zed")]);
        assert_eq!(albums, [(1, "First"), (2, "Last")]);
        let names: Vec<_> = tracks
            .iter()
            .map(|track| (track.name, track.row.track_genre.as_str()))
            .collect();
        assert_eq!(names, [("Air", "pop"), ("Song", "pop"), ("Song", "rock")]);
        assert_eq!(tracks[1].artist_names().collect::<Vec<_>>(), ["Zed", "Amy"]);
        assert_eq!(Numbered::new(albums).number("Last"), Some(2));
    }
}
