//! Columns that every topic's table has besides its fields: where a record came from.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringBuilder, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::records::{Record, Records};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metadata {
    Partition,
    Offset,
    Timestamp,
    Key,
}

impl Metadata {
    /// In the order of the columns.
    pub(super) const ALL: [Self; 4] = [Self::Partition, Self::Offset, Self::Timestamp, Self::Key];

    pub(super) fn field(self) -> Field {
        let (name, data_type) = match self {
            Self::Partition => ("_partition", DataType::Int32),
            Self::Offset => ("_offset", DataType::Int64),
            Self::Timestamp => ("_timestamp", DataType::Timestamp(TimeUnit::Microsecond, None)),
            Self::Key => ("_key", DataType::Utf8),
        };
        Field::new(name, data_type, true)
    }

    /// The column for the records with these indices.
    pub(super) fn array(self, records: &Records, rows: &[u32]) -> ArrayRef {
        let taken = || rows.iter().filter_map(|row| records.get(*row as usize));
        match self {
            Self::Partition => Arc::new(Int32Array::from_value(records.partition.number, rows.len())),
            Self::Offset => Arc::new(Int64Array::from_iter_values(taken().map(|record| record.offset))),
            Self::Timestamp => {
                let micros = |record: Record<'_>| record.timestamp.map(|millis| millis * 1_000);
                Arc::new(taken().map(micros).collect::<TimestampMicrosecondArray>())
            }
            Self::Key => {
                let mut keys = StringBuilder::with_capacity(rows.len(), rows.len() * 8);
                for record in taken() {
                    keys.append_option(record.key.map(String::from_utf8_lossy));
                }
                Arc::new(keys.finish())
            }
        }
    }
}
