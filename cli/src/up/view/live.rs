//! The live view on a terminal: some lines at its bottom, redrawn; steps and log lines scroll by above them.

use std::io;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal::disable_raw_mode;
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Widget};
use ratatui::{DefaultTerminal, TerminalOptions, Viewport};
use runtime::exit::Exit;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::super::snapshot::Snapshot;
use super::frame;
use crate::error::CliError;

/// Between two drawings; keys are answered within it too.
const REDRAW: Duration = Duration::from_millis(150);

struct Screen {
    terminal: DefaultTerminal,
}

/// Draws until the snapshots' sender is gone. Gives back the log, for what comes after.
pub(super) fn start(
    snapshots: watch::Receiver<Snapshot>,
    steps: Receiver<String>,
    log: Receiver<String>,
    shutdown: CancellationToken,
) -> Result<JoinHandle<Receiver<String>>, CliError> {
    let viewport = Viewport::Inline(frame::height(&snapshots.borrow()));
    let terminal = ratatui::try_init_with_options(TerminalOptions { viewport })
        .map_err(CliError::io("cannot draw on this terminal; use --plain"))?;
    let mut screen = Screen { terminal };
    let run = move || {
        // A terminal that cannot be drawn on any more is gone: the run goes on without it, and ends in order.
        if let Err(error) = screen.run(&snapshots, &steps, &log, &shutdown) {
            tracing::warn!(%error, "the terminal is gone; stopping");
            shutdown.cancel();
        }
        screen.give_back();
        log
    };
    let thread = std::thread::Builder::new().name("view".to_owned());
    thread
        .spawn(run)
        .map_err(CliError::io("cannot start the live view's thread"))
}

impl Screen {
    fn run(
        &mut self,
        snapshots: &watch::Receiver<Snapshot>,
        steps: &Receiver<String>,
        log: &Receiver<String>,
        shutdown: &CancellationToken,
    ) -> io::Result<()> {
        loop {
            // Looked at before drawing, so that the last state is drawn.
            let ended = snapshots.has_changed().is_err();
            for line in steps.try_iter().chain(log.try_iter()) {
                self.scroll(&line)?;
            }
            self.draw(&snapshots.borrow())?;
            if ended {
                return Ok(());
            }
            if event::poll(REDRAW)? && is_stop(&event::read()?) {
                if shutdown.is_cancelled() {
                    self.give_back();
                    std::process::exit(Exit::Interrupted.code().into());
                }
                shutdown.cancel();
            }
        }
    }

    fn draw(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        self.terminal.draw(|frame| {
            let area = frame.area();
            frame.render_widget(
                Paragraph::new(frame::lines(snapshot, usize::from(area.width))),
                area,
            );
        })?;
        Ok(())
    }

    fn scroll(&mut self, text: &str) -> io::Result<()> {
        let columns = usize::from(self.terminal.size()?.width).max(1);
        for line in text.lines() {
            let characters: Vec<char> = line.chars().collect();
            for part in characters.chunks(columns) {
                let part: String = part.iter().collect();
                self.terminal
                    .insert_before(1, |buffer| Line::raw(part).render(buffer.area, buffer))?;
            }
        }
        Ok(())
    }

    /// The last state stays on the screen; what is printed comes below it.
    fn give_back(&mut self) {
        // Nothing is left to be done about a terminal that does not take even this.
        let _ = self.terminal.show_cursor();
        let _ = disable_raw_mode();
        println!();
    }
}

/// In raw mode Ctrl-C is a key like others.
fn is_stop(event: &Event) -> bool {
    let Event::Key(KeyEvent {
        code,
        modifiers,
        kind: KeyEventKind::Press,
        ..
    }) = event
    else {
        return false;
    };
    match code {
        KeyCode::Char('c') => modifiers.contains(KeyModifiers::CONTROL),
        KeyCode::Char('q') | KeyCode::Esc => true,
        _ => false,
    }
}
