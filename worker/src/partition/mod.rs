//! The task of one partition: claims it in the sink, says where to begin, and stores its batches one after
//! the other until the partition is revoked.

mod finish;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::{DeadLetterPolicy, Partition, Pipeline, StartFrom};
use jiff::Timestamp;
use kafka::fetch::{BatchError, Fetcher};
use kafka::formats::commit_metadata::{AuditCounts, Telemetry};
use kafka::health::ErrorReporter;
use runtime::backoff::Backoff;
use sinks::{Claim, Sink, SinkError, SinkErrorKind};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::consumer::{Batch, Command, Finding, Input};
use crate::load::{Load, Report};
use crate::metrics::Metrics;
use crate::ownership::Ownership;
use crate::position::{self, Beginning, Watermarks};
use crate::progress::Progress;
use crate::records::Records;
use crate::sql::Plans;
use crate::state::PartitionState;
use crate::store::{PartitionWriter, StoreError, Stored};

/// Retries while the sink or Kafka is away.
const RETRY: Backoff = Backoff {
    initial: Duration::from_millis(100),
    max: Duration::from_secs(10),
};

/// Retries of what a person must fix first.
const REFUSED_RETRY: Backoff = Backoff {
    initial: Duration::from_secs(2),
    max: Duration::from_secs(30),
};

/// Patience with Kafka's answer about where a log begins and ends.
const WATERMARK_TIMEOUT: Duration = Duration::from_secs(10);

/// What the tasks of all partitions share.
pub(crate) struct Shared {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) sink: Sink,
    pub(crate) plans: Arc<Plans>,
    pub(crate) fetcher: Fetcher,
    /// Told when something works, which ends what Kafka had refused.
    pub(crate) errors: ErrorReporter,
    pub(crate) commands: mpsc::UnboundedSender<Command>,
    pub(crate) metrics: Metrics,
    pub(crate) progress: Arc<Mutex<Progress>>,
    pub(crate) sink_health: runtime::health::Condition,
    /// As many batches are in memory as Arrow and COPY data at the same time.
    pub(crate) concurrency: Semaphore,
    pub(crate) load: Load,
    /// Who holds the leases, for people.
    pub(crate) owner: String,
    pub(crate) policy: DeadLetterPolicy,
}

/// What stores one partition, from its assignment until it is revoked.
pub(crate) struct PartitionTask {
    pub(crate) shared: Arc<Shared>,
    pub(crate) partition: Partition,
    pub(crate) start_from: StartFrom,
    pub(crate) input: mpsc::Receiver<Input>,
    pub(crate) stop: CancellationToken,
    pub(crate) ownership: Ownership,
}

/// Why a stretch of work on a partition ended.
enum End {
    /// The partition was revoked, or the worker stops.
    Stop,
    /// Claim again, and begin where the sink says.
    Reclaim,
}

impl PartitionTask {
    /// Works until the partition is given up.
    pub(crate) async fn run(mut self) {
        let mut attempt = 0;
        while !self.stop.is_cancelled() {
            attempt += 1;
            if let End::Stop = self.hold_lease(attempt << 32).await {
                break;
            }
        }
        self.send(Command::Stopped {
            partition: self.partition.clone(),
        });
    }

    /// From a claim to its end.
    async fn hold_lease(&mut self, mut attempt: u64) -> End {
        let Some(claim) = self.claim().await else {
            return End::Stop;
        };
        let state = match claim.state.as_deref().map(PartitionState::from_json).transpose() {
            Ok(state) => state,
            Err(error) => {
                tracing::error!(partition = %self.partition, %error, "the stored state cannot be read; was it written by a newer version?");
                return self.pause_before_reclaim(REFUSED_RETRY, 0).await;
            }
        };
        self.ownership.claimed(&claim, tokio::time::Instant::now());
        let (claim, state) = match claim.unfinished.clone() {
            None => (claim, state),
            Some(unfinished) => match self.finish(&unfinished, claim, state, &mut attempt).await {
                Ok(finished) => finished,
                Err(end) => return end,
            },
        };
        let Some(watermarks) = self.watermarks().await else {
            return End::Stop;
        };
        let beginning = position::begin(claim.next_offset, state, watermarks, self.start_from);
        let shared = Arc::clone(&self.shared);
        let mut writer = PartitionWriter::new(
            shared.sink.clone(),
            Arc::clone(&shared.plans),
            shared.policy,
            &claim,
            beginning.offset,
            beginning.state.clone(),
            Timestamp::now,
        );
        self.announce(attempt, &beginning, &claim);
        loop {
            let input = tokio::select! {
                biased;
                () = self.stop.cancelled() => return End::Stop,
                input = self.input.recv() => input,
            };
            let Some(input) = input else { return End::Stop };
            match input {
                Input::Batch(batch) if batch.attempt != attempt => {}
                Input::Batch(batch) => match self.store(&mut writer, batch, &mut attempt).await {
                    Ok(()) => {}
                    Err(end) => return end,
                },
                Input::Finding(finding) => {
                    if let Finding::Unreadable(error) = &finding
                        && self.unreadable(error).await.is_none()
                    {
                        return End::Stop;
                    }
                    let Some(watermarks) = self.watermarks().await else {
                        return End::Stop;
                    };
                    let (next, state) = (writer.next(), writer.state().clone());
                    let beginning = if matches!(finding, Finding::Recreated) {
                        position::recreated(state, next, watermarks.low)
                    } else {
                        position::begin(Some(next), Some(state), watermarks, self.start_from)
                    };
                    attempt += 1;
                    writer.restart(beginning.offset, beginning.state.clone());
                    self.announce(attempt, &beginning, &claim);
                }
            }
        }
    }

