//! A line every few seconds, for logs and pipes.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::super::snapshot::{Phase, Snapshot};
use crate::error::print;
use crate::style::{count, grouped};

const EVERY: Duration = Duration::from_secs(5);

/// Prints until the snapshots end, with times since `started`, as the steps have them.
pub(super) async fn show(mut snapshots: watch::Receiver<Snapshot>, started: Instant) {
    let mut next = EVERY;
    while snapshots.changed().await.is_ok() {
        let snapshot = snapshots.borrow_and_update().clone();
        if snapshot.elapsed >= next {
            next = snapshot.elapsed + EVERY;
            // The run itself notices that nobody reads any more, at its next step.
            let _ = print(&format!("{}\n", line(started.elapsed(), &snapshot)));
        }
    }
}

fn line(elapsed: Duration, snapshot: &Snapshot) -> String {
    let rate = |rate: f64| grouped(rate.round() as u64);
    let input = snapshot.produced.map_or_else(String::new, |produced| {
        format!(
            "in {}/s, produced {}, ",
            rate(snapshot.rate_in),
            grouped(produced)
        )
    });
    let mut line = format!(
        "{:>6.1} s  {input}out {}/s, stored {}, unread {}, dead letters {}, missing {}, doubled {}, {}",
        elapsed.as_secs_f64(),
        rate(snapshot.rate_out),
        grouped(snapshot.stored),
        grouped(snapshot.unread()),
        grouped(snapshot.dead_letters),
        grouped(snapshot.audit.missing),
        grouped(snapshot.audit.doubled),
        count(snapshot.workers.into(), "worker", "workers"),
    );
    if snapshot.held {
        line.push_str(" (generator held back)");
    }
    if snapshot.phase == Phase::Draining {
        line.push_str(" (draining)");
    }
    line
}

#[cfg(test)]
mod tests {
    use api::Partition;
    use worker::audit::Totals;

    use super::*;

    #[test]
    fn a_line_says_all_that_counts() {
        let snapshot = Snapshot {
            produced: Some(12_000),
            stored: 11_800,
            rate_in: 999.6,
            rate_out: 998.0,
            held: true,
            workers: 2,
            unread: vec![(
                Partition {
                    topic: "plays".into(),
                    number: 0,
                },
                200,
            )],
            audit: Totals::default(),
            ..Snapshot::default()
        };
        assert_eq!(
            line(Duration::from_millis(12_340), &snapshot),
            "  12.3 s  in 1,000/s, produced 12,000, out 998/s, stored 11,800, unread 200, dead letters 0, missing 0, \
             doubled 0, 2 workers (generator held back)"
        );
    }
}
