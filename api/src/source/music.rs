//! `spec.generator.music`: plays and likes of tracks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::field_type::{FieldType, TimestampFormat};
use crate::problem::Collector;
use crate::rule::RuleText;
use crate::union::Union;
use crate::values::narrow;

const PATH: &str = "spec.generator.music";

/// The tables that belong to the source.
pub(super) const TABLES: &[&str] = &[
    "music.users",
    "music.bulk_track_raw_data",
    "music.artists",
    "music.albums",
    "music.tracks",
];

/// Size of the catalogue if it is not given: that of the Spotify tracks data set.
const TRACKS: i64 = 114_000;
const GENRES: i64 = 114;

/// The fields of an event, each with the types that a topic may declare it as; the first is the best.
const FIELDS: [(&str, &[FieldType]); 4] = [
    ("user_id", &[FieldType::Int, FieldType::Long, FieldType::String]),
    ("track_id", &[FieldType::Int, FieldType::Long, FieldType::String]),
    (
        "event_timestamp",
        &[FieldType::Timestamp(TimestampFormat::Text), FieldType::String],
    ),
    ("event_type", &[FieldType::String]),
];

const CATALOGUES: Union = Union::of("catalogue", &["csv"]).or(", or remove catalogue to have one generated");
const AGE_BANDS: [&str; 6] = ["10-19", "20-29", "30-39", "40-49", "50-59", "60+"];
const GENDERS: [&str; 3] = ["M", "F", "X"];

const CATALOGUE_SIZE_UNUSED: RuleText = RuleText {
    problem: "tracks and genres are the size of a generated catalogue, but catalogue is set",
    remedy: "remove tracks and genres, or remove catalogue",
};
const EMPTY_GENRES: RuleText = RuleText {
    problem: "there are more genres than tracks",
    remedy: "raise tracks or lower genres",
};
const AGE_BAND: RuleText = RuleText {
    problem: "there is an unknown age band",
    remedy: "use 10-19, 20-29, 30-39, 40-49, 50-59 and 60+, in quotes",
};
const GENDER: RuleText = RuleText {
    problem: "there is an unknown gender",
    remedy: "use M, F and X",
};

/// Plays and likes. An event has `user_id` (int), `track_id` (int), `event_timestamp` (timestamp) and
/// `event_type` (`streaming` or `like`). The tables that belong to it are references `music.users`,
/// `music.bulk_track_raw_data`, `music.artists`, `music.albums` and `music.tracks`.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.catalogue) || !(has(self.tracks) || has(self.genres))").message(CATALOGUE_SIZE_UNUSED))]
#[x_kube(validation = Rule::new(
    "(has(self.genres) ? self.genres : 114) <= (has(self.tracks) ? self.tracks : 114000)"
).message(EMPTY_GENRES).field_path(".genres"))]
pub struct MusicSpec {
    /// Size of the population; user ids are 1 to this. Default 10000.
    #[serde(default = "ten_thousand")]
    #[schemars(range(min = 1, max = 50_000_000))]
    pub users: i64,
    /// Rows of the generated catalogue. Default 114000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5_000_000))]
    pub tracks: Option<i64>,
    /// Genres that the generated catalogue's tracks are spread over, at most 114. Default 114.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 114))]
    pub genres: Option<i64>,
    /// Tracks of your own. Absent: a catalogue is generated from the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<CatalogueSpec>,
    /// Share of events that are likes, from 0 to 1; the others are plays. Default 0.01.
    #[serde(default = "one_percent")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub like_share: f64,
    /// Preferred genres by age band and gender, in place of the built-in table's. A genre that the catalogue does
    /// not have is ignored. Example: `{"20-29": {F: [pop, k-pop], M: [hip-hop]}}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "preferences_schema")]
    #[x_kube(validation = Rule::new("self.all(band, band in ['10-19', '20-29', '30-39', '40-49', '50-59', '60+'])").message(AGE_BAND))]
    #[x_kube(validation = Rule::new("self.all(band, self[band].all(gender, gender in ['M', 'F', 'X']))").message(GENDER))]
    pub preferences: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

fn ten_thousand() -> i64 {
    10_000
}

fn one_percent() -> f64 {
    0.01
}

fn preferences_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 6,
        "additionalProperties": {
            "type": "object",
            "maxProperties": 3,
            "additionalProperties": {
                "type": "array",
                "minItems": 1,
                "maxItems": 114,
                "items": { "type": "string", "minLength": 1, "maxLength": 64 },
            },
        },
    })
}

