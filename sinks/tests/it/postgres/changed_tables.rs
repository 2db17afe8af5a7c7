//! Tables, rights and sessions that others have a hand in.

use std::sync::Arc;

use crate::database::Database;
use crate::promises::{
    Home, advance, claim, definition, names, pipeline, play, play_rows, plays, prepared, rows, store,
};
use api::Write;
use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use runtime::secrets::Secrets;
use sinks::{Sink, SinkErrorKind, postgres};
use sqlx::Row;

#[tokio::test]
async fn several_processes_may_prepare_at_once() {
    let home = Database::new().await;
    let mut table = plays(Write::InsertOnce { key: names(&["id"]) });
    table.table.indexes = vec![names(&["name"])];
    let mut sinks = Vec::new();
    for _ in 0..8 {
        sinks.push(
            home.sink(
                "music",
                vec![
                    table.clone(),
                    definition("log", Write::Append, &[("id", DataType::Int32)]),
                ],
            )
            .await,
        );
    }
    let prepared: Vec<_> = sinks
        .into_iter()
        .map(|sink| tokio::spawn(async move { sink.prepare().await.unwrap().len() }))
        .collect();
    let mut done = Vec::new();
    for prepare in prepared {
        done.push(prepare.await.unwrap());
    }
    done.sort_unstable();
    // Three own tables, two of the pipeline, one index: by one of them.
    assert_eq!(done, [0, 0, 0, 0, 0, 0, 0, 6]);
}

#[tokio::test]
async fn refusals_name_what_would_do() {
    let home = Database::new().await;
    home.by_hand("CREATE TABLE plays (id integer, name character varying(5), amount double precision)")
        .await;
    let sink = home.sink("music", vec![plays(Write::Append)]).await;
    assert_eq!(
        sink.prepare().await.unwrap_err().to_string(),
        "table plays: column amount is double precision, the pipeline's SQL gives bigint: cast it in the SQL, or ALTER \
         TABLE \"public\".\"plays\" ALTER COLUMN \"amount\" TYPE bigint USING \"amount\"::bigint"
    );
    home.by_hand("ALTER TABLE plays ALTER amount TYPE bigint, ADD reason text NOT NULL")
        .await;
    assert_eq!(
        sink.prepare().await.unwrap_err().to_string(),
        "table plays: column reason must have a value, but the pipeline's SQL does not give it: select it in the SQL, \
         or ALTER TABLE \"public\".\"plays\" ALTER COLUMN \"reason\" DROP NOT NULL"
    );
    home.by_hand("ALTER TABLE plays ALTER reason SET DEFAULT 'none', ADD id2 serial PRIMARY KEY")
        .await;
    sink.prepare().await.unwrap();
    store(&sink, &[play_rows(&[play(1, "short", 1)])]).await;
    assert_eq!(
        rows(&sink, "SELECT id, name, amount, reason, id2 FROM plays").await,
        ["1|short|1|none|1"]
    );

    // A value that the user's own column cannot take is the row's fault.
    let lease = claim(&sink, 0).await.lease;
    let mut transaction = sink.begin(&lease).await.unwrap();
    let error = transaction
        .write(0, &[play_rows(&[play(1, "too long", 1)])])
        .await
        .unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Row, "{error}");
    assert!(
        error
            .to_string()
            .contains("value too long for type character varying(5) [22001]"),
        "{error}"
    );
}

/// A binary COPY would store eight bytes of an integer as a floating point number without a word.
#[tokio::test]
async fn a_column_that_changes_while_rows_are_written_is_noticed() {
    for (change, expected) in [
        (
            "ALTER TABLE plays ALTER amount TYPE double precision",
            "column amount has become double precision",
        ),
        ("ALTER TABLE plays ALTER amount TYPE integer", "run prepare again"),
        ("ALTER TABLE plays ALTER id TYPE bigint", "run prepare again"),
        ("ALTER TABLE plays DROP COLUMN amount", "run prepare again"),
        (
            "ALTER TABLE plays ADD reason text NOT NULL",
            "column reason must have a value",
        ),
        ("DROP TABLE plays", "run prepare again"),
    ] {
        let home = Database::new().await;
        let sink = prepared(&home, vec![plays(Write::Append)]).await;
        let lease = claim(&sink, 0).await.lease;
        let mut transaction = sink.begin(&lease).await.unwrap();
        transaction
            .write(0, &[play_rows(&[play(1, "a", 1)])])
            .await
            .unwrap();
        transaction.commit(&advance(None, 1)).await.unwrap();
        home.by_hand(&format!("DELETE FROM plays; {change}")).await;
        let mut transaction = sink.begin(&lease).await.unwrap();
        let error = match transaction.write(0, &[play_rows(&[play(1, "a", 1)])]).await {
            Err(error) => error,
            Ok(()) => transaction.commit(&advance(Some(1), 2)).await.unwrap_err(),
        };
        assert_eq!(error.kind, SinkErrorKind::Refused, "{change}: {error}");
        assert!(error.to_string().contains(expected), "{change}: {error}");
    }
}

