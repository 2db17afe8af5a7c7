//! What a person sees of a run.

mod frame;
mod live;
mod plain;

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::snapshot::Snapshot;
use crate::error::CliError;
use crate::style::Style;

/// Shows a run: steps as lines, and how far it is, live on a terminal and as lines elsewhere.
#[derive(Debug)]
pub(super) struct View {
    started: Instant,
    style: Style,
    live: Option<Live>,
    /// Log lines until the live view takes them.
    log: Option<Receiver<String>>,
}

/// The live view's thread.
#[derive(Debug)]
struct Live {
    lines: Sender<String>,
    thread: JoinHandle<Receiver<String>>,
}

/// Both are terminals: one to draw on, one to read keys from.
pub(super) fn is_possible() -> bool {
    std::io::stdout().is_terminal() && std::io::stdin().is_terminal()
}

impl View {
    pub(super) fn new(started: Instant, log: Option<Receiver<String>>) -> Self {
        Self {
            started,
            style: Style::of_stdout(),
            live: None,
            log,
        }
    }

    pub(super) fn style(&self) -> Style {
        self.style
    }

    /// Something that was done, with its time.
    pub(super) fn step(&mut self, text: &str) -> Result<(), CliError> {
        let seconds = self.started.elapsed().as_secs_f64();
        let line = format!("{seconds:>6.1} s  {text}");
        match &self.live {
            Some(view) if view.lines.send(line.clone()).is_ok() => Ok(()),
            _ => self.print(&format!("{line}\n")),
        }
    }

    /// Text after the run.
    pub(super) fn print(&mut self, text: &str) -> Result<(), CliError> {
        self.flush_log();
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .map_err(CliError::Output)
    }

    /// Shows snapshots from now on until [`end`](Self::end): live if there is a log to show along with it, and as
    /// lines else. Keys of the live view cancel `shutdown`.
    pub(super) fn begin(
        &mut self,
        snapshots: watch::Receiver<Snapshot>,
        shutdown: &CancellationToken,
    ) -> Result<(), CliError> {
        let Some(log) = self.log.take() else {
            tokio::spawn(plain::show(snapshots, self.started));
            return Ok(());
        };
        let (lines, steps) = channel();
        let thread = live::start(snapshots, steps, log, shutdown.clone())?;
        self.live = Some(Live { lines, thread });
        Ok(())
    }

    /// Gives the terminal back. The snapshots' sender must be gone by now.
    pub(super) fn end(&mut self) {
        if let Some(Live { lines, thread }) = self.live.take() {
            drop(lines);
            self.log = thread.join().ok();
        }
    }

    /// Log lines that the live view did not show: the run has not begun, or has ended.
    fn flush_log(&self) {
        for line in self.log.iter().flat_map(Receiver::try_iter) {
            eprintln!("{line}");
        }
    }
}

impl Drop for View {
    /// After an error too, the terminal is given back and nothing that was logged is lost.
    fn drop(&mut self) {
        self.end();
        self.flush_log();
    }
}
