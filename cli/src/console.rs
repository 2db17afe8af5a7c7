//! Where log lines go: standard error, or, while the live view is up, into it.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::Logging;
use crate::error::CliError;

/// What came of setting up logging.
#[derive(Debug)]
pub(crate) struct Log {
    /// Log lines for the live view; none when they go to standard error.
    pub(crate) lines: Option<Receiver<String>>,
}

impl Log {
    /// Sets up logging; once a process.
    pub(crate) fn init(logging: &Logging, live: bool) -> Result<Self, CliError> {
        let Logging { log, log_format } = logging;
        if !live {
            runtime::telemetry::init(*log_format, log)?;
            return Ok(Self { lines: None });
        }
        let filter = EnvFilter::builder()
            .parse(log)
            .map_err(|error| CliError::Usage(format!("wrong log filter {log:?}: {error}")))?;
        let (sender, lines) = channel();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_target(false)
            .with_writer(Writer(sender));
        tracing_subscriber::registry()
            .with(filter)
            .with(layer)
            .try_init()
            .map_err(|error| CliError::Failed(format!("logging cannot be set up: {error}")))?;
        Ok(Self { lines: Some(lines) })
    }
}

/// Passes each event's text on as a whole: the subscriber writes an event at once.
#[derive(Debug, Clone)]
struct Writer(Sender<String>);

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl io::Write for Writer {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        // Nobody listens any more only when the process is about to end.
        let _ = self.0.send(String::from_utf8_lossy(buffer).trim_end().to_owned());
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
