//! A catalogue made from the seed, with the proportions of the data set whose shape it has: about as many
//! tracks in each genre, a fifth of the rows being tracks of other genres over again, a quarter as many artists
//! as tracks, popularity with a median of 35 and many zeros.

use rand_distr::{Beta, Distribution, LogNormal, Normal};

use super::catalogue_row::CatalogueRow;
use super::genres::GENRES;
use super::titles;
use crate::random::{Family, Purpose, Random};

const BASE_62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `tracks` rows over `genres` genres, fewer if there are fewer tracks than genres.
pub(crate) fn rows(seed: u64, tracks: u32, genres: u16) -> Vec<CatalogueRow> {
    let genres = usize::from(genres).min(GENRES.len()).min(tracks as usize).max(1);
    let first_row = |genre: usize| tracks as usize * genre / genres;
    let family = Family::new(seed, Purpose::Tracks, 0);
    let mut rows: Vec<CatalogueRow> = Vec::with_capacity(tracks as usize);
    for (genre, name) in GENRES.iter().take(genres).enumerate() {
        let begun = first_row(genre);
        let roster = Roster {
            seed,
            genre: genre as u64,
            artists: ((first_row(genre + 1) - begun) as u64 / 4).max(1),
        };
        for number in begun..first_row(genre + 1) {
            let mut random = family.stream(number as u64);
            // A track that is listed under an earlier genre as well.
            let again = random.chance(0.21);
            let row = match rows.get(random.below(begun as u64) as usize) {
                Some(earlier) if again && begun > 0 => CatalogueRow {
                    track_genre: (*name).to_owned(),
                    ..earlier.clone()
                },
                _ => row(name, &roster, &mut random),
            };
            rows.push(row);
        }
    }
    rows
}

/// The artists of a genre: each a pure function of its number, the lower ones with more tracks.
struct Roster {
    seed: u64,
    genre: u64,
    artists: u64,
}

impl Roster {
    fn some_artist(&self, random: &mut Random) -> u64 {
        let place = random.unit();
        ((place * place * self.artists as f64) as u64).min(self.artists - 1)
    }

    fn stream(&self, artist: u64) -> Random {
        Family::new(self.seed, Purpose::Artists, self.genre).stream(artist)
    }

    fn name(&self, artist: u64) -> String {
        titles::artist(&mut self.stream(artist))
    }

    /// The artist's album number `album`.
    fn album(&self, artist: u64, album: u64) -> String {
        let mut albums = self.stream(artist).next();
        albums = albums.wrapping_add(album + 1);
        titles::album(&mut Family::new(albums, Purpose::Artists, self.genre).stream(album))
    }
}

fn row(genre: &str, roster: &Roster, random: &mut Random) -> CatalogueRow {
    let main = roster.some_artist(random);
    let mut artists = vec![roster.name(main)];
    let guests = match random.below(100) {
        0..72 => 0,
        72..93 => 1,
        93..98 => 2,
        _ => 3,
    };
    for _ in 0..guests {
        let guest = roster.name(roster.some_artist(random));
        if !artists.contains(&guest) {
            artists.push(guest);
        }
    }
    let album = random.below(2 + main % 4);
    CatalogueRow {
        track_id: track_id(random),
        artists: Some(artists.join(";")),
        album_name: Some(roster.album(main, album)),
        track_name: Some(titles::track(random)),
        popularity: popularity(random),
        duration_ms: (log_normal(random, 12.27, 0.38) as i64).clamp(20_000, 3_600_000),
        explicit: random.chance(0.086),
        danceability: share(beta(random, 4.2, 3.2)),
        energy: share(beta(random, 2.3, 1.3)),
        key: random.below(12) as i64,
        loudness: round(normal(random, -8.3, 4.5).clamp(-49.0, 4.0), 1_000.0),
        mode: i64::from(random.chance(0.64)),
        speechiness: share(beta(random, 1.2, 13.0)),
        acousticness: share(beta(random, 0.45, 0.95)),
        // Two thirds have singing all through.
        instrumentalness: if random.chance(0.66) {
            0.0
        } else {
            share(beta(random, 0.4, 0.5))
        },
        liveness: share(beta(random, 1.5, 5.5)),
        valence: share(beta(random, 1.6, 1.8)),
        tempo: round(normal(random, 122.0, 30.0).clamp(40.0, 240.0), 1_000.0),
        time_signature: match random.below(100) {
            0 => 1,
            1..9 => 3,
            9..98 => 4,
            _ => 5,
        },
        track_genre: genre.to_owned(),
    }
}

fn track_id(random: &mut Random) -> String {
    (0..22)
        .map(|_| {
            let digit = random.below(62) as usize;
            char::from(BASE_62.get(digit).copied().unwrap_or(b'0'))
        })
        .collect()
}

