//! One proxied connection: bytes both ways, until one side ends or it is cut.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{Cut, Direction, Flow, Shared, lock};

/// What one read takes, in bytes.
const CHUNK: usize = 16 * 1024;
/// How many chunks wait for a blocked or slow way: 1 MiB, then the sender is held up as a network would.
const WAITING: usize = 64;
/// How long a server may take to act on the last bytes of a cut connection.
const LAST_ACT: Duration = Duration::from_secs(30);

/// Why a connection ended other than by both sides closing it.
enum Ending {
    Broken,
    Cut(Cut),
}

impl From<io::Error> for Ending {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}

/// Passes bytes between `client` and the target until the end.
pub(super) async fn serve(mut client: TcpStream, shared: Arc<Shared>, cut: CancellationToken) {
    let target = lock(&shared.target).clone();
    let Ok(mut server) = TcpStream::connect(target).await else {
        return reset(&client);
    };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let ending = tokio::select! {
        () = cut.cancelled() => Err(Ending::Broken),
        ended = async { tokio::try_join!(
            pump(from_client, to_server, Direction::ToServer, &shared),
            pump(from_server, to_client, Direction::ToClient, &shared),
        ) } => ended,
    };
    if let Err(Ending::Cut(_)) = ending {
        // Counted before the client can know.
        shared.rule_cuts.fetch_add(1, Ordering::Relaxed);
    }
    match ending {
        Ok(_) => {}
        Err(Ending::Cut(Cut::AfterForwarding)) => {
            reset(&client);
            drop(client);
            // A reset could overtake the bytes: the server is left to read them and to find the end after them.
            let _ = server.shutdown().await;
            let _ = timeout(LAST_ACT, tokio::io::copy(&mut server, &mut tokio::io::sink())).await;
        }
        Err(_) => {
            reset(&client);
            reset(&server);
        }
    }
}

/// Makes the coming close a reset (RST), as a broken network's is, instead of an orderly end.
fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

/// Passes bytes one way; reads ahead, so that a delay is one of time and not of throughput.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    direction: Direction,
    shared: &Shared,
) -> Result<(), Ending> {
    let (sender, mut chunks) = mpsc::channel::<(Instant, Vec<u8>)>(WAITING);
    let reading = async move {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            if from.read_buf(&mut chunk).await? == 0 || sender.send((Instant::now(), chunk)).await.is_err() {
                return Ok(());
            }
        }
    };
    let writing = async move {
        let mut flow = shared.flow.subscribe();
        while let Some((read_at, chunk)) = chunks.recv().await {
            pass(&mut flow, direction, read_at).await;
            match cut(shared, direction, &chunk) {
                Some(Cut::BeforeForwarding) => return Err(Ending::Cut(Cut::BeforeForwarding)),
                Some(Cut::AfterForwarding) => {
                    to.write_all(&chunk).await?;
                    return Err(Ending::Cut(Cut::AfterForwarding));
                }
                None => to.write_all(&chunk).await?,
            }
        }
        pass(&mut flow, direction, Instant::now()).await;
        Ok(to.shutdown().await?)
    };
    tokio::try_join!(reading, writing).map(drop)
}

/// Waits until bytes that were read at `read_at` may go on.
async fn pass(flow: &mut watch::Receiver<Flow>, direction: Direction, read_at: Instant) {
    // The sender lives as long as the connection's share of it: there is always a value.
    let now = flow
        .wait_for(|flow| !flow.is_blocked(direction))
        .await
        .map(|flow| *flow)
        .unwrap_or_default();
    if direction == Direction::ToServer && !now.delay.is_zero() {
        sleep_until(read_at + now.delay).await;
    }
}

/// The cut that these bytes bring about, if any; it happens once.
fn cut(shared: &Shared, direction: Direction, chunk: &[u8]) -> Option<Cut> {
    if direction == Direction::ToClient {
        return None;
    }
    let mut rule = lock(&shared.rule);
    let matched = rule.as_mut().is_some_and(|rule| (rule.matches)(chunk));
    if matched {
        rule.take().map(|rule| rule.cut)
    } else {
        None
    }
}
