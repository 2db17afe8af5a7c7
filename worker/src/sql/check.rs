//! What a table's SQL may be: it is run over one batch after another, so it must mean the same whatever the
//! batches are.

use api::{MergeFunction, Table, Write};
use arrow::datatypes::Schema;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// Why a plan was refused: the problem, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) problem: String,
    pub(super) remedy: String,
}

fn refuse<T>(problem: impl Into<String>, remedy: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal {
        problem: problem.into(),
        remedy: remedy.into(),
    })
}

/// The one topic that the plan reads, or why it is refused.
pub(super) fn topic_of(plan: &LogicalPlan, topics: &[&str]) -> Result<String, Refusal> {
    let mut read: Vec<String> = scans(plan)
        .into_iter()
        .filter(|name| topics.contains(&name.as_str()))
        .collect();
    read.sort();
    read.dedup();
    match read.as_slice() {
        [topic] => Ok(topic.clone()),
        [] => refuse(
            "the query reads no topic",
            format!("select FROM one of {}", topics.join(", ")),
        ),
        several => refuse(
            format!("the query reads several topics: {}", several.join(", ")),
            "write one table for each topic; tables with the same key can be joined in a report or model",
        ),
    }
}

/// Names of all tables that are scanned, repeated as often as they are.
fn scans(plan: &LogicalPlan) -> Vec<String> {
    let mut names = Vec::new();
    // The closure never fails.
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            names.push(scan.table_name.table().to_owned());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    names
}

/// Refuses what would depend on where one batch ends and the next begins.
pub(super) fn batch_independent(plan: &LogicalPlan, topic: &str, table: &Table) -> Result<(), Refusal> {
    let mut verdict = Ok(());
    let merges = matches!(table.write, Write::Merge { .. });
    let _ = plan.apply_with_subqueries(|node| {
        verdict = node_independent(node, topic, merges);
        Ok(if verdict.is_ok() {
            TreeNodeRecursion::Continue
        } else {
            TreeNodeRecursion::Stop
        })
    });
    verdict
}

fn node_independent(node: &LogicalPlan, topic: &str, merges: bool) -> Result<(), Refusal> {
    let reads_topic = |plan: &LogicalPlan| scans(plan).iter().any(|name| name == topic);
    let per_batch = "the query runs over one batch of records after another, so its result would depend on where batches end";
    match node {
        LogicalPlan::Limit(limit) if reads_topic(&limit.input) => refuse(
            format!("LIMIT: {per_batch}"),
            "leave it out, and limit in a report",
        ),
        LogicalPlan::Window(window) if reads_topic(&window.input) => refuse(
            format!("a window function: {per_batch}"),
            "use it in a model or report over the stored table",
        ),
        LogicalPlan::Join(join) if reads_topic(&join.left) && reads_topic(&join.right) => refuse(
            format!("the topic is joined with itself: {per_batch}"),
            "store the two sides as tables, and join them in a report or model",
        ),
        LogicalPlan::Distinct(_) if !merges && reads_topic(node) => refuse(
            format!("DISTINCT: {per_batch}"),
            "use write: {insertOnce: {key: […]}}, which keeps one row of each key over all batches",
        ),
        LogicalPlan::Aggregate(aggregate) if reads_topic(&aggregate.input) => {
            if merges {
                aggregate.aggr_expr.iter().try_for_each(mergeable)
            } else {
                refuse(
                    format!("GROUP BY or an aggregate: {per_batch}"),
                    "use write: {merge: {key: […], sum: […]}}, which adds batches up in the sink",
                )
            }
        }
        _ => Ok(()),
    }
}

/// Whether results of this aggregate over two batches can be made into the one over both.
fn mergeable(expr: &Expr) -> Result<(), Refusal> {
    let Expr::AggregateFunction(call) = expr.clone().unalias_nested().data else {
        return Ok(());
    };
    let name = call.func.name();
    if call.params.distinct {
        return refuse(
            format!("{name}(DISTINCT …) of two batches cannot be added up"),
            "keep the distinct values in a table of their own with write: {insertOnce: {key: […]}}, and count them in a report",
        );
    }
    match name {
        "sum" | "count" | "min" | "max" | "bool_or" | "bool_and" => Ok(()),
        "avg" => refuse(
            "avg of two batches cannot be merged",
            "store sum(x) and count(x) as merged sums, and divide them in a report",
        ),
        _ => refuse(
            format!("{name} of two batches cannot be merged"),
            "use sum, count, min or max",
        ),
    }
}

/// Checks that the columns that the write mode names are columns of the query.
pub(super) fn columns(schema: &Schema, table: &Table) -> Result<(), Refusal> {
    let available = || {
        schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let known = |column: &str| schema.field_with_name(column).is_ok();
    let missing = |what: &str, column: &str| {
        refuse(
            format!("{what} names {column:?}, which the query does not give"),
            format!("its columns are {}", available()),
        )
    };
    let mut seen = std::collections::BTreeSet::new();
    for field in schema.fields() {
        if !seen.insert(field.name()) {
            return refuse(
                format!("the query gives the column {:?} twice", field.name()),
                "rename one with AS",
            );
        }
    }
    for column in table.write.key() {
        if !known(column) {
            return missing("the key", column);
        }
    }
    for column in table.indexes.iter().flatten() {
        if !known(column) {
            return missing("an index", column);
        }
    }
    match &table.write {
        Write::Upsert {
            latest_by: Some(column),
            ..
        } if !known(column) => missing("latestBy", column),
        Write::Merge { key, columns } => {
            for column in columns {
                if !known(&column.name) {
                    return missing("merge", &column.name);
                }
                let numeric = schema
                    .field_with_name(&column.name)
                    .is_ok_and(|field| field.data_type().is_numeric());
                if column.function == MergeFunction::Sum && !numeric {
                    return refuse(
                        format!("the column {:?} is not a number, so it has no sum", column.name),
                        "use min or max, or make it part of the key",
                    );
                }
            }
            let unmerged = schema
                .fields()
                .iter()
                .map(|field| field.name())
                .find(|name| !key.contains(name) && !columns.iter().any(|column| column.name == **name));
            match unmerged {
                Some(column) => refuse(
                    format!("the column {column:?} is neither in the key nor merged"),
                    "add it to key, sum, min or max",
                ),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}
