//! The `PostgreSQL` sink's promises, on the real server.

use std::sync::Arc;
use std::time::Duration;

use crate::sink_shared::database::{Database, open, secrets, settings};
use crate::sink_shared::{
    Home, advance, claim, definition, names, partition, pipeline, play, play_rows, plays, prepared, promises,
    rows, store,
};
use api::{MergeColumn, MergeFunction, PostgresSink, TlsMode, Write};
use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use runtime::secrets::Secrets;
use sqlx::{Connection, PgConnection, Row};
use testbed::{Cut, Postgres, Proxy, eventually};
use worker::sink::{Sink, SinkError, SinkErrorKind, postgres};

const SOON: Duration = Duration::from_secs(20);
/// Shorter than the limits by which the server itself ends a session that does nothing.
const BEFORE_ANY_LIMIT: Duration = Duration::from_secs(12);

promises! {
    Database::new();
    append_keeps_every_row,
    a_large_batch_is_stored_whole,
    insert_once_keeps_the_first,
    upsert_keeps_the_last,
    upsert_keeps_the_latest,
    upsert_without_values_keeps_one,
    merge_adds_up_and_compares,
    merge_adds_each_part_once,
    a_sum_that_overflows_is_the_rows_fault,
    partitions_merge_into_the_same_rows,
    a_bad_row_is_undone_alone,
    dead_letters_are_stored_once_with_their_bytes,
    many_dead_letters_are_stored,
    dead_letters_go_with_their_transaction,
    a_claim_finds_what_was_stored,
    an_older_lease_cannot_commit,
    a_batch_that_begins_elsewhere_cannot_commit,
    a_dropped_transaction_leaves_nothing,
    pipelines_do_not_disturb_each_other,
    preparing_again_does_nothing,
    a_new_column_is_added,
    what_would_change_stored_rows_is_refused,
    an_unprepared_table_is_refused,
    a_reference_is_loaded_when_it_changes,
    a_reference_that_cannot_be_loaded_stays_as_it_was,
    questions_are_answered_as_text,
    questions_cannot_change_anything,
}

// ---- a predecessor

/// A worker that is frozen holds row locks of a keyed table: the next owner ends its session and goes on.
#[tokio::test]
async fn a_claim_frees_the_locks_of_a_frozen_owner() {
    let home = Database::new().await;
    let write = Write::Merge {
        key: names(&["id"]),
        columns: vec![
            MergeColumn {
                name: "name".to_owned(),
                function: MergeFunction::Max,
            },
            MergeColumn {
                name: "amount".to_owned(),
                function: MergeFunction::Sum,
            },
        ],
    };
    let frozen = prepared(&home, vec![plays(write.clone())]).await;
    let old = claim(&frozen, 0).await.lease;
    let mut transaction = frozen.begin(&old).await.unwrap();
    transaction
        .write(0, &[play_rows(&[play(1, "old", 1)])])
        .await
        .unwrap();
    // Another partition of the same worker is not concerned.
    let neighbour = claim(&frozen, 1).await.lease;
    let mut untouched = frozen.begin(&neighbour).await.unwrap();
    untouched
        .write(0, &[play_rows(&[play(2, "neighbour", 1)])])
        .await
        .unwrap();

    let successor = home.sink("music", vec![plays(write)]).await;
    let new = claim(&successor, 0).await.lease;
    let mut writing = successor.begin(&new).await.unwrap();
    let unlocked = tokio::time::timeout(
        BEFORE_ANY_LIMIT,
        writing.write(0, &[play_rows(&[play(1, "new", 10)])]),
    )
    .await;
    unlocked.expect("the frozen owner's row locks are gone").unwrap();
    writing.commit(&advance(None, 1)).await.unwrap();
    untouched.commit(&advance(None, 1)).await.unwrap();

    // Thawed, the old owner learns it.
    let error = transaction.commit(&advance(None, 1)).await.unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Unavailable, "{error}");
    let again = frozen.begin(&old).await.unwrap();
    assert_eq!(
        again.commit(&advance(None, 1)).await.unwrap_err().kind,
        SinkErrorKind::Fenced
    );
    assert_eq!(
        rows(&successor, "SELECT * FROM plays ORDER BY id").await,
        ["1|new|10", "2|neighbour|1"]
    );
}

