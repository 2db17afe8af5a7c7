//! What the tables hold if every record was counted once: read from the topic, without the product.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::topic::{Record, Topic};

/// Rows as text, sorted.
pub type Rows = Vec<Vec<String>>;

/// Of every table that [`EVENTS`](crate::pipeline::EVENTS) fills. `genres` by track, as the reference has them.
#[must_use]
pub fn tables(events: &Topic, genres: &BTreeMap<String, String>) -> BTreeMap<&'static str, Rows> {
    let mut rows: BTreeMap<&'static str, Rows> = BTreeMap::new();
    let (mut first, mut last, mut latest) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut hours: BTreeMap<(String, String), (u64, String, String)> = BTreeMap::new();
    for event in events.records.iter().filter_map(Event::read) {
        let Event {
            user,
            track,
            kind,
            at,
        } = event.clone();
        last.insert(user.clone(), vec![track.clone(), kind.clone()]);
        let row = vec![user.clone(), track.clone(), at.clone()];
        if kind == "like" {
            rows.entry("likes").or_default().push(row);
            let newest = latest.entry(user).or_insert_with(|| (at.clone(), track.clone()));
            if newest.0 <= at {
                *newest = (at, track);
            }
            continue;
        }
        rows.entry("plays").or_default().push(row);
        first
            .entry(user)
            .or_insert_with(|| vec![track.clone(), at.clone()]);
        let Some(genre) = genres.get(&track) else {
            continue;
        };
        let hour = format!("{}:00:00.000000", &at[..13]);
        let sums = hours
            .entry((genre.clone(), hour))
            .or_insert_with(|| (0, at.clone(), at.clone()));
        sums.0 += 1;
        sums.1 = sums.1.clone().min(at.clone());
        sums.2 = sums.2.clone().max(at);
    }
    let keyed = |(user, cells): (String, Vec<String>)| [vec![user], cells].concat();
    rows.insert("first_plays", first.into_iter().map(keyed).collect());
    rows.insert("last_events", last.into_iter().map(keyed).collect());
    let of_likes = |(user, (at, track)): (String, (String, String))| vec![user, track, at];
    rows.insert("latest_likes", latest.into_iter().map(of_likes).collect());
    let of_hour = |((genre, hour), (plays, first, last)): ((String, String), (u64, String, String))| {
        vec![genre, hour, plays.to_string(), plays.to_string(), first, last]
    };
    rows.insert("plays_by_genre_hour", hours.into_iter().map(of_hour).collect());
    for rows in rows.values_mut() {
        rows.sort_unstable();
    }
    rows
}

#[derive(Clone)]
struct Event {
    user: String,
    track: String,
    kind: String,
    at: String,
}

impl Event {
    /// `None` for what is no event: a dead letter.
    fn read(record: &Record) -> Option<Self> {
        let value: Value = serde_json::from_slice(&record.value.as_ref()?.0).ok()?;
        let number = |field: &str| Some(value.get(field)?.as_i64()?.to_string());
        let text = |field: &str| value.get(field)?.as_str();
        Some(Self {
            user: number("user_id")?,
            track: number("track_id")?,
            kind: text("event_type")?.to_owned(),
            at: instant(text("event_timestamp")?)?,
        })
    }
}

/// `2026-01-01T00:00:00.5Z` as the databases have it, to the microsecond.
fn instant(text: &str) -> Option<String> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
    Some(format!("{date} {seconds}.{fraction:0<6}"))
}