/// Where tracks come from.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = CATALOGUES.rule())]
pub struct CatalogueSpec {
    /// A file in the format of the Spotify tracks data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<CatalogueCsvSpec>,
}

/// A CSV file with the 20 columns of the Spotify tracks data set, with or without its leading index column.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CatalogueCsvSpec {
    /// Path of the file, relative to the manifest's directory. Example: `data/tracks.csv`.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
}

impl MusicSpec {
    /// The path of the catalogue's file.
    pub(crate) fn paths_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let csv = self
            .catalogue
            .iter_mut()
            .filter_map(|catalogue| catalogue.csv.as_mut());
        csv.map(|csv| &mut csv.path)
    }
}

/// Parameters of the `music` source.
#[derive(Debug, Clone, PartialEq)]
pub struct MusicSource {
    /// Size of the population; user ids are 1..=users.
    pub users: u32,
    /// Where tracks come from.
    pub catalogue: CatalogueSource,
    /// Share of events that are likes, the others being plays; 0..=1.
    pub like_share: f64,
    /// Preferred genres by age band (`10-19` … `60+`) and gender (`M`, `F`, `X`) that replace the built-in
    /// table's entries.
    pub preferences: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

/// Where the track catalogue comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum CatalogueSource {
    /// Generated from the seed.
    Generated {
        /// Rows of the catalogue.
        tracks: u32,
        /// Number of genres that they are spread over, at most 114.
        genres: u16,
    },
    /// A CSV file with the 20 columns of the Spotify tracks data set, with or without its index column.
    Csv(PathBuf),
}

/// The topic has to declare what the source writes, so that a misspelt field is not a column of NULLs.
pub(crate) fn check_fields(declared: &BTreeMap<String, String>, path: &str, problems: &mut Collector) {
    for (name, types) in FIELDS {
        let allowed = types
            .iter()
            .map(FieldType::to_string)
            .collect::<Vec<_>>()
            .join(" or ");
        let Some(text) = declared.get(name) else {
            problems.add(
                format!("{path}.{name}"),
                "generator.music writes this field, but the topic does not have it",
                format!("declare it as {allowed}"),
            );
            continue;
        };
        // A type that is not understood is reported as such.
        if FieldType::parse(text).is_ok_and(|data_type| !types.contains(&data_type)) {
            problems.add(
                format!("{path}.{name}"),
                format!("generator.music writes something else than {text}"),
                format!("declare it as {allowed}"),
            );
        }
    }
}

pub(crate) fn music(spec: &MusicSpec, problems: &mut Collector) -> MusicSource {
    for (band, genders) in &spec.preferences {
        let path = format!("{PATH}.preferences.{band}");
        if !AGE_BANDS.contains(&band.as_str()) {
            problems.broken(path, AGE_BAND);
        } else if let Some(gender) = genders.keys().find(|gender| !GENDERS.contains(&gender.as_str())) {
            problems.broken(format!("{path}.{gender}"), GENDER);
        }
    }
    MusicSource {
        users: narrow(spec.users),
        catalogue: catalogue(spec, problems),
        like_share: spec.like_share,
        preferences: spec.preferences.clone(),
    }
}

fn catalogue(spec: &MusicSpec, problems: &mut Collector) -> CatalogueSource {
    let (tracks, genres) = (spec.tracks.unwrap_or(TRACKS), spec.genres.unwrap_or(GENRES));
    let Some(catalogue) = &spec.catalogue else {
        if genres > tracks {
            problems.broken(format!("{PATH}.genres"), EMPTY_GENRES);
        }
        return CatalogueSource::Generated {
            tracks: narrow(tracks),
            genres: narrow(genres),
        };
    };
    if spec.tracks.is_some() || spec.genres.is_some() {
        problems.broken(PATH, CATALOGUE_SIZE_UNUSED);
    }
    CATALOGUES.check(catalogue, &format!("{PATH}.catalogue"), problems);
    CatalogueSource::Csv(
        catalogue
            .csv
            .as_ref()
            .map(|csv| PathBuf::from(&csv.path))
            .unwrap_or_default(),
    )
}