/// The same when it is frozen while sending rows: no limit of the server's for idle sessions ends that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_ends_a_copy_that_never_goes_on() {
    let home = Database::new().await;
    let key = names(&["id"]);
    let proxy = Proxy::start(format!("{}:{}", home.server.host(), home.server.port()))
        .await
        .unwrap();
    let frozen = home
        .sink_through(&proxy, vec![plays(Write::InsertOnce { key: key.clone() })])
        .await;
    frozen.prepare().await.unwrap();
    let old = claim(&frozen, 0).await.lease;
    let mut transaction = frozen.begin(&old).await.unwrap();
    transaction
        .write(0, &[play_rows(&[play(1, "old", 1)])])
        .await
        .unwrap();
    let many: Vec<_> = (0..500_000).map(|id| play(id, "frozen", 1)).collect();
    let stuck = tokio::spawn(async move { transaction.write(0, &[play_rows(&many)]).await });
    let mut watch = home.connect().await;
    let copying = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY%' \
                   AND state = 'active'";
    eventually(SOON, async || {
        let row = sqlx::query(copying).fetch_one(&mut watch).await.unwrap();
        row.get::<i64, _>(0) == 1
    })
    .await
    .unwrap();
    proxy.block_only(testbed::Direction::ToServer);

    let successor = home.sink("music", vec![plays(Write::InsertOnce { key })]).await;
    tokio::time::timeout(
        BEFORE_ANY_LIMIT,
        store(&successor, &[play_rows(&[play(1, "new", 10)])]),
    )
    .await
    .expect("the session of the frozen owner is ended");
    assert_eq!(rows(&successor, "SELECT * FROM plays").await, ["1|new|10"]);
    proxy.unblock();
    let error = stuck.await.unwrap().unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Unavailable, "{error}");
}

// ---- a connection that breaks

#[tokio::test]
async fn a_connection_cut_during_commit_leaves_the_outcome_open() {
    for (cut, stored) in [(Cut::BeforeForwarding, 0), (Cut::AfterForwarding, 1)] {
        let home = Database::new().await;
        let proxy = Proxy::start(format!("{}:{}", home.server.host(), home.server.port()))
            .await
            .unwrap();
        let sink = home.sink_through(&proxy, vec![plays(Write::Append)]).await;
        sink.prepare().await.unwrap();
        let lease = claim(&sink, 0).await.lease;
        let mut transaction = sink.begin(&lease).await.unwrap();
        transaction
            .write(0, &[play_rows(&[play(1, "a", 1)])])
            .await
            .unwrap();
        proxy.cut_when(cut, |bytes| bytes.windows(6).any(|window| window == b"COMMIT"));
        let error = transaction.commit(&advance(None, 1)).await.unwrap_err();
        assert_eq!(error.kind, SinkErrorKind::OutcomeUnknown, "{error}");
        assert_eq!(proxy.rule_cuts(), 1);
        let next = eventually(SOON, async || {
            let position = sink.position(&partition(0)).await.unwrap().unwrap();
            (position.next_offset == (stored == 1).then_some(1)).then_some(position.next_offset)
        });
        assert_eq!(next.await.unwrap(), (stored == 1).then_some(1));
        assert_eq!(rows(&sink, "SELECT * FROM plays").await.len(), stored);
    }
}

#[tokio::test]
async fn a_connection_cut_before_commit_is_an_outage() {
    let home = Database::new().await;
    let proxy = Proxy::start(format!("{}:{}", home.server.host(), home.server.port()))
        .await
        .unwrap();
    let sink = home.sink_through(&proxy, vec![plays(Write::Append)]).await;
    sink.prepare().await.unwrap();
    let lease = claim(&sink, 0).await.lease;
    let mut transaction = sink.begin(&lease).await.unwrap();
    proxy.cut();
    let error = transaction
        .write(0, &[play_rows(&[play(1, "a", 1)])])
        .await
        .unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Unavailable, "{error}");
    drop(transaction);
    store(&sink, &[play_rows(&[play(2, "b", 2)])]).await;
    assert_eq!(rows(&sink, "SELECT id FROM plays").await, ["2"]);
}