/// 0 to 100: one in seven unknown to everyone (0), the others around 38.
fn popularity(random: &mut Random) -> i64 {
    if random.chance(0.14) {
        0
    } else {
        normal(random, 38.5, 18.0).round().clamp(0.0, 100.0) as i64
    }
}

fn share(value: f64) -> f64 {
    round(value.clamp(0.0, 1.0), 10_000.0)
}

fn round(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

// The parameters are constants that the distributions accept, so that none of the fall-backs is ever taken.

fn normal(random: &mut Random, mean: f64, deviation: f64) -> f64 {
    Normal::new(mean, deviation).map_or(mean, |distribution| distribution.sample(random))
}

fn log_normal(random: &mut Random, mean: f64, deviation: f64) -> f64 {
    LogNormal::new(mean, deviation).map_or(mean, |distribution| distribution.sample(random))
}

fn beta(random: &mut Random, alpha: f64, beta: f64) -> f64 {
    Beta::new(alpha, beta).map_or(0.5, |distribution| distribution.sample(random))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn distinct<'a, T: Ord + 'a>(values: impl Iterator<Item = T>) -> usize {
        values.collect::<BTreeSet<_>>().len()
    }

    /// The default catalogue has the data set's proportions.
    #[test]
    fn has_the_shape_of_the_data_set() {
        let rows = rows(42, 114_000, 114);
        assert_eq!(rows.len(), 114_000);

        let mut genres: BTreeMap<&str, usize> = BTreeMap::new();
        for row in &rows {
            *genres.entry(&row.track_genre).or_default() += 1;
        }
        assert_eq!(genres.len(), 114);
        assert!(genres.values().all(|count| *count == 1_000));

        let mut popularity: Vec<i64> = rows.iter().map(|row| row.popularity).collect();
        popularity.sort_unstable();
        assert!(
            (33..=37).contains(&popularity[57_000]),
            "median {}",
            popularity[57_000]
        );
        assert!(popularity[0] == 0 && popularity[113_999] <= 100 && popularity[113_999] > 80);

        let explicit = rows.iter().filter(|row| row.explicit).count() as f64 / 114_000.0;
        assert!((0.07..0.10).contains(&explicit), "{explicit} explicit");

        // The data set: 89,741 tracks, 31,437 artist texts, 46,589 albums, 73,608 track names.
        let tracks = distinct(rows.iter().map(|row| &row.track_id));
        assert!((85_000..95_000).contains(&tracks), "{tracks} tracks");
        let artists = distinct(
            rows.iter()
                .flat_map(|row| row.artists.as_deref().unwrap().split(';')),
        );
        assert!((22_000..32_000).contains(&artists), "{artists} artists");
        let albums = distinct(rows.iter().map(|row| &row.album_name));
        assert!((35_000..60_000).contains(&albums), "{albums} albums");
        let names = distinct(rows.iter().map(|row| &row.track_name));
        assert!((65_000..85_000).contains(&names), "{names} track names");
        let several = rows
            .iter()
            .filter(|row| row.artists.as_deref().unwrap().contains(';'))
            .count();
        assert!(
            (20_000..40_000).contains(&several),
            "{several} rows with several artists"
        );
    }

    #[test]
    fn values_are_in_their_ranges() {
        for row in rows(7, 5_000, 114) {
            assert!(
                row.track_id.len() == 22 && row.track_id.bytes().all(|byte| byte.is_ascii_alphanumeric())
            );
            for share in [
                row.danceability,
                row.energy,
                row.speechiness,
                row.acousticness,
                row.instrumentalness,
                row.liveness,
                row.valence,
            ] {
                assert!((0.0..=1.0).contains(&share));
            }
            assert!((0..=100).contains(&row.popularity));
            assert!((0..12).contains(&row.key));
            assert!((20_000..=3_600_000).contains(&row.duration_ms));
            assert!(
                row.artists
                    .is_some_and(|artists| !artists.is_empty() && !artists.contains(";;"))
            );
        }
    }

    #[test]
    fn same_seed_same_catalogue() {
        assert_eq!(rows(1, 500, 20), rows(1, 500, 20));
        assert_ne!(rows(1, 500, 20), rows(2, 500, 20));
    }

    #[test]
    fn few_tracks_have_few_genres() {
        let genres: Vec<String> = rows(1, 3, 114).into_iter().map(|row| row.track_genre).collect();
        assert_eq!(genres, ["pop", "rock", "jazz"]);
        assert_eq!(
            rows(1, 10, 2)
                .iter()
                .filter(|row| row.track_genre == "pop")
                .count(),
            5
        );
    }
}
