//! Which genres a listener prefers, by age band and gender.

use std::collections::BTreeMap;

use super::users::{Band, Gender};

/// Preferred genres of every band and gender; those that the catalogue does not have are ignored later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Preferences {
    genres: BTreeMap<(Band, Gender), Vec<String>>,
}

/// A band or gender in the manifest that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreferenceError {
    /// Not one of the six bands.
    #[error("preferences: {0:?} is no age band; the bands are 10-19, 20-29, 30-39, 40-49, 50-59 and 60+")]
    Band(String),
    /// Not one of the three genders.
    #[error("preferences.{band}: {gender:?} is no gender; the genders are M, F and X")]
    Gender {
        /// The band that it stands under.
        band: String,
        /// The gender as written.
        gender: String,
    },
}

impl Preferences {
    /// The built-in table with the manifest's entries in place of its own.
    pub(crate) fn new(
        replaced: &BTreeMap<String, BTreeMap<String, Vec<String>>>,
    ) -> Result<Self, PreferenceError> {
        let mut genres = BTreeMap::new();
        for band in Band::ALL {
            for gender in Gender::ALL {
                let built_in = built_in(band, gender).iter().map(ToString::to_string).collect();
                genres.insert((band, gender), built_in);
            }
        }
        for (band_name, by_gender) in replaced {
            let band = Band::parse(band_name).ok_or_else(|| PreferenceError::Band(band_name.clone()))?;
            for (gender_name, list) in by_gender {
                let gender = Gender::parse(gender_name).ok_or_else(|| PreferenceError::Gender {
                    band: band_name.clone(),
                    gender: gender_name.clone(),
                })?;
                genres.insert((band, gender), list.clone());
            }
        }
        Ok(Self { genres })
    }

    pub(crate) fn of(&self, band: Band, gender: Gender) -> &[String] {
        self.genres.get(&(band, gender)).map_or(&[], Vec::as_slice)
    }
}

/// Listeners of 40 and over prefer the same whatever their gender; of the younger ones, X as F.
#[rustfmt::skip]
fn built_in(band: Band, gender: Gender) -> [&'static str; 10] {
    match (band, gender) {
        (Band::Teens, Gender::M) =>
            ["hip-hop", "pop", "edm", "electronic", "rock", "punk", "dubstep", "anime", "electro", "alternative"],
        (Band::Teens, _) =>
            ["pop", "k-pop", "dance", "hip-hop", "j-pop", "anime", "indie-pop", "edm", "electro", "party"],
        (Band::Twenties, Gender::M) =>
            ["hip-hop", "electronic", "house", "indie", "rock", "edm", "alternative", "punk-rock", "garage", "dancehall"],
        (Band::Twenties, _) =>
            ["pop", "indie-pop", "dance", "r-n-b", "house", "k-pop", "latin", "alternative", "singer-songwriter", "party"],
        (Band::Thirties, Gender::M) =>
            ["rock", "electronic", "indie", "hip-hop", "house", "punk-rock", "ska", "reggae", "psych-rock", "funk"],
        (Band::Thirties, _) =>
            ["pop", "indie", "latin", "r-n-b", "soul", "house", "acoustic", "singer-songwriter", "disco", "tango"],
        (Band::Forties, _) =>
            ["rock", "soul", "funk", "disco", "jazz", "blues", "acoustic", "latin", "reggae", "show-tunes"],
        (Band::Fifties, _) =>
            ["rock", "classic-rock", "gospel", "jazz", "blues", "folk", "country", "rock-n-roll", "soul", "psych-rock"],
        (Band::Sixties, _) =>
            ["classical", "oldies", "jazz", "piano", "opera", "country", "bluegrass", "folk", "gospel", "rock-n-roll"],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::genres::GENRES;
    use super::*;

    /// The shape of the table that dashboards of the replaced system know: 44 genres in all, F the same as X,
    /// M different in the three youngest bands only.
    #[test]
    fn built_in_table_has_its_shape() {
        let mut all = BTreeSet::new();
        for band in Band::ALL {
            for gender in Gender::ALL {
                let genres: BTreeSet<_> = built_in(band, gender).into_iter().collect();
                assert_eq!(genres.len(), 10, "{band:?} {gender:?}");
                all.extend(genres);
            }
            assert_eq!(built_in(band, Gender::F), built_in(band, Gender::X));
            let differs = built_in(band, Gender::F) != built_in(band, Gender::M);
            assert_eq!(
                differs,
                matches!(band, Band::Teens | Band::Twenties | Band::Thirties)
            );
        }
        assert_eq!(all.len(), 44);
        let unknown: Vec<_> = all.into_iter().filter(|genre| !GENRES.contains(genre)).collect();
        assert_eq!(unknown, ["classic-rock", "oldies"]);
    }

    /// Three genres are enough for everyone, so small catalogues work with the built-in table.
    #[test]
    fn everyone_likes_one_of_the_first_three() {
        for band in Band::ALL {
            for gender in Gender::ALL {
                assert!(
                    built_in(band, gender)
                        .iter()
                        .any(|genre| GENRES[..3].contains(genre))
                );
            }
        }
    }

    #[test]
    fn entries_are_replaced_one_by_one() {
        let replaced = BTreeMap::from([(
            "60+".to_owned(),
            BTreeMap::from([("M".to_owned(), vec!["techno".to_owned()])]),
        )]);
        let preferences = Preferences::new(&replaced).unwrap();
        assert_eq!(preferences.of(Band::Sixties, Gender::M), ["techno"]);
        assert_eq!(preferences.of(Band::Sixties, Gender::F).len(), 10);
    }

    #[test]
    fn unknown_keys_are_refused() {
        let entry = |band: &str, gender: &str| {
            BTreeMap::from([(band.to_owned(), BTreeMap::from([(gender.to_owned(), Vec::new())]))])
        };
        let band = Preferences::new(&entry("0-9", "M")).unwrap_err().to_string();
        assert!(band.contains("\"0-9\" is no age band"), "{band}");
        let gender = Preferences::new(&entry("60+", "Q")).unwrap_err().to_string();
        assert!(gender.contains("preferences.60+: \"Q\" is no gender"), "{gender}");
    }
}
