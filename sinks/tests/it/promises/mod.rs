//! What every transactional sink promises, as tests that run over each of them, and what these need.

mod models;
mod questions;
mod tables;
mod transactions;
mod write_modes;

use std::sync::Arc;

use api::{MergeColumn, MergeFunction, Partition, PipelineName, Table, TableName, Write};
use arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use sinks::{
    Advance, Claim, DeadLetter, Lease, ReferenceDefinition, RowsError, Sink, SinkError, SinkErrorKind,
    TableDefinition,
};

pub(crate) use models::*;
pub(crate) use questions::*;
pub(crate) use tables::*;
pub(crate) use transactions::*;
pub(crate) use write_modes::*;

/// Where a test's tables are: an empty database of its own.
pub(crate) trait Home {
    /// A sink in it.
    fn sink(&self, pipeline: &str, tables: Vec<TableDefinition>) -> impl Future<Output = Sink>;
    /// Runs SQL as a user would by hand.
    fn by_hand(&self, sql: &str) -> impl Future<Output = ()>;
}

/// Runs every promise over the home that the expression makes.
macro_rules! promises {
    // What every sink promises.
    (of every sink, $home:expr) => {
        $crate::promises::promises! {
            $home;
            append_keeps_every_row,
            a_large_batch_is_stored_whole,
            insert_once_keeps_the_first,
            upsert_keeps_the_last,
            upsert_keeps_the_latest,
            upsert_without_values_keeps_one,
            merge_adds_up_and_compares,
            merge_adds_each_part_once,
            a_sum_that_overflows_is_the_rows_fault,
            partitions_merge_into_the_same_rows,
            a_bad_row_is_undone_alone,
            dead_letters_are_stored_once_with_their_bytes,
            many_dead_letters_are_stored,
            dead_letters_go_with_their_transaction,
            a_claim_finds_what_was_stored,
            an_older_lease_cannot_commit,
            a_batch_that_begins_elsewhere_cannot_commit,
            a_dropped_transaction_leaves_nothing,
            pipelines_do_not_disturb_each_other,
            preparing_again_does_nothing,
            a_new_column_is_added,
            questions_are_answered_as_text,
            questions_cannot_change_anything,
        }
    };
    ($home:expr) => {
        $crate::promises::promises!(of every sink, $home);
        // What sinks promise that have references and models, and are asked by SQL of a user's own.
        $crate::promises::promises! {
            $home;
            what_would_change_stored_rows_is_refused,
            an_unprepared_table_is_refused,
            a_reference_is_loaded_when_it_changes,
            a_reference_that_cannot_be_loaded_stays_as_it_was,
            a_model_is_its_querys_answer,
            a_model_follows_its_query,
            a_model_that_fails_leaves_its_rows,
            a_model_does_not_touch_what_is_not_its_own,
            values_of_a_question_are_bound,
        }
    };
    ($home:expr; $($name:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            $crate::promises::$name(&$home.await).await;
        })*
    };
}
pub(crate) use promises;

pub(crate) fn pipeline(name: &str) -> PipelineName {
    PipelineName::new(name).unwrap()
}

pub(crate) fn partition(number: i32) -> Partition {
    Partition {
        topic: "plays".into(),
        number,
    }
}

pub(crate) fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

pub(crate) fn definition(name: &str, write: Write, fields: &[(&str, DataType)]) -> TableDefinition {
    let fields: Vec<Field> = fields
        .iter()
        .map(|(name, data_type)| Field::new(*name, data_type.clone(), true))
        .collect();
    let table = Table {
        name: TableName::new(name).unwrap(),
        sql: String::new(),
        write,
        indexes: Vec::new(),
    };
    TableDefinition {
        table,
        schema: Arc::new(Schema::new(fields)),
    }
}

/// `plays(id, name, amount)`.
pub(crate) fn plays(write: Write) -> TableDefinition {
    definition(
        "plays",
        write,
        &[
            ("id", DataType::Int32),
            ("name", DataType::Utf8),
            ("amount", DataType::Int64),
        ],
    )
}

pub(crate) type Play = (Option<i32>, Option<&'static str>, Option<i64>);

pub(crate) fn play(id: i32, name: &'static str, amount: i64) -> Play {
    (Some(id), Some(name), Some(amount))
}

pub(crate) fn play_rows(rows: &[Play]) -> RecordBatch {
    let ids: Int32Array = rows.iter().map(|row| row.0).collect();
    let names: StringArray = rows.iter().map(|row| row.1).collect();
    let amounts: Int64Array = rows.iter().map(|row| row.2).collect();
    let columns: [(&str, ArrayRef); 3] = [
        ("id", Arc::new(ids)),
        ("name", Arc::new(names)),
        ("amount", Arc::new(amounts)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

pub(crate) fn advance(start: Option<i64>, end: i64) -> Advance {
    Advance {
        start,
        end,
        state: format!(r#"{{"end": {end}}}"#),
        intent: None,
    }
}

pub(crate) async fn claim(sink: &Sink, number: i32) -> Claim {
    sink.claim(&partition(number), "test").await.unwrap()
}

/// Writes batches into table 0, each in a transaction of its own, from the partition's beginning.
pub(crate) async fn store(sink: &Sink, batches: &[RecordBatch]) {
    let claim = claim(sink, 0).await;
    let mut start = claim.next_offset;
    for batch in batches {
        let end = start.unwrap_or(0) + batch.num_rows() as i64;
        let mut transaction = sink.begin(&claim.lease).await.unwrap();
        transaction.write(0, std::slice::from_ref(batch)).await.unwrap();
        transaction.commit(&advance(start, end)).await.unwrap();
        start = Some(end);
    }
}

/// The answer's rows, cells separated by `|`.
pub(crate) async fn rows(sink: &Sink, sql: &str) -> Vec<String> {
    let answer = sink.query(sql, &[]).await.unwrap();
    let text = |cell: &Option<String>| cell.clone().unwrap_or_else(|| "NULL".to_owned());
    answer
        .texts()
        .iter()
        .map(|row| row.iter().map(text).collect::<Vec<_>>().join("|"))
        .collect()
}

const ALL_PLAYS: &str = "SELECT id, name, amount FROM plays ORDER BY id, name, amount";

pub(crate) async fn prepared(home: &impl Home, tables: Vec<TableDefinition>) -> Sink {
    let sink = home.sink("music", tables).await;
    sink.prepare().await.unwrap();
    sink
}