/// What a user allowed to be broken until the commit must be said while the row can still be found.
#[tokio::test]
async fn deferred_constraints_are_checked_row_by_row() {
    let home = Database::new().await;
    let sink = prepared(&home, vec![plays(Write::Append)]).await;
    home.by_hand("ALTER TABLE plays ADD UNIQUE (id) DEFERRABLE INITIALLY DEFERRED")
        .await;
    let lease = claim(&sink, 0).await.lease;
    let mut transaction = sink.begin(&lease).await.unwrap();
    let twice = [play_rows(&[play(1, "a", 1), play(1, "b", 2)])];
    let error = transaction.write(0, &twice).await.unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Row, "{error}");
}

#[tokio::test]
async fn bad_values_are_their_rows_fault() {
    let home = Database::new().await;
    let fields = [("id", DataType::Int32), ("name", DataType::Utf8)];
    let sink = prepared(
        &home,
        vec![
            definition("log", Write::Append, &fields),
            definition(
                "named",
                Write::InsertOnce {
                    key: names(&["name"]),
                },
                &fields,
            ),
        ],
    )
    .await;
    home.by_hand("ALTER TABLE log ADD CHECK (id > 0)").await;
    let rows_of = |id: i32, name: &str| {
        let ids: ArrayRef = Arc::new(Int32Array::from(vec![id]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![name]));
        [RecordBatch::try_from_iter([("id", ids), ("name", texts)]).unwrap()]
    };
    let lease = claim(&sink, 0).await.lease;
    let mut transaction = sink.begin(&lease).await.unwrap();
    // Incompressible, so that it does not fit into an index page.
    let huge = (0..20_000_u32).fold(String::new(), |text, n| {
        format!("{text}{:x}", n.wrapping_mul(2_654_435_761))
    });
    for (table, bad, expected) in [
        (0, rows_of(1, "a\0b"), "22021"),
        (0, rows_of(0, "a"), "23514"),
        (1, rows_of(1, &huge), "54000"),
    ] {
        let error = transaction.write(table, &bad).await.unwrap_err();
        assert_eq!(error.kind, SinkErrorKind::Row, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        transaction.rollback_to_savepoint().await.unwrap();
    }
    transaction.write(0, &rows_of(1, "good")).await.unwrap();
    transaction.write(1, &rows_of(1, "good")).await.unwrap();
    transaction.commit(&advance(None, 1)).await.unwrap();
    assert_eq!(
        rows(&sink, "SELECT name FROM log UNION ALL SELECT name FROM named").await,
        ["good", "good"]
    );
}

/// Without the right to create tables, tables that are there are used.
#[tokio::test]
async fn a_user_without_the_right_to_create_tables_can_write() {
    let home = Database::new().await;
    prepared(&home, vec![plays(Write::Append)]).await;
    let role = format!("writer_{}", home.name);
    home.by_hand(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'secret'; REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
    ))
    .await;
    let user = role.clone();
    let secrets = Secrets::new(None, move |variable| {
        Some(if variable.ends_with("USERNAME") {
            user.clone()
        } else {
            "secret".to_owned()
        })
    });
    let open = async |tables| {
        let opened = postgres::Postgres::open(pipeline("music"), &home.settings(), tables, &secrets)
            .await
            .unwrap();
        Sink::Postgres(Arc::new(opened))
    };
    let sink = open(vec![plays(Write::Append)]).await;
    assert!(sink.prepare().await.unwrap().is_empty());
    store(&sink, &[play_rows(&[play(1, "a", 1)])]).await;
    let error = open(vec![definition(
        "other",
        Write::Append,
        &[("id", DataType::Int32)],
    )])
    .await
    .prepare()
    .await
    .unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Refused);
    assert!(
        error.to_string().contains("grant the right to the sink's user"),
        "{error}"
    );
}

/// No session keeps anything of the sink's that another client of a pooler could meet.
#[tokio::test]
async fn sessions_are_left_as_they_were_found() {
    let home = Database::new().await;
    let sink = prepared(&home, vec![plays(Write::InsertOnce { key: names(&["id"]) })]).await;
    store(&sink, &[play_rows(&[play(1, "a", 1)])]).await;
    assert_eq!(
        rows(&sink, "SELECT current_setting('application_name')").await,
        ["streampipeline music"]
    );
    let mut connection = home.connect().await;
    let states = sqlx::query(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'stream%' \
         AND state <> 'idle'",
    );
    assert_eq!(
        states.fetch_one(&mut connection).await.unwrap().get::<i64, _>(0),
        0
    );
}
