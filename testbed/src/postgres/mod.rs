//! `PostgreSQL` as a guard: a server that can be stopped, killed, frozen and filled up.

mod account;
mod builder;
mod install;
mod processes;
mod server;

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::OnceCell;

pub use self::builder::PostgresBuilder;
use self::server::Server;
use crate::certificates::Certificates;
use crate::error::Error;
use crate::eventually::eventually;
use crate::scratch::Scratch;

/// A fast shutdown ends sessions and writes a checkpoint.
const STOP_TIMEOUT: Duration = Duration::from_mins(1);

/// Settings are read within milliseconds of the signal.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(10);

/// A real `PostgreSQL` 18 on loopback (or where pods reach it), with a superuser `postgres` who logs in by password (SCRAM).
///
/// Its files are synced to no disk (`fsync = off`): what it committed survives the death of all its processes, not
/// that of the machine; a benchmark sets `fsync` to `on`. Methods that hurt take `&mut self`, so the shared server
/// is safe.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    host: String,
    password: String,
    certificates: Certificates,
}

impl Postgres {
    /// A server with `PostgreSQL`'s defaults.
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// A server with other settings.
    pub fn builder() -> PostgresBuilder {
        PostgresBuilder::default()
    }

    /// One server for all tests of this test process: each makes a database of its own.
    pub async fn shared() -> Result<&'static Self, Error> {
        // Never dropped: the watchers end it when the test process is gone.
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// The server's address: `127.0.0.1`, or what it was built with.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The server's port, the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    #[must_use]
    pub fn user(&self) -> &'static str {
        "postgres"
    }

    /// The superuser's password, of letters and digits.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// `postgres://…` of the database `postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// `postgres://…` of any database of this server.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!(
            "postgres://{}:{}@{}:{}/{database}",
            self.user(),
            self.password,
            self.host(),
            self.port()
        )
    }

    /// The certificates of a server that was built with [`PostgresBuilder::tls`].
    #[must_use]
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Creates an empty database and gives its URL. `name` has to be new on this server, and of lower-case letters,
    /// digits and `_`.
    pub async fn create_database(&self, name: &str) -> Result<String, Error> {
        if !name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        {
            return Err(Error::Misuse(format!(
                "{name:?} is no plain name for a test's database: [a-z0-9_]"
            )));
        }
        self.execute(&format!("CREATE DATABASE \"{name}\"")).await?;
        Ok(self.url_of(name))
    }

    /// Runs one statement in the database `postgres`, as the superuser.
    pub async fn execute(&self, statement: &str) -> Result<(), Error> {
        let failed = |source| Error::Sql {
            what: format!("running {statement:?}"),
            source,
        };
        let mut connection = self.connect().await?;
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await
            .map_err(failed)?;
        connection.close().await.map_err(failed)
    }

    /// Changes a setting of the running server for good, and waits until it has read it. A setting that only a
    /// start reads waits for [`Postgres::restart`].
    pub async fn set_config(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let before = self.settings_read_at().await?;
        self.execute(&format!("ALTER SYSTEM SET {name} = {}", literal(value)))
            .await?;
        self.server.process()?.signal(Signal::HUP)?;
        eventually(RELOAD_TIMEOUT, async || match self.settings_read_at().await {
            Ok(now) if now == before => Err(format!("settings were last read at {now}")),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{error:?}")),
        })
        .await
    }

    /// When the first process, which new sessions inherit from, has read the settings.
    async fn settings_read_at(&self) -> Result<String, Error> {
        let failed = |source| Error::Sql {
            what: "asking when settings were read".to_owned(),
            source,
        };
        let mut connection = self.connect().await?;
        let query = sqlx::query_scalar("SELECT pg_conf_load_time()::text");
        query.fetch_one(&mut connection).await.map_err(failed)
    }

    async fn connect(&self) -> Result<PgConnection, Error> {
        let options = PgConnectOptions::new_without_pgpass()
            .host(self.host())
            .port(self.port());
        let options = options
            .username(self.user())
            .password(&self.password)
            .database("postgres");
        let failed = |source| Error::Sql {
            what: format!("connecting to {}:{}", self.host(), self.port()),
            source,
        };
        PgConnection::connect_with(&options).await.map_err(failed)
    }

    /// Shuts the server down in order (`fast`): sessions are ended with an error, and nothing has to be recovered.
    pub async fn stop(&mut self) -> Result<(), Error> {
        let process = self.server.process()?;
        process.interrupt()?;
        process.wait(STOP_TIMEOUT).await.map(drop)
    }

    /// Kills all processes of the server (SIGKILL). The next start recovers from the write-ahead log.
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.server.kill().await
    }

    /// Starts the server after a stop or a kill, with the data and the port that it had.
    pub async fn start_again(&mut self) -> Result<(), Error> {
        self.server.launch()?;
        self.server.ready().await
    }

    /// Stops the server in order and starts it again.
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.stop().await?;
        self.start_again().await
    }

    /// A standby that follows this server by streaming replication, not waited for by commits, until
    /// [`Postgres::promote`]. This server is stopped and started again for it.
    pub async fn standby(&mut self) -> Result<Self, Error> {
        self.stop().await?;
        let server = Server::standby(&self.server, &self.password, Scratch::new("standby")?);
        self.start_again().await?;
        let mut server = server?;
        server.launch()?;
        server.ready().await?;
        Ok(Self {
            server,
            host: self.host.clone(),
            password: self.password.clone(),
            certificates: self.certificates.clone(),
        })
    }

    /// Makes a standby a server of its own, as a failover does.
    pub async fn promote(&mut self) -> Result<(), Error> {
        self.execute("SELECT pg_promote()").await
    }

    /// Freezes all processes of the server (SIGSTOP): connections stay, answers do not come.
    pub async fn freeze(&mut self) -> Result<(), Error> {
        self.server.freeze().await
    }

    /// Lets a frozen server go on.
    pub fn thaw(&mut self) -> Result<(), Error> {
        self.server.thaw()
    }

    /// From now on no table or index can grow: statements that need a new page fail with SQLSTATE 53100, "could not
    /// extend file … No space left on device". What fits into pages that are there is still written. Needs
    /// [`PostgresBuilder::fillable_disk`].
    pub fn fill_disk(&mut self) -> Result<(), Error> {
        self.server.set_disk_full(true)
    }

    /// There is space on the disk again.
    pub fn free_disk(&mut self) -> Result<(), Error> {
        self.server.set_disk_full(false)
    }

    #[must_use]
    pub fn data_directory(&self) -> PathBuf {
        self.server.data()
    }
}

/// A literal, as SQL and `postgresql.conf` write it.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
