//! All shards in one process, without transactions: for the embedded broker, whose transactions are none. Every
//! start begins a new run.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::kafka::produce::ProduceError;
use tokio::task::JoinSet;

use super::sender::{Counters, Sender};
use super::{KafkaOutputError, KafkaTarget};
use crate::output::discard::from_the_start;
use crate::output::{Holding, Output, OutputError, Record, Written};
use crate::progress::Progress;

const FLUSH: Duration = Duration::from_secs(30);

/// Writes records with an idempotent producer.
pub struct Idempotent {
    sender: Sender,
    topic: Arc<str>,
    run: u64,
    counters: Vec<Counters>,
    progress: Arc<Progress>,
    /// Not yet announced; then nothing was sent either.
    shards: Option<Vec<u16>>,
    events: u64,
    bytes: u64,
}

impl fmt::Debug for Idempotent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idempotent")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

impl Idempotent {
    /// For these shards, in the run that begins at `now`, microseconds since 1970; threads that take part in one
    /// run are given the same instant. The work behind it becomes one of `drivers`.
    pub fn new(
        target: &KafkaTarget,
        shards: Vec<u16>,
        now: i64,
        progress: Arc<Progress>,
        drivers: &mut JoinSet<()>,
    ) -> Result<Self, KafkaOutputError> {
        Ok(Self {
            sender: Sender::new(target, None, drivers)?,
            topic: Arc::clone(&target.topic),
            run: now as u64,
            counters: vec![Counters::new(); usize::from(target.shards)],
            progress,
            shards: Some(shards),
            events: 0,
            bytes: 0,
        })
    }

    fn count(&mut self) {
        self.progress
            .produced(std::mem::take(&mut self.events), std::mem::take(&mut self.bytes));
    }

    fn undelivered(&self, source: ProduceError) -> KafkaOutputError {
        let topic = self.topic.to_string();
        match source {
            ProduceError::TimedOut { .. } => KafkaOutputError::Undelivered {
                topic,
                records: self.sender.under_way(),
                seconds: FLUSH.as_secs(),
            },
            source => KafkaOutputError::Delivery { topic, source },
        }
    }
}

impl Output for Idempotent {
    fn tick(&mut self, now: i64) -> Result<Option<Holding>, OutputError> {
        let shards = self.shards.take();
        if shards.is_some() {
            let topic = self.topic.to_string();
            self.sender
                .start()
                .map_err(|source| KafkaOutputError::Partitions { topic, source })?;
        }
        self.sender.tick(now).map_err(|source| self.undelivered(source))?;
        self.count();
        Ok(shards.map(|shards| from_the_start(shards, now)))
    }

    fn write(&mut self, record: Record<'_>) -> Result<Written, OutputError> {
        let Some(counters) = self.counters.get_mut(usize::from(record.shard)) else {
            return Ok(Written::Full);
        };
        let written = self.sender.send(record, self.run, counters);
        if written == Written::Taken {
            self.events += 1;
            self.bytes += (record.key.len() + record.value.len()) as u64;
        }
        Ok(written)
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        if self.shards.is_none() {
            self.sender
                .flush(FLUSH)
                .map_err(|source| self.undelivered(source))?;
        }
        self.count();
        Ok(())
    }

    fn is_complete(&mut self, _: &dyn Fn(u16) -> u64) -> Result<bool, OutputError> {
        Ok(true)
    }
}
