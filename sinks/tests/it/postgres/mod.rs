//! The `PostgreSQL` sink's promises, on the real server.

mod changed_tables;
mod refusals;

use std::time::Duration;

use crate::database::{Database, open, settings};
use crate::promises::{
    Home, advance, claim, names, partition, play, play_rows, plays, prepared, promises, rows, store,
};
use api::{MergeColumn, MergeFunction, Write};
use sinks::SinkErrorKind;
use sqlx::Row;
use testbed::{Cut, Postgres, Proxy, eventually};

pub(crate) const SOON: Duration = Duration::from_secs(20);
/// Shorter than the limits by which the server itself ends a session that does nothing.
const BEFORE_ANY_LIMIT: Duration = Duration::from_secs(12);

promises!(Database::new());

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
