//! What a worker tells the operator about a partition, in the metadata of the offset that it commits: the
//! operator needs nothing but Kafka to decide and to report.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Longest text: Kafka's default `offset.metadata.max.bytes` is 4096.
pub const MAX_LEN: usize = 4000;

/// A worker's report on one partition. Short names on the wire, and what is absent there is zero or unknown,
/// so that old and new versions read each other.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Telemetry {
    /// Records a second of the time that the whole worker was busy (not waiting for records): what it could do.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub records_per_busy_second: Option<f64>,
    /// Share of its busy time that the worker waited for the sink; 0..=1.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub sink_wait_share: Option<f64>,
    /// Newest event time of the partition, milliseconds since 1970.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub newest_event_ms: Option<i64>,
    /// Rows stored from this partition since its beginning, by table; absent when they did not fit.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<BTreeMap<String, u64>>,
    /// Dead letters of this partition since its beginning.
    #[serde(rename = "d", default)]
    pub dead_letters: u64,
    /// The audit of this partition since its beginning.
    #[serde(rename = "a", default)]
    pub audit: AuditCounts,
    /// The worker that reads the partition: its pod's name in a cluster.
    #[serde(rename = "o", default, skip_serializing_if = "String::is_empty")]
    pub worker: String,
    /// How that worker came by it; absent if nobody had stored anything of the partition before.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub handover: Option<Handover>,
}

/// A partition went from one worker to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// When the new owner stored its first batch, milliseconds since 1970.
    #[serde(rename = "t")]
    pub at_ms: i64,
    /// For how long records had waited for that, while nobody stored any: milliseconds.
    #[serde(rename = "p")]
    pub pause_ms: u64,
}

/// Records that were not there exactly once and in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AuditCounts {
    /// Numbers that were skipped and have not come since.
    #[serde(rename = "m", default)]
    pub missing: u64,
    /// Numbers that came again.
    #[serde(rename = "d", default)]
    pub doubled: u64,
    /// Numbers that came after a later one.
    #[serde(rename = "r", default)]
    pub reordered: u64,
}

/// The metadata of a committed offset is not a worker's report.
#[derive(Debug, thiserror::Error)]
#[error(
    "the committed offset's metadata is not a worker's report: did another program commit to this group?"
)]
pub struct TelemetryError(#[source] serde_json::Error);

impl Telemetry {
    /// The text for the offset's metadata. Rows by table are left out if they make it longer than [`MAX_LEN`].
    ///
    /// # Errors
    /// Never for reports whose numbers are finite.
    pub fn encode(&self) -> Result<String, TelemetryError> {
        let text = serde_json::to_string(self).map_err(TelemetryError)?;
        if text.len() <= MAX_LEN {
            return Ok(text);
        }
        serde_json::to_string(&Self {
            rows: None,
            ..self.clone()
        })
        .map_err(TelemetryError)
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` for an offset that was committed without a report.
    pub fn decode(text: &str) -> Result<Option<Self>, TelemetryError> {
        if text.is_empty() {
            Ok(None)
        } else {
            serde_json::from_str(text).map(Some).map_err(TelemetryError)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn telemetry(tables: usize) -> Telemetry {
        Telemetry {
            records_per_busy_second: Some(12_345.5),
            sink_wait_share: Some(0.25),
            newest_event_ms: Some(1_795_240_101_123),
            rows: Some(
                (0..tables)
                    .map(|table| (format!("table_{table:040}"), u64::MAX))
                    .collect(),
            ),
            dead_letters: 3,
            audit: AuditCounts {
                missing: 1,
                doubled: 2,
                reordered: 4,
            },
            worker: "music-worker-5d-x".to_owned(),
            handover: Some(Handover {
                at_ms: 1_795_240_100_000,
                pause_ms: 850,
            }),
        }
    }

    /// Operator and workers of different versions meet during an upgrade.
    #[test]
    fn the_names_on_the_wire_are_fixed() {
        let report = Telemetry {
            rows: Some(BTreeMap::from([("plays".to_owned(), 7)])),
            ..telemetry(0)
        };
        let text = r#"{"r":12345.5,"w":0.25,"t":1795240101123,"n":{"plays":7},"d":3,"a":{"m":1,"d":2,"r":4},"o":"music-worker-5d-x","h":{"t":1795240100000,"p":850}}"#;
        assert_eq!(report.encode().unwrap(), text);
        assert_eq!(Telemetry::decode(text).unwrap(), Some(report));
    }

    #[test]
    fn unknown_stays_unknown_and_additions_of_later_versions_are_ignored() {
        assert_eq!(Telemetry::decode("").unwrap(), None);
        assert_eq!(
            Telemetry::decode(r#"{"z":1}"#).unwrap(),
            Some(Telemetry::default())
        );
        let text = Telemetry::default().encode().unwrap();
        assert_eq!(Telemetry::decode(&text).unwrap(), Some(Telemetry::default()));
        assert!(Telemetry::decode("1BwAAAAAA").is_err());
    }

    #[test]
    fn rows_are_left_out_before_kafka_refuses_the_offset() {
        let fits = telemetry(50);
        assert_eq!(Telemetry::decode(&fits.encode().unwrap()).unwrap(), Some(fits));
        let long = telemetry(60);
        let text = long.encode().unwrap();
        assert!(text.len() <= MAX_LEN);
        assert_eq!(
            Telemetry::decode(&text).unwrap(),
            Some(Telemetry { rows: None, ..long })
        );
    }
}
