//! Metrics for Prometheus.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// The operator's metrics; a cheap handle.
#[derive(Debug, Clone)]
pub struct Metrics {
    reconciles: Family<ReconcileLabels, Counter>,
    durations: Histogram,
    writes: Family<WriteLabels, Counter>,
    kafka: Family<KafkaLabels, Counter>,
    pipelines: Gauge,
    leader: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    /// `Ok`, or the category of the error.
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KafkaLabels {
    what: &'static str,
    outcome: &'static str,
}

/// Seconds; one of the bounds is what a reconcile should keep to, 50 ms.
const DURATIONS: [f64; 14] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

impl Default for Metrics {
    fn default() -> Self {
        Self {
            reconciles: Family::default(),
            durations: Histogram::new(DURATIONS),
            writes: Family::default(),
            kafka: Family::default(),
            pipelines: Gauge::default(),
            leader: Gauge::default(),
        }
    }
}

impl Metrics {
    /// Names them in `registry`, all of them `streampipeline_operator_…`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("streampipeline_operator");
        registry.register(
            "reconciles",
            "Reconciles by outcome: Ok, or what went wrong",
            self.reconciles.clone(),
        );
        registry.register_with_unit(
            "reconcile_duration",
            "How long reconciles took",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register(
            "writes",
            "Objects written to the API server, by kind",
            self.writes.clone(),
        );
        registry.register(
            "kafka_queries",
            "Questions to Kafka (ensure: topics, read: lag) by outcome",
            self.kafka.clone(),
        );
        registry.register("pipelines", "Pipelines that are watched", self.pipelines.clone());
        registry.register(
            "leader",
            "1 while this process is the leader",
            self.leader.clone(),
        );
    }

    pub(crate) fn reconciled(&self, outcome: &'static str, duration: Duration) {
        self.reconciles.get_or_create(&ReconcileLabels { outcome }).inc();
        self.durations.observe(duration.as_secs_f64());
    }

    pub(crate) fn wrote(&self, kind: &'static str) {
        self.writes.get_or_create(&WriteLabels { kind }).inc();
    }

    pub(crate) fn kafka_asked(&self, what: &'static str, outcome: &'static str) {
        self.kafka.get_or_create(&KafkaLabels { what, outcome }).inc();
    }

    pub(crate) fn set_pipelines(&self, pipelines: usize) {
        self.pipelines.set(pipelines as i64);
    }

    pub(crate) fn set_leader(&self, leader: bool) {
        self.leader.set(i64::from(leader));
    }

    /// Objects written so far, all kinds together.
    #[must_use]
    pub fn writes(&self) -> u64 {
        let kinds = crate::kind::Kind::ALL.map(crate::kind::Kind::as_str);
        kinds
            .into_iter()
            .chain(["status"])
            .map(|kind| self.writes.get_or_create(&WriteLabels { kind }).get())
            .sum()
    }
}
