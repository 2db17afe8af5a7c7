//! Connections that suffer, with a real `PostgreSQL` behind them: what its clients see, and what it has done.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, PgConnection};
use testbed::{Cut, Direction, Postgres, Proxy, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const MOMENT: Duration = Duration::from_secs(20);

/// A database with an empty table, a proxy in front of it, and its URLs through and around the proxy.
async fn database(name: &str) -> (Proxy, String, String) {
    let postgres = Postgres::shared().await.unwrap();
    let direct = postgres.create_database(name).await.unwrap();
    connect(&direct)
        .await
        .execute("CREATE TABLE events (n int)")
        .await
        .unwrap();
    let address = format!("{}:{}", postgres.host(), postgres.port());
    let proxy = Proxy::start(&address).await.unwrap();
    let proxied = direct.replace(&address, &proxy.addr().to_string());
    (proxy, proxied, direct)
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

async fn count(url: &str) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM events")
        .fetch_one(&mut connect(url).await)
        .await
        .unwrap()
}

fn is_commit(bytes: &[u8]) -> bool {
    bytes.windows(6).any(|window| window == b"COMMIT")
}

/// A commit whose connection is cut; its outcome is unknown to the client.
async fn cut_commit(name: &str, cut: Cut) -> String {
    let (proxy, proxied, direct) = database(name).await;
    let mut connection = connect(&proxied).await;
    proxy.cut_when(cut, is_commit);
    let mut transaction = connection.begin().await.unwrap();
    transaction
        .execute("INSERT INTO events VALUES (1)")
        .await
        .unwrap();
    assert_eq!(proxy.rule_cuts(), 0);
    transaction.commit().await.unwrap_err();
    assert_eq!(proxy.rule_cuts(), 1);
    // It cuts once: the next attempt goes through.
    let mut again = connect(&proxied).await;
    again.begin().await.unwrap().commit().await.unwrap();
    direct
}

#[tokio::test]
async fn a_commit_cut_before_it_arrives_did_not_happen() {
    let direct = cut_commit("cut_before", Cut::BeforeForwarding).await;
    // The server rolls back when it sees the reset: no session is left in a transaction.
    let mut look = connect(&direct).await;
    let open =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'";
    eventually(MOMENT, async || {
        let open: i64 = sqlx::query_scalar(open).fetch_one(&mut look).await.unwrap();
        open == 0
    })
    .await
    .unwrap();
    assert_eq!(count(&direct).await, 0);
}

#[tokio::test]
async fn a_commit_cut_after_it_arrived_did_happen() {
    let direct = cut_commit("cut_after", Cut::AfterForwarding).await;
    eventually(MOMENT, async || count(&direct).await == 1)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_cut_resets_open_connections_and_lets_new_ones_in() {
    let (proxy, proxied, _) = database("cut").await;
    let mut connection = connect(&proxied).await;
    proxy.cut();
    timeout(MOMENT, connection.ping()).await.unwrap().unwrap_err();
    connect(&proxied).await.ping().await.unwrap();
    assert_eq!(proxy.accepted(), 2);
}

#[tokio::test]
async fn a_one_way_block_lets_the_server_act_and_keeps_its_answer_back() {
    let (proxy, proxied, direct) = database("one_way").await;
    let mut connection = connect(&proxied).await;
    proxy.block_only(Direction::ToClient);
    let mut insert = Box::pin(connection.execute("INSERT INTO events VALUES (1)"));
    timeout(Duration::from_millis(300), &mut insert)
        .await
        .unwrap_err();
    eventually(MOMENT, async || count(&direct).await == 1)
        .await
        .unwrap();
    proxy.unblock();
    timeout(MOMENT, insert).await.unwrap().unwrap();

    proxy.block_only(Direction::ToServer);
    let mut insert = Box::pin(connection.execute("INSERT INTO events VALUES (2)"));
    timeout(Duration::from_millis(300), &mut insert)
        .await
        .unwrap_err();
    assert_eq!(count(&direct).await, 1);
    proxy.unblock();
    timeout(MOMENT, insert).await.unwrap().unwrap();
    assert_eq!(count(&direct).await, 2);
}

#[tokio::test]
async fn a_blocked_proxy_is_a_server_that_does_not_answer() {
    let (proxy, proxied, _) = database("block").await;
    proxy.block();
    timeout(Duration::from_millis(300), PgConnection::connect(&proxied))
        .await
        .unwrap_err();
    proxy.unblock();
    connect(&proxied).await.ping().await.unwrap();
}

#[tokio::test]
async fn a_delay_is_paid_by_every_statement_and_once_by_a_stream() {
    let (proxy, proxied, _) = database("delay").await;
    let mut connection = connect(&proxied).await;
    let delay = Duration::from_millis(150);
    proxy.delay(delay);
    let begin = Instant::now();
    for _ in 0..3 {
        connection.execute("SELECT 1").await.unwrap();
    }
    assert!(begin.elapsed() >= delay * 3, "{:?}", begin.elapsed());

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sink = Proxy::start(listener.local_addr().unwrap().to_string())
        .await
        .unwrap();
    sink.delay(delay);
    let begin = Instant::now();
    let (mut client, mut server) = tokio::try_join!(TcpStream::connect(sink.addr()), async {
        Ok(listener.accept().await?.0)
    })
    .unwrap();
    let sending = tokio::spawn(async move {
        client.write_all(&vec![7; 800_000]).await.unwrap();
        client.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    server.read_to_end(&mut received).await.unwrap();
    sending.await.unwrap();
    assert_eq!(received, vec![7; 800_000]);
    // 49 reads of 16 KiB, each late by itself, would be 7 s.
    assert!(
        begin.elapsed() >= delay && begin.elapsed() < delay * 30,
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test]
async fn a_refusing_server_is_a_refusing_proxy() {
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let proxy = Proxy::start(free.to_string()).await.unwrap();
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    timeout(MOMENT, client.read_u8()).await.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_dropped_proxy_refuses_and_ends_its_connections() {
    let (proxy, proxied, _) = database("dropped").await;
    let mut connection = connect(&proxied).await;
    drop(proxy);
    connection.ping().await.unwrap_err();
    PgConnection::connect(&proxied).await.unwrap_err();
}
