//! Which track a listener plays: by popularity among the tracks of the preferred genres.

use std::collections::HashMap;

use super::derived::Track;
use super::preferences::Preferences;
use super::users::{Band, Gender, Profile};
use crate::alias::AliasTable;

/// No track for some listener.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no track of the catalogue has a genre that listeners of age {band} and gender {gender} prefer ({}); \
     give them one under preferences, or a catalogue with more genres", preferred.join(", ")
)]
pub struct NoCandidate {
    pub band: &'static str,
    pub gender: &'static str,
    pub preferred: Vec<String>,
}

/// One table of candidates for each distinct set of preferred genres; the built-in preferences have nine.
#[derive(Debug, Clone)]
pub(crate) struct Choices {
    tables: Vec<AliasTable>,
    /// The table of each band and gender.
    table_of: [[u8; Gender::ALL.len()]; Band::ALL.len()],
}

impl Choices {
    /// `tracks` in the order of their ids.
    pub(crate) fn new(tracks: &[Track<'_>], preferences: &Preferences) -> Result<Self, NoCandidate> {
        let mut by_genre: HashMap<&str, Vec<(u32, u32)>> = HashMap::new();
        for (id, track) in (1..).zip(tracks) {
            let weight = track.row.popularity.clamp(0, 100) as u32;
            by_genre
                .entry(&track.row.track_genre)
                .or_default()
                .push((id, weight));
        }
        let mut choices = Self {
            tables: Vec::new(),
            table_of: [[0; Gender::ALL.len()]; Band::ALL.len()],
        };
        let mut known: HashMap<Vec<&str>, u8> = HashMap::new();
        for (band, tables) in Band::ALL.into_iter().zip(&mut choices.table_of) {
            for (gender, table) in Gender::ALL.into_iter().zip(tables) {
                let preferred = preferences.of(band, gender);
                let mut genres: Vec<&str> = preferred.iter().map(String::as_str).collect();
                genres.sort_unstable();
                genres.dedup();
                if let Some(number) = known.get(&genres) {
                    *table = *number;
                    continue;
                }
                let candidates: Vec<(u32, u32)> = genres
                    .iter()
                    .filter_map(|genre| by_genre.get(genre))
                    .flatten()
                    .copied()
                    .collect();
                let built = AliasTable::new(&candidates).ok_or_else(|| NoCandidate {
                    band: band.as_str(),
                    gender: gender.as_str(),
                    preferred: preferred.to_vec(),
                })?;
                *table = choices.tables.len() as u8;
                known.insert(genres, *table);
                choices.tables.push(built);
            }
        }
        Ok(choices)
    }

    /// The id of the track that 64 random bits choose for a listener.
    pub(crate) fn choose(&self, listener: Profile, bits: u64) -> u32 {
        // Bands and genders number the rows and columns, so that a table is always found.
        self.table_of
            .get(Band::of_age(listener.age) as usize)
            .and_then(|tables| tables.get(listener.gender as usize))
            .and_then(|table| self.tables.get(usize::from(*table)))
            .map_or(0, |table| table.choose(bits))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{derived, generated};
    use super::*;

    #[test]
    fn equal_preferences_share_a_table() {
        let rows = generated::rows(1, 2_000, 114);
        let preferences = Preferences::new(&BTreeMap::new()).unwrap();
        let choices = Choices::new(&derived::tracks(&rows), &preferences).unwrap();
        assert_eq!(choices.tables.len(), 9);
    }

    #[test]
    fn a_listener_without_candidates_is_named() {
        let rows = generated::rows(1, 10, 1);
        let preferences = Preferences::new(&BTreeMap::new()).unwrap();
        let error = Choices::new(&derived::tracks(&rows), &preferences).unwrap_err();
        assert_eq!((error.band, error.gender), ("20-29", "M"));
        assert!(
            error.to_string().contains("(hip-hop, electronic, house"),
            "{error}"
        );
    }
}
