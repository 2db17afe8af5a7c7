//! Two connections: one that writes, one that reads.
//!
//! As with `PostgreSQL`, a connection is used again only if its holder says that all is well with it; one that is
//! dropped is closed, which rolls back what was begun.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::classify;
use crate::SinkError;

/// How long another process's write lock is waited for.
const LOCK_LIMIT: Duration = Duration::from_secs(30);

/// Memory for pages while writing (`SQLite` counts negative numbers in KiB). Its own default of 2 MB is soon too little
/// for a table whose keys come in no order, and every row then costs a read.
const CACHE: &str = "-65536";

/// The place of one connection, open or not.
#[derive(Debug)]
pub(super) struct Slot {
    options: SqliteConnectOptions,
    live: Arc<Mutex<Option<SqliteConnection>>>,
}

/// The connection while it is in use; nobody else has it.
#[derive(Debug)]
pub(super) struct Connection {
    live: SqliteConnection,
    place: OwnedMutexGuard<Option<SqliteConnection>>,
}

impl Slot {
    pub(super) fn writer(path: &Path) -> Self {
        Self {
            options: options(path).pragma("cache_size", CACHE),
            live: Arc::default(),
        }
    }

    pub(super) fn reader(path: &Path) -> Self {
        Self {
            // A statement that was kept would not notice that a model's table has other columns by now.
            options: options(path)
                .pragma("query_only", "ON")
                .statement_cache_capacity(0),
            live: Arc::default(),
        }
    }

    /// The file's path, for messages.
    pub(super) fn path(&self) -> std::path::Display<'_> {
        self.options.get_filename().display()
    }

    /// Waits for the connection, and makes it if need be.
    pub(super) async fn open(&self, context: impl Fn() -> String) -> Result<Connection, SinkError> {
        let mut place = Arc::clone(&self.live).lock_owned().await;
        let live =
            match place.take() {
                Some(live) => live,
                None => self.options.connect().await.map_err(|error| {
                    classify::other(format!("{}: opening {}", context(), self.path()), error)
                })?,
            };
        Ok(Connection { live, place })
    }
}

impl Connection {
    /// Runs statements without parameters, whose answers do not matter.
    pub(super) async fn run(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let statement = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        statement.execute(&mut self.live).await.map(drop)
    }

    pub(super) fn live(&mut self) -> &mut SqliteConnection {
        &mut self.live
    }

    /// Lets others use the connection. Its transaction must have ended.
    pub(super) fn keep(self) {
        let Self { live, mut place } = self;
        *place = Some(live);
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(LOCK_LIMIT)
        .disable_statement_logging()
}