    /// Another replica may have better bytes, or somebody repairs them: what cannot be read is tried again, not skipped.
    async fn unreadable(&self, error: &BatchError) -> Option<()> {
        self.shared.metrics.kafka_errors.inc();
        tracing::error!(partition = %self.partition, "{}; trying again", runtime::report::line(error));
        self.rest(REFUSED_RETRY, 2).await
    }

    /// Tells the reader where to begin, and people what is lost.
    fn announce(&self, attempt: u64, beginning: &Beginning, claim: &Claim) {
        let Beginning {
            offset,
            state,
            verify,
        } = beginning;
        if let Some(gap) = state
            .gaps
            .last()
            .filter(|_| claim.next_offset.is_some_and(|next| next != *offset))
        {
            tracing::error!(
                partition = %self.partition, from = gap.from, to = gap.to, reason = ?gap.reason,
                "records are gone before they could be read; the gap is kept in the audit"
            );
        }
        tracing::debug!(partition = %self.partition, offset, epoch = claim.lease.epoch, "beginning");
        let verify = state.last.clone().filter(|_| *verify);
        self.send(Command::Begin {
            partition: self.partition.clone(),
            attempt,
            offset: *offset,
            until: None,
            verify,
        });
        self.note(*offset, state);
    }

    async fn claim(&self) -> Option<Claim> {
        let mut failures = 0;
        loop {
            let claim = tokio::select! {
                () = self.stop.cancelled() => return None,
                claim = self.shared.sink.claim(&self.partition, &self.shared.owner) => claim,
            };
            match claim {
                Ok(claim) => {
                    self.shared.sink_health.set(Ok(()));
                    return Some(claim);
                }
                Err(error) => self.sink_failed(&error, failures),
            }
            self.rest(RETRY, failures).await?;
            failures += 1;
        }
    }

    async fn watermarks(&self) -> Option<Watermarks> {
        let mut failures = 0;
        loop {
            let asked = self.shared.fetcher.watermarks(&self.partition, WATERMARK_TIMEOUT);
            match asked.await {
                Ok(watermarks) => {
                    return Some(Watermarks {
                        low: watermarks.low,
                        high: watermarks.high,
                    });
                }
                Err(error) if failures == 0 => {
                    let error = runtime::report::line(&error);
                    tracing::warn!(partition = %self.partition, error, "asking Kafka where the log begins and ends");
                }
                Err(_) => {}
            }
            self.rest(RETRY, failures).await?;
            failures += 1;
        }
    }

    /// Stores a batch, however long it takes, unless the partition goes to someone else.
    async fn store(
        &mut self,
        writer: &mut PartitionWriter,
        batch: Batch,
        attempt: &mut u64,
    ) -> Result<(), End> {
        let shared = Arc::clone(&self.shared);
        let records = &batch.records;
        let mut stored = Stored::default();
        let mut failures = 0;
        loop {
            let outcome = {
                let _turn = shared.concurrency.acquire().await.map_err(|_| End::Stop)?;
                let _in_hand = shared.load.take_in_hand();
                writer.store(records, &mut stored).await
            };
            match outcome {
                Ok(()) => break,
                Err(error) => self.wait_to_retry(&error, failures).await?,
            }
            failures += 1;
        }
        self.note_stored(writer, &shared.plans, records, &stored, *attempt);
        if failures > 0 {
            tracing::info!(partition = %self.partition, "storing again");
            // What was buffered behind this batch was forgotten meanwhile.
            *attempt += 1;
            self.send(Command::Begin {
                partition: self.partition.clone(),
                attempt: *attempt,
                offset: writer.next(),
                until: None,
                verify: None,
            });
        }
        Ok(())
    }