/// Idle connections that the server closed are not handed out.
#[tokio::test]
async fn a_restarted_server_is_found_again() {
    let mut server = Postgres::start().await.unwrap();
    let sink = open(
        &settings(&server, "postgres"),
        server.password(),
        vec![plays(Write::Append)],
    )
    .await
    .unwrap();
    sink.prepare().await.unwrap();
    let lease = claim(&sink, 0).await.lease;
    // Two connections are idle now.
    let (one, other) = (
        sink.begin(&lease).await.unwrap(),
        sink.begin(&claim(&sink, 1).await.lease).await.unwrap(),
    );
    one.commit(&advance(None, 1)).await.unwrap();
    other.commit(&advance(None, 1)).await.unwrap();

    server.stop().await.unwrap();
    let error = sink.begin(&lease).await.unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Unavailable, "{error}");
    let address = format!(
        "connecting to PostgreSQL at 127.0.0.1:{}/postgres: ",
        server.port()
    );
    assert!(
        error.to_string().starts_with(&address) && error.to_string().contains("refused"),
        "{error}"
    );
    assert_eq!(sink.ping().await.unwrap_err().kind, SinkErrorKind::Unavailable);

    server.start_again().await.unwrap();
    sink.ping().await.unwrap();
    sink.begin(&lease)
        .await
        .unwrap()
        .commit(&advance(Some(1), 2))
        .await
        .unwrap();
    server.restart().await.unwrap();
    sink.begin(&lease)
        .await
        .unwrap()
        .commit(&advance(Some(2), 3))
        .await
        .unwrap();
}

/// Connections stay, answers do not come: readiness must not wait for as long as a batch would.
#[tokio::test]
async fn a_server_that_does_not_answer_is_told_from_one_that_is_slow() {
    let mut server = Postgres::start().await.unwrap();
    let sink = open(&settings(&server, "postgres"), server.password(), vec![])
        .await
        .unwrap();
    sink.ping().await.unwrap();
    server.freeze().await.unwrap();
    let error = sink.ping().await.unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Unavailable, "{error}");
    assert!(error.to_string().ends_with("no answer within 5 s"), "{error}");
    server.thaw().unwrap();
    eventually(SOON, async || sink.ping().await).await.unwrap();
}

// ---- a server that refuses

async fn refusal(settings: &PostgresSink, password: &str) -> SinkError {
    open(settings, password, vec![])
        .await
        .unwrap()
        .ping()
        .await
        .unwrap_err()
}

#[tokio::test]
async fn a_wrong_address_password_or_database_says_what_would_do() {
    let home = Database::new().await;
    let password = home.server.password();
    let wrong = refusal(&home.settings(), "wrong").await;
    assert_eq!(wrong.kind, SinkErrorKind::Refused);
    assert!(
        wrong
            .to_string()
            .contains("check username and password in the sink's secret"),
        "{wrong}"
    );
    assert!(!format!("{wrong} {wrong:?}").contains(password));
    let absent = refusal(
        &PostgresSink {
            database: "nowhere".to_owned(),
            ..home.settings()
        },
        password,
    )
    .await;
    assert_eq!(absent.kind, SinkErrorKind::Refused);
    assert!(
        absent
            .to_string()
            .contains("create the database, or correct sink.postgres.database"),
        "{absent}"
    );
    let plain = refusal(
        &PostgresSink {
            tls: TlsMode::Require,
            ..home.settings()
        },
        password,
    )
    .await;
    assert_eq!(plain.kind, SinkErrorKind::Refused);
    assert!(plain.to_string().contains("sink.postgres.tls"), "{plain}");

    let settings = PostgresSink {
        schema: "nowhere".to_owned(),
        ..home.settings()
    };
    let error = open(&settings, password, vec![])
        .await
        .unwrap()
        .prepare()
        .await
        .unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Refused);
    assert!(
        error
            .to_string()
            .contains("create the schema, or correct sink.postgres.schema"),
        "{error}"
    );
    let nothing = Secrets::new(None, |_| None);
    let error = postgres::Postgres::open(pipeline("music"), &home.settings(), vec![], &nothing)
        .await
        .unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Refused);
    assert!(
        error.to_string().contains("STREAMPIPELINE_SECRET_DB_USERNAME"),
        "{error}"
    );
}

