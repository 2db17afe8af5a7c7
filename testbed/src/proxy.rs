//! A TCP connection that can be cut, blocked and slowed.

mod pump;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::pump::serve;
use crate::error::Error;
use crate::ports::LOOPBACK;

/// A direction in which bytes flow through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    /// What the server answers.
    ToClient,
}

/// Where [`Proxy::cut_when`] cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The server never sees the bytes: a `COMMIT` did not happen.
    BeforeForwarding,
    /// The server gets the bytes and acts on them, the client never sees the answer: a `COMMIT` did happen.
    AfterForwarding,
}

/// How bytes flow at the moment.
#[derive(Debug, Clone, Copy, Default)]
struct Flow {
    to_server_blocked: bool,
    to_client_blocked: bool,
    delay: Duration,
}

impl Flow {
    fn is_blocked(&self, direction: Direction) -> bool {
        match direction {
            Direction::ToServer => self.to_server_blocked,
            Direction::ToClient => self.to_client_blocked,
        }
    }
}

type Matches = dyn FnMut(&[u8]) -> bool + Send;

/// A cut that waits for its bytes.
struct Rule {
    cut: Cut,
    matches: Box<Matches>,
}

/// What the proxy's connections look at.
struct Shared {
    target: Mutex<String>,
    flow: watch::Sender<Flow>,
    /// Cancelled by a cut of everything, and then renewed.
    connections: Mutex<CancellationToken>,
    rule: Mutex<Option<Rule>>,
    accepted: AtomicU64,
    rule_cuts: AtomicU64,
}

/// A proxy in front of one address, on a port of its own on loopback.
///
/// It works on a thread of its own: a test may block its runtime, as Kafka's clients do, and talk through a proxy.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("target", &*lock(&self.target))
            .field("flow", &self.flow)
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// Accepts connections and passes them on to `target` (`host:port`). A connection is refused to the client
    /// the moment that the target refuses it.
    pub async fn start(target: impl Into<String>) -> Result<Self, Error> {
        Self::start_on(LOOPBACK, target).await
    }

    /// The same on another address of this machine.
    pub(crate) async fn start_on(address: IpAddr, target: impl Into<String>) -> Result<Self, Error> {
        let io = |source| Error::Io {
            what: format!("starting a proxy on {address}"),
            source,
        };
        let listener = TcpListener::bind((address, 0)).await.map_err(io)?;
        let addr = listener.local_addr().map_err(io)?;
        let shared = Arc::new(Shared {
            target: Mutex::new(target.into()),
            flow: watch::Sender::new(Flow::default()),
            connections: Mutex::new(CancellationToken::new()),
            rule: Mutex::new(None),
            accepted: AtomicU64::new(0),
            rule_cuts: AtomicU64::new(0),
        });
        let listener = listener.into_std().map_err(io)?;
        let stop = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(io)?;
        let (accepting, stopped) = (Arc::clone(&shared), stop.clone());
        let thread = std::thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || {
                runtime.block_on(stopped.run_until_cancelled(accept(listener, accepting)));
            });
        Ok(Self {
            addr,
            shared,
            stop,
            thread: Some(thread.map_err(io)?),
        })
    }

    /// Where clients connect to.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Passes new connections on to another address: a service whose server has changed.
    pub fn retarget(&self, target: impl Into<String>) {
        *lock(&self.shared.target) = target.into();
    }

    /// Resets every connection now, on both sides. New ones are accepted.
    pub fn cut(&self) {
        let renewed = CancellationToken::new();
        std::mem::replace(&mut *lock(&self.shared.connections), renewed).cancel();
    }

    /// Cuts one connection, once: the first on which a client sends bytes that `matches` says yes to. It is given
    /// what one read brought, at most 16 KiB: a small message that the client wrote at once comes at once.
    pub fn cut_when(&self, cut: Cut, matches: impl FnMut(&[u8]) -> bool + Send + 'static) {
        *lock(&self.shared.rule) = Some(Rule {
            cut,
            matches: Box::new(matches),
        });
    }

    /// How often [`Proxy::cut_when`] has cut.
    #[must_use]
    pub fn rule_cuts(&self) -> u64 {
        self.shared.rule_cuts.load(Ordering::Relaxed)
    }

    /// How many connections were accepted so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Keeps all bytes back, in both directions: connections stay and are made, and nothing comes through.
    pub fn block(&self) {
        self.block_only(Direction::ToServer);
        self.block_only(Direction::ToClient);
    }

    /// Keeps bytes back in one direction: the other goes on.
    pub fn block_only(&self, direction: Direction) {
        self.shared.flow.send_modify(|flow| match direction {
            Direction::ToServer => flow.to_server_blocked = true,
            Direction::ToClient => flow.to_client_blocked = true,
        });
    }

    /// Lets bytes through again, those kept back first.
    pub fn unblock(&self) {
        self.shared.flow.send_modify(|flow| {
            flow.to_server_blocked = false;
            flow.to_client_blocked = false;
        });
    }

    /// Adds this time to the way to the server: a statement, which is one write and one answer, takes that much
    /// longer. Bytes that follow each other are all late by it, not each later than the one before.
    pub fn delay(&self, delay: Duration) {
        self.shared.flow.send_modify(|flow| flow.delay = delay);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
        // A thread that panicked has told so itself.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Accepts until dropped; the connections' tasks end with the set.
async fn accept(listener: std::net::TcpListener, shared: Arc<Shared>) {
    // The listener was registered with the caller's runtime before: it is open and does not block.
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    let mut connections = JoinSet::new();
    // Accepting fails for want of file descriptors only, or because the client has gone already.
    loop {
        if let Ok((client, _)) = listener.accept().await {
            shared.accepted.fetch_add(1, Ordering::Relaxed);
            let cut = lock(&shared.connections).clone();
            connections.spawn(serve(client, Arc::clone(&shared), cut));
        } else {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Nothing panics while it holds one of these locks, but for a test's own `matches`.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
