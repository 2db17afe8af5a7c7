//! Prometheus metrics, once a batch. All labels are bounded by the manifest.

use api::Partition;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::sql::Plans;
use crate::store::Stored;
use sinks::SinkErrorKind;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TopicLabel {
    topic: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TableLabel {
    table: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LetterLabel {
    topic: String,
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

/// The metrics of all workers of a process; cloning gives another handle to the same ones.
#[derive(Debug, Clone)]
pub struct Metrics {
    records: Family<TopicLabel, Counter>,
    rows: Family<TableLabel, Counter>,
    dead_letters: Family<LetterLabel, Counter>,
    sink_errors: Family<KindLabel, Counter>,
    computing: Histogram,
    waiting: Histogram,
    pub(crate) fenced: Counter,
    pub(crate) halted: Counter,
    pub(crate) kafka_errors: Counter,
    pub(crate) partitions: Gauge,
}

impl Metrics {
    /// The names and labels under which they are scraped are fixed here.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let metrics = Self {
            records: Family::default(),
            rows: Family::default(),
            dead_letters: Family::default(),
            sink_errors: Family::default(),
            computing: seconds(),
            waiting: seconds(),
            fenced: Counter::default(),
            halted: Counter::default(),
            kafka_errors: Counter::default(),
            partitions: Gauge::default(),
        };
        let worker = registry.sub_registry_with_prefix("streampipeline_worker");
        worker.register(
            "records",
            "Records stored or dead-lettered",
            metrics.records.clone(),
        );
        worker.register("rows", "Rows written", metrics.rows.clone());
        worker.register(
            "dead_letters",
            "Records that could not be stored",
            metrics.dead_letters.clone(),
        );
        worker.register(
            "sink_errors",
            "Errors of the sink by what was to be done",
            metrics.sink_errors.clone(),
        );
        worker.register_with_unit(
            "batch_computing",
            "Time for decoding and SQL, of a batch",
            Unit::Seconds,
            metrics.computing.clone(),
        );
        worker.register_with_unit(
            "batch_sink",
            "Time that the sink took, of a batch",
            Unit::Seconds,
            metrics.waiting.clone(),
        );
        worker.register(
            "fenced",
            "Times that another worker owned a partition",
            metrics.fenced.clone(),
        );
        worker.register(
            "halted",
            "Times that a batch was held back for its share of bad records",
            metrics.halted.clone(),
        );
        worker.register(
            "kafka_errors",
            "Errors that the Kafka client reported",
            metrics.kafka_errors.clone(),
        );
        worker.register(
            "partitions",
            "Partitions assigned to the workers of this process",
            metrics.partitions.clone(),
        );
        metrics
    }

    /// Counts a stored batch.
    pub(crate) fn stored(&self, partition: &Partition, plans: &Plans, stored: &Stored) {
        let topic = || partition.topic.to_string();
        self.records
            .get_or_create(&TopicLabel { topic: topic() })
            .inc_by(stored.records);
        for (table, rows) in &stored.rows {
            if let Some(definition) = plans.definitions().get(*table) {
                self.rows
                    .get_or_create(&TableLabel {
                        table: definition.table.name.to_string(),
                    })
                    .inc_by(*rows);
            }
        }
        for (stage, letters) in &stored.dead_letters {
            self.dead_letters
                .get_or_create(&LetterLabel {
                    topic: topic(),
                    stage,
                })
                .inc_by(*letters);
        }
        self.computing.observe(stored.computing.as_secs_f64());
        self.waiting.observe(stored.waiting.as_secs_f64());
    }

    /// Counts an error of the sink.
    pub(crate) fn sink_error(&self, kind: SinkErrorKind) {
        self.sink_errors
            .get_or_create(&KindLabel { kind: kind.label() })
            .inc();
    }
}
