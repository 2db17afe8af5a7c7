//! `spec.generator.music`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::problem::Report;
use super::values::narrow;
use crate::crd::{
    AGE_BAND, AGE_BANDS, CATALOGUE_SIZE_UNUSED, EMPTY_GENRES, GENDER, GENDERS, MusicSpec, ONE_CATALOGUE,
};
use crate::{CatalogueSource, FieldType, MusicSource, TimestampFormat};

const PATH: &str = "spec.generator.music";
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

/// The topic has to declare what the source writes, so that a misspelt field is not a column of NULLs.
pub(super) fn check_fields(declared: &BTreeMap<String, String>, path: &str, report: &mut Report) {
    for (name, types) in FIELDS {
        let allowed = types
            .iter()
            .map(FieldType::to_string)
            .collect::<Vec<_>>()
            .join(" or ");
        let Some(text) = declared.get(name) else {
            report.add(
                format!("{path}.{name}"),
                "generator.music writes this field, but the topic does not have it",
                format!("declare it as {allowed}"),
            );
            continue;
        };
        // A type that is not understood is reported as such.
        if FieldType::parse(text).is_ok_and(|data_type| !types.contains(&data_type)) {
            report.add(
                format!("{path}.{name}"),
                format!("generator.music writes something else than {text}"),
                format!("declare it as {allowed}"),
            );
        }
    }
}

pub(super) fn music(spec: &MusicSpec, report: &mut Report) -> MusicSource {
    for (band, genders) in &spec.preferences {
        let path = format!("{PATH}.preferences.{band}");
        if !AGE_BANDS.contains(&band.as_str()) {
            report.broken(path, AGE_BAND);
        } else if let Some(gender) = genders.keys().find(|gender| !GENDERS.contains(&gender.as_str())) {
            report.broken(format!("{path}.{gender}"), GENDER);
        }
    }
    MusicSource {
        users: narrow(spec.users),
        catalogue: catalogue(spec, report),
        like_share: spec.like_share,
        preferences: spec.preferences.clone(),
    }
}

fn catalogue(spec: &MusicSpec, report: &mut Report) -> CatalogueSource {
    let (tracks, genres) = (spec.tracks.unwrap_or(TRACKS), spec.genres.unwrap_or(GENRES));
    let Some(catalogue) = &spec.catalogue else {
        if genres > tracks {
            report.broken(format!("{PATH}.genres"), EMPTY_GENRES);
        }
        return CatalogueSource::Generated {
            tracks: narrow(tracks),
            genres: narrow(genres),
        };
    };
    if spec.tracks.is_some() || spec.genres.is_some() {
        report.broken(PATH, CATALOGUE_SIZE_UNUSED);
    }
    if catalogue.csv.is_none() {
        report.broken(format!("{PATH}.catalogue"), ONE_CATALOGUE);
    }
    CatalogueSource::Csv(
        catalogue
            .csv
            .as_ref()
            .map(|csv| PathBuf::from(&csv.path))
            .unwrap_or_default(),
    )
}
