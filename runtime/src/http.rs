//! `/livez`, `/readyz` and `/metrics` for Kubernetes, Prometheus and people with `curl`.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::health::Health;

/// Serves `health` and the metrics of `registry` on `listener` until `shutdown` and the answers under way are
/// done. Kubernetes still asks while a pod drains, so cancel `shutdown` only when the draining is over.
///
/// # Errors
/// The listener broke.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    registry: Arc<Registry>,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, router(health, registry))
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
}

/// The routes, for a program that serves more than these.
pub fn router(health: Health, registry: Arc<Registry>) -> Router {
    Router::new()
        .route(
            "/livez",
            get(|State(health): State<Health>| async move { answer(health.liveness(Instant::now())) }),
        )
        .route(
            "/readyz",
            get(|State(health): State<Health>| async move { answer(health.readiness()) }),
        )
        .with_state(health)
        .route("/metrics", get(move || std::future::ready(metrics(&registry))))
}

fn answer(state: Result<(), Vec<String>>) -> Response {
    match state {
        Ok(()) => (StatusCode::OK, "ok\n").into_response(),
        Err(problems) => (StatusCode::SERVICE_UNAVAILABLE, problems.join("\n") + "\n").into_response(),
    }
}

fn metrics(registry: &Registry) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
