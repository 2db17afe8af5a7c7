//! The endpoints as Kubernetes and Prometheus see them: over a socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use runtime::health::Health;
use runtime::http;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn health_and_metrics_are_served_until_shutdown() {
    let health = Health::new();
    let sink = health.condition("sink");
    let mut registry = Registry::default();
    let rows = Counter::<u64>::default();
    registry.register("streampipeline_rows", "Rows stored", rows.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(http::serve(
        listener,
        health.clone(),
        Arc::new(registry),
        shutdown.clone(),
    ));

    let answer = get(address, "/livez").await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"),
        "{answer}"
    );
    let answer = get(address, "/readyz").await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.ends_with("sink: starting\n"),
        "{answer}"
    );
    sink.set(Ok(()));
    assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));

    let stalled = health.heartbeat("consumer", Duration::ZERO);
    let answer = get(address, "/livez").await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("consumer: no sign of life"),
        "{answer}"
    );
    drop(stalled);

    rows.inc_by(7);
    let answer = get(address, "/metrics").await;
    assert!(
        answer.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{answer}"
    );
    assert!(
        answer.contains("streampipeline_rows_total 7\n") && answer.ends_with("# EOF\n"),
        "{answer}"
    );

    shutdown.cancel();
    server.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
