//! A topic as a table of one batch: the plan is made once, the batch travels in the task's context.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

/// The batch that a plan is run over.
pub(super) struct CurrentBatch(pub(super) RecordBatch);

/// Gives the context's batch as the topic's rows.
#[derive(Debug)]
struct TopicBatch {
    schema: SchemaRef,
}

impl PartitionStream for TopicBatch {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batch = context
            .session_config()
            .get_extension::<CurrentBatch>()
            .map(|current| current.0.clone())
            .ok_or_else(|| DataFusionError::Internal("a topic's plan was run without a batch".to_owned()));
        let stream = futures::stream::iter([batch]);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))
    }
}

/// The table of a topic whose batches have this schema.
pub(super) fn topic_table(schema: &SchemaRef) -> Result<StreamingTable> {
    StreamingTable::try_new(
        Arc::clone(schema),
        vec![Arc::new(TopicBatch {
            schema: Arc::clone(schema),
        })],
    )
}

/// Columns of the topic that a plan reads, by their index.
pub(super) fn columns(plan: &Arc<dyn ExecutionPlan>) -> BTreeSet<usize> {
    let mut columns: BTreeSet<usize> = plan.children().into_iter().flat_map(columns).collect();
    if let Some(scan) = plan.downcast_ref::<StreamingTableExec>() {
        match scan.projection() {
            Some(projection) => columns.extend(projection.iter()),
            None => columns.extend(0..scan.partition_schema().fields().len()),
        }
    }
    columns
}
