//! A batch that the partition's last owner began in a sink without transactions, and did not finish.
//!
//! Its rows may be stored in part, so it comes before everything else, and exactly as it was begun: the same records, under
//! the same plan, at the same instant. Only where its records are gone it is given up.

use std::sync::Arc;

use jiff::Timestamp;
use sinks::{Claim, Intent, Unfinished};

use super::{End, PartitionTask, REFUSED_RETRY, RETRY};
use crate::consumer::{Command, Finding, Input};
use crate::plan::{DocumentError, plan_again};
use crate::position::Watermarks;
use crate::records::Records;
use crate::sql::Plans;
use crate::state::PartitionState;
use crate::store::{PartitionWriter, StoreError, Stored};

/// A writer, and the plans that it has.
type Finisher = (PartitionWriter, Arc<Plans>);

impl PartitionTask {
    /// Finishes the batch or gives it up. Gives the claim and the state to go on with.
    pub(super) async fn finish(
        &mut self,
        unfinished: &Unfinished,
        claim: Claim,
        state: Option<PartitionState>,
        attempt: &mut u64,
    ) -> Result<(Claim, Option<PartitionState>), End> {
        let intent = &unfinished.intent;
        tracing::info!(
            partition = %self.partition, start = intent.batch.start, end = intent.end,
            "finishing a batch that another worker began"
        );
        let (mut writer, plans) = self.finisher(unfinished, &claim, state.clone()).await?;
        loop {
            let watermarks = self.watermarks().await.ok_or(End::Stop)?;
            if !has_records(intent, watermarks) {
                return Ok(self.give_up(intent, claim, state));
            }
            *attempt += 1;
            self.send(Command::Begin {
                partition: self.partition.clone(),
                attempt: *attempt,
                offset: intent.batch.start,
                until: Some(intent.end),
                verify: None,
            });
            match self.input_of(*attempt).await? {
                Input::Batch(batch) => {
                    let Some(stored) = self.repeat(&mut writer, &batch.records, intent).await? else {
                        return Ok(self.give_up(intent, claim, state));
                    };
                    self.note_stored(&writer, &plans, &batch.records, &stored, *attempt);
                    *attempt += 1;
                    let claim = Claim {
                        next_offset: Some(intent.end),
                        unfinished: None,
                        ..claim
                    };
                    return Ok((claim, Some(writer.state().clone())));
                }
                Input::Finding(Finding::Recreated) => return Ok(self.give_up(intent, claim, state)),
                Input::Finding(Finding::OutOfRange) => self.rest(RETRY, 0).await.ok_or(End::Stop)?,
                Input::Finding(Finding::Unreadable(error)) => {
                    self.unreadable(&error).await.ok_or(End::Stop)?;
                }
            }
        }
    }

    /// A writer under the plan that the batch was begun under. Waits for as long as there is none.
    async fn finisher(
        &self,
        unfinished: &Unfinished,
        claim: &Claim,
        state: Option<PartitionState>,
    ) -> Result<Finisher, End> {
        let shared = &self.shared;
        let mut failures = 0;
        let (sink, plans) = loop {
            if shared.sink.plan().map(|plan| &plan.hash) == Some(&unfinished.plan.hash) {
                break (shared.sink.clone(), Arc::clone(&shared.plans));
            }
            match plan_again(&unfinished.plan, &shared.pipeline).await {
                Ok(plans) => match shared.sink.under(unfinished.plan.clone(), plans.definitions()) {
                    Ok(sink) => break (sink, Arc::new(plans)),
                    Err(error) => self.sink_failed(&error, failures),
                },
                Err(error) => self.halted(&self.at(error), failures),
            }
            self.rest(REFUSED_RETRY, failures).await.ok_or(End::Stop)?;
            failures += 1;
        };
        let writer = PartitionWriter::new(
            sink,
            Arc::clone(&plans),
            shared.policy,
            claim,
            unfinished.intent.batch.start,
            state.unwrap_or_default(),
            Timestamp::now,
        );
        Ok((writer, plans))
    }

    fn at(&self, source: DocumentError) -> Unplanned {
        Unplanned {
            partition: self.partition.to_string(),
            source,
        }
    }

    /// What comes of reading for this attempt.
    async fn input_of(&mut self, attempt: u64) -> Result<Input, End> {
        loop {
            let input = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(End::Stop),
                input = self.input.recv() => input,
            };
            match input {
                None => return Err(End::Stop),
                Some(Input::Batch(batch)) if batch.attempt != attempt => {}
                Some(input) => return Ok(input),
            }
        }
    }

    /// `None` if the records are not those of the batch.
    async fn repeat(
        &self,
        writer: &mut PartitionWriter,
        records: &Records,
        intent: &Intent,
    ) -> Result<Option<Stored>, End> {
        let mut stored = Stored::default();
        let mut failures = 0;
        loop {
            let outcome = {
                let _turn = self.shared.concurrency.acquire().await.map_err(|_| End::Stop)?;
                let _in_hand = self.shared.load.take_in_hand();
                writer.finish(records, intent, &mut stored).await
            };
            match outcome {
                Ok(()) => return Ok(Some(stored)),
                Err(StoreError::Replaced { .. }) => return Ok(None),
                Err(error) => self.wait_to_retry(&error, failures).await?,
            }
            failures += 1;
        }
    }

    fn give_up(
        &self,
        intent: &Intent,
        claim: Claim,
        state: Option<PartitionState>,
    ) -> (Claim, Option<PartitionState>) {
        tracing::error!(
            partition = %self.partition, start = intent.batch.start, end = intent.end,
            "the records of a batch that another worker began are gone: its rows may be stored in part; the gap is kept \
             in the audit"
        );
        let mut state = state.unwrap_or_default();
        state.give_up(intent);
        let claim = Claim {
            unfinished: None,
            ..claim
        };
        (claim, Some(state))
    }
}

/// The plan of an unfinished batch cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{partition}: {source}")]
struct Unplanned {
    partition: String,
    source: DocumentError,
}

/// Whether the log still has, and has again, all offsets of a batch.
fn has_records(intent: &Intent, watermarks: Watermarks) -> bool {
    watermarks.low <= intent.batch.start && intent.end <= watermarks.high
}