#[tokio::test]
async fn a_certificate_is_checked_when_it_is_to_be() {
    let server = Postgres::builder().tls(true).start().await.unwrap();
    let settings = |tls| PostgresSink {
        tls,
        host: "localhost".to_owned(),
        ..settings(&server, "postgres")
    };
    let ca = std::fs::read_to_string(server.certificates().ca()).unwrap();
    let password = server.password().to_owned();
    let with_ca = Secrets::new(None, move |variable| match variable {
        "STREAMPIPELINE_SECRET_DB_USERNAME" => Some("postgres".to_owned()),
        "STREAMPIPELINE_SECRET_DB_PASSWORD" => Some(password.clone()),
        "STREAMPIPELINE_SECRET_DB_CA_CRT" => Some(ca.clone()),
        _ => None,
    });
    let without_ca = secrets(server.password());
    for (tls, secrets, expected) in [
        (TlsMode::VerifyFull, &with_ca, true),
        (TlsMode::VerifyFull, &without_ca, false),
        (TlsMode::Require, &without_ca, true),
    ] {
        let sink = postgres::Postgres::open(pipeline("music"), &settings(tls), vec![], secrets)
            .await
            .unwrap();
        match sink.ping().await {
            Ok(()) => assert!(expected, "{tls:?}"),
            Err(error) => {
                assert!(!expected && error.kind == SinkErrorKind::Refused, "{error}");
                assert!(
                    error.to_string().contains("ca.crt in the sink's secret"),
                    "{error}"
                );
            }
        }
    }
}

/// As a standby is, and a server of which a cloud took the right to write because its disk is full.
#[tokio::test]
async fn a_read_only_server_is_an_outage() {
    let home = Database::new().await;
    let sink = prepared(&home, vec![plays(Write::Append)]).await;
    let lease = claim(&sink, 0).await.lease;
    home.by_hand(&format!(
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        home.name
    ))
    .await;
    let fresh = home.sink("music", vec![plays(Write::Append)]).await;
    let mut transaction = fresh.begin(&lease).await.unwrap();
    let error = transaction
        .write(0, &[play_rows(&[play(1, "a", 1)])])
        .await
        .unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Unavailable, "{error}");
    assert!(
        error.to_string().contains("writing goes on when it is not"),
        "{error}"
    );
    assert_eq!(fresh.positions().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_without_room_is_an_outage() {
    let mut server = Postgres::builder()
        .config("max_connections", "8")
        .fillable_disk()
        .start()
        .await
        .unwrap();
    let sink = open(
        &settings(&server, "postgres"),
        server.password(),
        vec![plays(Write::Append)],
    )
    .await
    .unwrap();
    sink.prepare().await.unwrap();
    let lease = claim(&sink, 0).await.lease;
    server.fill_disk().unwrap();
    let many: Vec<_> = (0..100_000)
        .map(|id| play(id, "a long text that needs much space", 1))
        .collect();
    let mut transaction = sink.begin(&lease).await.unwrap();
    let error = match transaction.write(0, &[play_rows(&many)]).await {
        Err(error) => error,
        Ok(()) => transaction.commit(&advance(None, 1)).await.unwrap_err(),
    };
    assert!(
        matches!(
            error.kind,
            SinkErrorKind::Unavailable | SinkErrorKind::OutcomeUnknown
        ),
        "{error}"
    );
    server.free_disk().unwrap();
    eventually(SOON, async || sink.ping().await).await.unwrap();
    store(&sink, &[play_rows(&[play(1, "a", 1)])]).await;
    assert_eq!(rows(&sink, "SELECT id FROM plays").await, ["1"]);

    let mut others = Vec::new();
    while let Ok(other) = PgConnection::connect(&server.url()).await {
        others.push(other);
    }
    let crowded = open(&settings(&server, "postgres"), server.password(), vec![])
        .await
        .unwrap();
    let error = crowded.positions().await.unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Unavailable, "{error}");
    assert!(
        error.to_string().contains("lower sink.postgres.maxConnections"),
        "{error}"
    );
    drop(others);
    eventually(SOON, async || crowded.positions().await)
        .await
        .unwrap();
}

// ---- tables that others change

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
