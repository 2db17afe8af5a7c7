//! What the tables hold, as text that is the same of both databases.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::expected::Rows;
use crate::pipeline::{Place, Sink};
use crate::sqlite;

/// Tables that are compared with [`expected::tables`](crate::expected::tables), with their columns; `@` before an instant.
pub const TABLES: [(&str, &[&str]); 6] = [
    ("plays", &["user_id", "track_id", "@event_timestamp"]),
    ("likes", &["user_id", "track_id", "@event_timestamp"]),
    ("first_plays", &["user_id", "track_id", "@event_timestamp"]),
    ("last_events", &["user_id", "track_id", "event_type"]),
    ("latest_likes", &["user_id", "track_id", "@event_timestamp"]),
    (
        "plays_by_genre_hour",
        &["genre", "@hour", "plays", "weight", "@first_at", "@last_at"],
    ),
];

const MEASUREMENT: [&str; 13] = [
    "flag",
    "large",
    "single",
    "precise",
    "label",
    "seen",
    "seen_ms",
    "seen_s",
    "tags",
    "attributes",
    "place",
    "day",
    "exact",
];

/// The answer to a question, every cell as text.
pub async fn ask(place: &Place, sink: Sink, sql: &str) -> Rows {
    // One column of JSON has as many cells as there are.
    let rows: Vec<String> = match sink {
        Sink::Postgres => {
            let mut connection = PgConnection::connect(&place.url).await.unwrap();
            sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_all(&mut connection)
                .await
                .unwrap()
        }
        Sink::Sqlite => {
            let mut connection = sqlite::connect(&place.file(), false).await;
            sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_all(&mut connection)
                .await
                .unwrap()
        }
    };
    let mut rows: Rows = rows
        .iter()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect();
    rows.sort_unstable();
    rows
}

/// Columns of a table as one cell of JSON a row.
fn question(sink: Sink, table: &str, columns: &[&str], condition: &str) -> String {
    let cell = |column: &&str| match (sink, column.strip_prefix('@')) {
        (Sink::Postgres, Some(column)) => format!("to_char({column}, 'YYYY-MM-DD HH24:MI:SS.US')"),
        (Sink::Sqlite, Some(column)) => column.to_owned(),
        (_, None) => format!("coalesce(cast({column} AS text), 'NULL')"),
    };
    let cells: Vec<String> = columns.iter().map(cell).collect();
    let cells = cells.join(", ");
    match sink {
        Sink::Postgres => format!("SELECT json_build_array({cells})::text FROM {table} {condition}"),
        Sink::Sqlite => format!("SELECT json_array({cells}) FROM {table} {condition}"),
    }
}

/// What the tables hold of events.
pub async fn tables(place: &Place, sink: Sink) -> BTreeMap<&'static str, Rows> {
    let mut tables = BTreeMap::new();
    for (table, columns) in TABLES {
        tables.insert(table, ask(place, sink, &question(sink, table, columns, "")).await);
    }
    tables
}

/// The genre of each track.
pub async fn genres(place: &Place, sink: Sink) -> BTreeMap<String, String> {
    let rows = ask(place, sink, &question(sink, "tracks", &["track_id", "genre"], "")).await;
    rows.into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect()
}

/// Measurements whose id fulfils a condition, without their ids.
pub async fn measurements(place: &Place, sink: Sink, condition: &str) -> Rows {
    let condition = format!("WHERE {condition}");
    ask(
        place,
        sink,
        &question(sink, "measurements", &MEASUREMENT, &condition),
    )
    .await
}

/// Two sets of tables are the same; else the first difference is named.
pub fn assert_same(
    stored: &BTreeMap<&'static str, Rows>,
    expected: &BTreeMap<&'static str, Rows>,
    context: &str,
) {
    assert_eq!(
        stored.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>(),
        "{context}"
    );
    for (table, rows) in expected {
        let stored = &stored[table];
        let differ = stored.iter().zip(rows).find(|(one, other)| one != other);
        assert_eq!(differ, None, "{context}: {table}: stored and expected");
        assert_eq!(stored.len(), rows.len(), "{context}: rows of {table}");
    }
}
