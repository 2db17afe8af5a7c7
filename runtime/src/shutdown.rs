//! The end of a process on request.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;

/// A token that SIGTERM or SIGINT (Ctrl-C) cancels, so that everything ends in order. A second signal ends
/// the process at once with [`Exit::Interrupted`]: somebody is impatient, and the stores stay consistent anyway.
///
/// Must be called within a tokio runtime.
///
/// # Errors
/// The handlers could not be installed.
pub fn signals() -> std::io::Result<CancellationToken> {
    let terminate = signal(SignalKind::terminate())?;
    let interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    tokio::spawn(watch(terminate, interrupt, token.clone()));
    Ok(token)
}

async fn watch(mut terminate: Signal, mut interrupt: Signal, token: CancellationToken) {
    let name = next(&mut terminate, &mut interrupt).await;
    tracing::info!(
        signal = name,
        "stopping; a second signal ends the process at once"
    );
    token.cancel();
    let name = next(&mut terminate, &mut interrupt).await;
    tracing::warn!(signal = name, "interrupted while stopping");
    std::process::exit(Exit::Interrupted.code().into());
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
