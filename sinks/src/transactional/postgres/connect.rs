//! Connections: how they are made, bounded, kept and given up.
//!
//! A connection goes back for others to use only when its holder says that all is well with it
//! ([`Connection::keep`]). One that is dropped is closed, and the server rolls back what was begun: so an error, a
//! panic, a cancelled task and a timeout all end the same way, without a word more on the wire. (A pool that takes
//! every connection back would first have to talk to a server that perhaps no longer answers.)

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::{PostgresSink, TlsMode};
use runtime::secrets::Secrets;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{QUERY_LIMIT, classify, wire};
use crate::{SinkError, SinkErrorKind};

/// Longest time for connecting and authenticating.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// How much longer than the server is allowed to work on a statement its answer is waited for: after that the
/// server or the way to it is gone. There is no other sign of a connection on which nothing comes back.
const ANSWER_MARGIN: Duration = Duration::from_secs(10);

/// Where connections come from.
pub(super) struct Connections {
    options: PgConnectOptions,
    /// `host:port/database`, for messages.
    address: String,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<PgConnection>>,
}

/// A connection in use.
pub(super) struct Connection {
    live: PgConnection,
    /// It was idle before, so that the server may have closed it meanwhile.
    reused: bool,
    home: Arc<Connections>,
    permit: OwnedSemaphorePermit,
}

impl Connections {
    pub(super) fn new(sink: &PostgresSink, name: &str, secrets: &Secrets) -> Result<Self, SinkError> {
        Ok(Self {
            options: options(sink, name, secrets)?,
            address: format!("{}:{}/{}", sink.host, sink.port, sink.database),
            permits: Arc::new(Semaphore::new(sink.max_connections.max(1) as usize)),
            idle: Mutex::default(),
        })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// A connection on which `opening` has been run: the beginning of a transaction, so that trying again does no
    /// harm. Waits for one to be free. Connections that the server closed while they were idle are passed over.
    pub(super) async fn open(
        self: &Arc<Self>,
        opening: &str,
        context: impl Fn() -> String,
    ) -> Result<Connection, SinkError> {
        loop {
            let mut connection = self.acquire(&context).await?;
            match connection.run(opening, QUERY_LIMIT).await {
                Ok(()) => return Ok(connection),
                // If one idle connection is dead, the others of that time are too.
                Err(error) if connection.reused && classify::is_lost_connection(&error) => {
                    self.idle_connections().clear();
                }
                Err(error) => return Err(classify::other(context(), error)),
            }
        }
    }

    async fn acquire(self: &Arc<Self>, context: &impl Fn() -> String) -> Result<Connection, SinkError> {
        let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
            return Err(SinkError::new(
                SinkErrorKind::Unavailable,
                context(),
                "the sink was closed",
            ));
        };
        let idle = self.idle_connections().pop();
        let reused = idle.is_some();
        let live = match idle {
            Some(live) => live,
            None => within(CONNECT_LIMIT, wire::connect(&self.options))
                .await
                .map_err(|error| {
                    classify::other(format!("connecting to PostgreSQL at {}", self.address), error)
                })?,
        };
        Ok(Connection {
            live,
            reused,
            home: Arc::clone(self),
            permit,
        })
    }

    fn idle_connections(&self) -> std::sync::MutexGuard<'_, Vec<PgConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Runs SQL without parameters, whose answer does not matter; several statements are one round trip.
    /// `limit` is what the server is allowed.
    pub(super) async fn run(&mut self, sql: &str, limit: Duration) -> Result<(), sqlx::Error> {
        let statement = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        within(limit + ANSWER_MARGIN, statement.execute(&mut self.live)).await?;
        Ok(())
    }

    /// Awaits something done with [`live`](Self::live).
    pub(super) async fn within<T>(
        limit: Duration,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        within(limit + ANSWER_MARGIN, work).await
    }

    pub(super) fn live(&mut self) -> &mut PgConnection {
        &mut self.live
    }

    /// Lets others use the connection. Its transaction must have ended.
    pub(super) fn keep(self) {
        let Self {
            live, home, permit, ..
        } = self;
        home.idle_connections().push(live);
        drop(permit);
    }
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("reused", &self.reused)
            .finish_non_exhaustive()
    }
}

fn options(sink: &PostgresSink, name: &str, secrets: &Secrets) -> Result<PgConnectOptions, SinkError> {
    let unreadable = |error: runtime::secrets::SecretError| {
        SinkError::refused("opening the sink", format!("sink.postgres.secretRef: {error}"))
    };
    let username = secrets.read(&sink.secret, "username").map_err(unreadable)?;
    let password = secrets.read(&sink.secret, "password").map_err(unreadable)?;
    let options = PgConnectOptions::new_without_pgpass()
        .host(&sink.host)
        .port(sink.port)
        .database(&sink.database)
        .username(username.expose())
        .password(password.expose())
        .application_name(&format!("streampipeline {name}"))
        // PgBouncer refuses connections that ask for it; the server's own default prints numbers exactly too.
        .extra_float_digits(None)
        // A pooler that lends a session for one transaction may lend another one for the next: statements that are
        // prepared by name would be missing there, or be there already.
        .statement_cache_capacity(0)
        .disable_statement_logging();
    Ok(match sink.tls {
        TlsMode::Disable => options.ssl_mode(PgSslMode::Disable),
        TlsMode::Require => options.ssl_mode(PgSslMode::Require),
        TlsMode::VerifyFull => {
            let options = options.ssl_mode(PgSslMode::VerifyFull);
            match secrets
                .read_optional(&sink.secret, "ca.crt")
                .map_err(unreadable)?
            {
                Some(authority) => options.ssl_root_cert_from_pem(authority.expose().as_bytes().to_vec()),
                None => options,
            }
        }
    })
}

/// Awaits `work` for at most `limit`. The connection is in an unknown state when the time is over.
async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(sqlx::Error::Io(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the server did not answer within {} s", limit.as_secs()),
        ))),
    }
}