    /// Says what is wrong, and returns when it is time to try again; or why not.
    async fn wait_to_retry(&self, error: &StoreError, failures: u32) -> Result<(), End> {
        let shared = &self.shared;
        let retry = match error {
            StoreError::Sink(error) if error.kind == SinkErrorKind::Fenced => {
                shared.metrics.fenced.inc();
                tracing::warn!(partition = %self.partition, "fenced: another worker owns the partition");
                self.hold();
                return Err(self.pause_before_reclaim(RETRY, 3).await);
            }
            StoreError::Sink(error) => {
                self.sink_failed(error, failures);
                if error.kind == SinkErrorKind::Refused {
                    REFUSED_RETRY
                } else {
                    RETRY
                }
            }
            error => {
                self.halted(error, failures);
                REFUSED_RETRY
            }
        };
        if failures == 0 {
            self.hold();
        }
        self.rest(retry, failures).await.ok_or(End::Stop)
    }

    /// A person has to act before the partition goes on.
    fn halted(&self, error: &dyn std::error::Error, failures: u32) {
        self.shared.metrics.halted.inc();
        let text = error.to_string();
        if failures == 0 {
            tracing::error!("{text}");
        }
        self.shared.sink_health.set(Err(text));
    }

    fn hold(&self) {
        self.send(Command::Hold {
            partition: self.partition.clone(),
        });
    }

    /// Tells everybody what is stored.
    fn note_stored(
        &mut self,
        writer: &PartitionWriter,
        plans: &Plans,
        records: &Records,
        stored: &Stored,
        attempt: u64,
    ) {
        let shared = Arc::clone(&self.shared);
        shared.sink_health.set(Ok(()));
        shared.errors.works();
        shared.metrics.stored(&self.partition, plans, stored);
        tracing::debug!(
            partition = %self.partition, start = records.start, end = records.end(), records = stored.records,
            computing = ?stored.computing, waiting = ?stored.waiting, "batch stored"
        );
        self.note(writer.next(), writer.state());
        let oldest = records.get(0).and_then(|record| record.timestamp);
        let (now, time) = (tokio::time::Instant::now(), Timestamp::now());
        if let Some(handover) = self.ownership.stored(oldest, now, time) {
            tracing::info!(partition = %self.partition, pause_ms = handover.pause_ms, "taken over");
        }
        let load = shared.load.stored(stored.records, stored.computing);
        self.send(Command::Stored {
            partition: self.partition.clone(),
            attempt,
            next: writer.next(),
            metadata: self.telemetry(writer.state(), load),
        });
    }

    /// One clear line when trouble begins, then silence until it ends.
    fn sink_failed(&self, error: &SinkError, failures: u32) {
        self.shared.metrics.sink_error(error.kind);
        self.shared.sink_health.set(Err(error.to_string()));
        if failures == 0 {
            tracing::warn!(partition = %self.partition, kind = error.kind.label(), "{error}; retrying");
        }
    }

    async fn pause_before_reclaim(&self, backoff: Backoff, failures: u32) -> End {
        if self.rest(backoff, failures).await.is_none() {
            End::Stop
        } else {
            End::Reclaim
        }
    }

    /// Waits before a retry; `None` when the partition is given up meanwhile.
    async fn rest(&self, backoff: Backoff, failures: u32) -> Option<()> {
        tokio::select! {
            () = self.stop.cancelled() => None,
            () = tokio::time::sleep(backoff.delay(failures, rand::random())) => Some(()),
        }
    }

    fn note(&self, next: i64, state: &PartitionState) {
        if let Ok(mut progress) = self.shared.progress.lock() {
            progress.note(&self.partition, next, state);
        }
    }

    fn send(&self, command: Command) {
        if self.shared.commands.send(command).is_err() {
            tracing::debug!(partition = %self.partition, "the reader has ended");
        }
    }

    /// What the operator and the scaler learn from Kafka alone.
    fn telemetry(&self, state: &PartitionState, load: Option<Report>) -> String {
        let totals = state.audit.totals();
        let report = Telemetry {
            records_per_busy_second: load.map(|load| load.records_per_busy_second),
            sink_wait_share: load.map(|load| load.sink_wait_share),
            newest_event_ms: state.newest,
            rows: Some(state.rows.clone()),
            dead_letters: state.dead_letters,
            audit: AuditCounts {
                missing: totals.missing,
                doubled: totals.doubled,
                reordered: totals.reordered,
            },
            worker: self.shared.owner.clone(),
            handover: self.ownership.handover(),
        };
        report.encode().unwrap_or_else(|error| {
            tracing::debug!(%error, "the report for the committed offset");
            String::new()
        })
    }
}
