//! Metrics for Prometheus, read from [`Progress`] when they are asked for.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::progress::Progress;

/// Registers the generator's metrics, all of them named `streampipeline_generator_…`.
pub fn register(registry: &mut Registry, progress: Arc<Progress>) {
    registry.register_collector(Box::new(Metrics(progress)));
}

#[derive(Debug)]
struct Metrics(Arc<Progress>);

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let progress = &self.0;
        let counters = [
            (
                "events",
                "Events produced; committed ones, where they are produced in transactions",
                progress.events(),
            ),
            (
                "bytes",
                "Bytes of the keys and values of events produced",
                progress.bytes(),
            ),
            (
                "interruptions",
                "Times that the rate could not be kept and events went on at their rate instead of catching up",
                progress.interruptions(),
            ),
        ];
        for (name, help, value) in counters {
            let name = format!("streampipeline_generator_{name}");
            let metric = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(metric)?;
        }
        let mut transactions = encoder.encode_descriptor(
            "streampipeline_generator_transactions",
            "Kafka transactions by outcome; the events of aborted ones are produced again",
            None,
            MetricType::Counter,
        )?;
        for (outcome, value) in [
            ("committed", progress.committed_transactions()),
            ("aborted", progress.aborted_transactions()),
        ] {
            let labels = [("outcome", outcome)];
            ConstCounter::new(value).encode(transactions.encode_family(&labels)?)?;
        }
        let behind = encoder.encode_descriptor(
            "streampipeline_generator_behind_seconds",
            "How late the next event is",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(progress.behind().as_secs_f64()).encode(behind)?;
        let shards = encoder.encode_descriptor(
            "streampipeline_generator_shards",
            "Shards that this replica holds",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(progress.shards()).encode(shards)
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn metrics_say_what_progress_says() {
        let progress = Arc::new(Progress::new(4, 1));
        let mut registry = Registry::default();
        register(&mut registry, Arc::clone(&progress));
        progress.produced(7, 700);
        progress.transaction_aborted();
        progress.set_behind(0, 1_500_000);
        progress.set_position(2, Some(0));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "streampipeline_generator_events_total 7",
            "streampipeline_generator_bytes_total 700",
            "streampipeline_generator_transactions_total{outcome=\"committed\"} 0",
            "streampipeline_generator_transactions_total{outcome=\"aborted\"} 1",
            "streampipeline_generator_behind_seconds 1.5",
            "streampipeline_generator_shards 1",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in\n{text}");
        }
    }
}
