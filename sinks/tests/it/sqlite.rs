//! The `SQLite` sink's promises, on real files.

use std::path::PathBuf;
use std::sync::Arc;

use crate::promises::{
    Home, advance, claim, partition, pipeline, play, play_rows, plays, prepared, promises, rows, store,
};
use api::{SqliteSink, Write};
use sinks::{Sink, SinkErrorKind, TableDefinition, sqlite};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

pub(crate) struct File {
    directory: tempfile::TempDir,
}

impl File {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("music.db")
    }

    pub(crate) async fn connect(&self) -> SqliteConnection {
        let url = format!("sqlite://{}?mode=rwc", self.path().display());
        SqliteConnection::connect(&url).await.unwrap()
    }
}

impl Home for File {
    async fn sink(&self, name: &str, tables: Vec<TableDefinition>) -> Sink {
        let settings = SqliteSink { path: self.path() };
        Sink::Sqlite(Arc::new(
            sqlite::Sqlite::open(pipeline(name), &settings, tables)
                .await
                .unwrap(),
        ))
    }

    async fn by_hand(&self, sql: &str) {
        let mut connection = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }
}

promises!(std::future::ready(File::new()));

/// Reports go on while a batch is being written, and see nothing of it.
#[tokio::test]
async fn a_question_does_not_wait_for_a_batch() {
    let file = File::new();
    let sink = prepared(&file, vec![plays(Write::Append)]).await;
    let lease = claim(&sink, 0).await.lease;
    let mut transaction = sink.begin(&lease).await.unwrap();
    transaction
        .write(0, &[play_rows(&[play(1, "a", 1)])])
        .await
        .unwrap();
    assert_eq!(rows(&sink, "SELECT count(*) FROM plays").await, ["0"]);
    assert_eq!(sink.positions().await.unwrap().len(), 1);
    transaction.commit(&advance(None, 1)).await.unwrap();
    assert_eq!(rows(&sink, "SELECT count(*) FROM plays").await, ["1"]);
}

/// Two processes may have the file open: both prepare it and both write.
#[tokio::test]
async fn several_sinks_share_a_file() {
    let file = File::new();
    let sinks = [
        file.sink("music", vec![plays(Write::Append)]).await,
        file.sink("music", vec![plays(Write::Append)]).await,
    ];
    let [one, other] = &sinks;
    let (first, second) = tokio::join!(one.prepare(), other.prepare());
    let done = [first.unwrap().len(), second.unwrap().len()];
    assert!(done.contains(&0) && done.contains(&4), "{done:?}");
    let lease = one.claim(&partition(0), "one").await.unwrap().lease;
    other.claim(&partition(0), "other").await.unwrap();
    let mut transaction = one.begin(&lease).await.unwrap();
    transaction
        .write(0, &[play_rows(&[play(1, "a", 1)])])
        .await
        .unwrap();
    let error = transaction.commit(&advance(None, 1)).await.unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Fenced);
    store(other, &[play_rows(&[play(2, "b", 2)])]).await;
    assert_eq!(rows(one, "SELECT id FROM plays").await, ["2"]);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_says_why() {
    let file = File::new();
    let settings = SqliteSink {
        path: file.directory.path().join("no/such/directory/music.db"),
    };
    let sink = sqlite::Sqlite::open(pipeline("music"), &settings, vec![])
        .await
        .unwrap();
    let error = Sink::Sqlite(Arc::new(sink)).prepare().await.unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Refused);
    assert!(
        error.to_string().contains("no/such/directory/music.db")
            && error.to_string().contains("make the file's directory"),
        "{error}"
    );

    std::fs::write(
        file.path(),
        "this is not a database, but it is long enough to be looked at as one. ".repeat(20),
    )
    .unwrap();
    let sink = file.sink("music", vec![]).await;
    let error = sink.prepare().await.unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Refused, "{error}");
}

/// Integers must not be taken for row numbers, nor NULL for the next one.
#[tokio::test]
async fn an_integer_key_is_not_numbered_by_the_database() {
    let file = File::new();
    let key = vec!["id".to_owned()];
    let sink = prepared(&file, vec![plays(Write::InsertOnce { key })]).await;
    let lease = claim(&sink, 0).await.lease;
    let mut transaction = sink.begin(&lease).await.unwrap();
    let error = transaction
        .write(0, &[play_rows(&[(None, Some("a"), None)])])
        .await
        .unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Row, "{error}");
}
