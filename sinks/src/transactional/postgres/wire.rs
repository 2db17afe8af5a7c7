//! The TCP connection below the driver's.
//!
//! The driver (sqlx 0.9.0) leaves Nagle's algorithm on, by mistake (transact-rs/sqlx#4335, fixed after that
//! version): the end of every COPY then waits for the server's delayed acknowledgement of the rows before it, 40 ms
//! each time, whatever the rows' number. Nor can the option be set from outside. So on Linux the connection is made
//! here, with the option, and the driver talks to it through a socket that only this process can use. With the next
//! version of the driver this file goes away, and `options.connect()` remains.

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};

/// Connects and authenticates.
#[cfg(target_os = "linux")]
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    if options.get_host().starts_with('/') {
        return options.connect().await;
    }
    let directory = linux::unused_name();
    // Where a sandbox forbids such sockets, the driver connects itself, and waits.
    let Ok(listener) = linux::listen(&directory, options.get_port()) else {
        return options.connect().await;
    };
    let server = tokio::net::TcpStream::connect((options.get_host(), options.get_port())).await?;
    server.set_nodelay(true)?;
    // Ends when either side does: when the connection is dropped or the server is gone.
    tokio::spawn(linux::relay(listener, server));
    options.clone().socket(directory).connect().await
}

/// Connects and authenticates.
#[cfg(not(target_os = "linux"))]
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    options.connect().await
}

#[cfg(target_os = "linux")]
mod linux {
    use std::hash::{BuildHasher, RandomState};
    use std::io;

    use tokio::io::{AsyncRead, AsyncWrite, BufReader, copy_buf};
    use tokio::net::{TcpStream, UnixListener, UnixStream};

    /// Bytes that are read at once.
    const CHUNK: usize = 128 * 1024;

    /// A name that begins with NUL is no file: it is gone when its socket is.
    pub(super) fn unused_name() -> String {
        format!("\0streampipeline-{:016x}", RandomState::new().hash_one(()))
    }

    /// Listens where the driver looks for a server in this directory.
    pub(super) fn listen(directory: &str, port: u16) -> io::Result<UnixListener> {
        UnixListener::bind(format!("{directory}/.s.PGSQL.{port}"))
    }

    /// Passes bytes on between the driver and the server until one of them ends the connection.
    pub(super) async fn relay(listener: UnixListener, server: TcpStream) -> io::Result<()> {
        let driver = accept(listener).await?;
        let (from_driver, to_driver) = driver.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            ended = pass(from_driver, to_server) => ended,
            ended = pass(from_server, to_driver) => ended,
        }
    }

    /// The first connection of this process itself.
    async fn accept(listener: UnixListener) -> io::Result<UnixStream> {
        loop {
            let (driver, _) = listener.accept().await?;
            let peer = driver.peer_cred()?.pid();
            if peer.is_none_or(|pid| pid.unsigned_abs() == std::process::id()) {
                return Ok(driver);
            }
        }
    }

    async fn pass(from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
        copy_buf(&mut BufReader::with_capacity(CHUNK, from), &mut to)
            .await
            .map(drop)
    }
}
