//! A batch that was begun in a sink without transactions, once more: the same records, the same rows, the same dead letters.

use std::ops::Range;
use std::time::Instant;

use sinks::{Intent, SinkErrorKind};

use super::part::{Part, Stored};
use super::{PartitionWriter, StoreError, write_tables};
use crate::decode::Decoded;
use crate::records::Records;
use crate::state::{PartitionState, records_digest};

/// What is said of a record that was refused when its batch was begun, and would not be now.
const REFUSED_BEFORE: &str = "it was refused when its batch was first computed, for a limit of time or memory that it \
                              does not meet now";

impl PartitionWriter {
    /// Finishes what somebody has begun. `records` must be all that there are from the batch's first offset to its end. After
    /// an error it may be called again.
    ///
    /// # Errors
    /// [`StoreError::Replaced`] if they are not those that the batch was begun with; [`StoreError::Differs`] if something
    /// else comes of them now.
    pub async fn finish(
        &mut self,
        records: &Records,
        intent: &Intent,
        stored: &mut Stored,
    ) -> Result<(), StoreError> {
        let Some(decoded) = self.decode(records, stored)? else {
            return Ok(());
        };
        self.repeat(records, &decoded, 0..records.len(), intent, stored)
            .await
    }

    /// The batch of the intent, which is made of the records of `range`.
    pub(super) async fn repeat(
        &mut self,
        records: &Records,
        decoded: &Decoded,
        range: Range<usize>,
        intent: &Intent,
        stored: &mut Stored,
    ) -> Result<(), StoreError> {
        if records_digest(records, range.clone()) != intent.records {
            return Err(StoreError::Replaced {
                partition: self.lease.partition.to_string(),
                start: intent.batch.start,
                end: intent.end,
            });
        }
        let started = Instant::now();
        let mut part = Part::new(records, decoded, range.clone());
        if let Some(letter) = part
            .letters
            .iter()
            .find(|letter| !intent.rejected.contains(letter.offset))
        {
            return Err(self.differs(letter.offset, &letter.error));
        }
        let mut transaction = self.sink.begin(&self.lease).await?;
        transaction.repeat(intent);
        for rows in pieces(&part, &intent.cuts) {
            let rejected = |row: &usize| {
                part.offset(*row)
                    .is_some_and(|offset| intent.rejected.contains(offset))
            };
            let count = rows.clone().filter(rejected).count();
            let offset = part.offset(rows.start).unwrap_or(intent.batch.start);
            if count > 0 && rows.len() > 1 {
                return Err(self.differs(offset, "a record that was refused before is not refused now"));
            }
            transaction.savepoint().await?;
            let computing = Instant::now();
            let transformed = self
                .transform(decoded, rows.clone(), intent.computed_with.now)
                .await;
            part.stored.computing += computing.elapsed();
            let refused = match transformed {
                Err(error) => Some(("sql", error.to_string())),
                Ok(tables) => match write_tables(&mut transaction, &tables).await {
                    Ok(()) => {
                        if count == 0 {
                            part.count(&tables);
                        }
                        None
                    }
                    Err(error) if error.kind == SinkErrorKind::Row => Some(("sink", error.to_string())),
                    Err(error) => return Err(error.into()),
                },
            };
            if count > 0 {
                transaction.rollback_to_savepoint().await?;
                let (stage, error) = refused.unwrap_or_else(|| ("sql", REFUSED_BEFORE.to_owned()));
                part.reject_row(rows.start, stage, error);
            } else if let Some((_, error)) = refused {
                return Err(self.differs(offset, &error));
            }
        }
        part.letters.sort_by_key(|letter| letter.offset);
        transaction.dead_letters(&part.letters).await?;
        let state = PartitionState::from_json(&intent.state).map_err(|error| self.batch_error(error))?;
        self.unfinished = Some(intent.clone());
        self.commit(transaction, super::advance(intent)).await?;
        self.moved(intent.end, state, &part);
        part.stored.waiting = started.elapsed().saturating_sub(part.stored.computing);
        stored.add(&part.stored);
        Ok(())
    }

    fn differs(&self, offset: i64, problem: &str) -> StoreError {
        StoreError::Differs {
            partition: self.lease.partition.to_string(),
            offset,
            problem: problem.to_owned(),
        }
    }
}

/// The rows that were computed together, piece by piece.
fn pieces(part: &Part<'_>, cuts: &[i64]) -> Vec<Range<usize>> {
    let mut pieces = Vec::with_capacity(cuts.len() + 1);
    let mut start = part.rows.start;
    for end in cuts
        .iter()
        .map(|offset| part.row_at(*offset))
        .chain([part.rows.end])
    {
        if start < end {
            pieces.push(start..end);
            start = end;
        }
    }
    pieces
}
