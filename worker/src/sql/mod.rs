//! SQL over batches: each table's query is planned once and run for every batch.

mod check;
mod functions;
mod instances;
mod topic;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use api::{Field, Pipeline, Table};
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use futures::FutureExt;
use jiff::Timestamp;

use crate::decode::Decoder;
use functions::BatchInstant;
use instances::Instances;
use sinks::TableDefinition;
use topic::{CurrentBatch, topic_table};

#[cfg(test)]
mod tests;

/// Memory that the queries of one worker may use together.
const MEMORY_LIMIT: usize = 128 * 1024 * 1024;

/// Longest that one batch's queries may take.
const TIME_LIMIT: Duration = Duration::from_mins(1);

/// Why a table's SQL is refused.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}; {remedy}")]
pub struct PlanError {
    /// Path in the manifest: `spec.tables[1].sql`.
    pub path: String,
    /// What is wrong, with line and column in the SQL where they are known.
    pub problem: String,
    /// The remedy, or where to read about it.
    pub remedy: String,
}

/// Why a batch's query failed: for what is in its records.
#[derive(Debug, thiserror::Error)]
#[error("table {table}: {problem}")]
pub struct TransformError {
    /// As the manifest names it.
    pub table: String,
    /// What happened, for a person.
    pub problem: String,
}

/// Every table's SQL, planned for as many batches at a time as it was made for.
pub struct Plans {
    decoders: BTreeMap<String, Decoder>,
    definitions: Vec<TableDefinition>,
    config: SessionConfig,
    runtime: Arc<RuntimeEnv>,
    instances: Instances,
}

impl std::fmt::Debug for Plans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plans")
            .field("definitions", &self.definitions)
            .finish_non_exhaustive()
    }
}

/// The plans of all tables, once: for one batch at a time, since `now()` is that batch's.
struct Instance {
    now: BatchInstant,
    /// By topic, in the order in which tables are written.
    tables: BTreeMap<String, Vec<TablePlan>>,
}

#[derive(Debug)]
struct TablePlan {
    /// Index in the definitions.
    table: usize,
    name: String,
    plan: Arc<dyn ExecutionPlan>,
}

/// Rows of one table, out of one batch.
#[derive(Debug, Clone)]
pub struct TableRows {
    /// Index of the table in [`Plans::definitions`].
    pub table: usize,
    /// In pieces, as the query gave them.
    pub rows: Vec<RecordBatch>,
}

impl TableRows {
    /// Rows over all pieces.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.iter().map(RecordBatch::num_rows).sum()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A reference's rows, for joins.
#[derive(Debug)]
pub struct ReferenceRows {
    /// As SQL names it.
    pub name: String,
    /// Of all batches.
    pub schema: SchemaRef,
    /// May be empty where only the plan is wanted.
    pub batches: Vec<RecordBatch>,
}

/// What plans are made from.
#[derive(Debug, Clone, Copy)]
pub struct Queries<'a> {
    /// Topics by name, with the fields of their records.
    pub topics: &'a [(&'a str, &'a [Field])],
    /// Each reads one of the topics.
    pub tables: &'a [Table],
}

impl Plans {
    /// Plans every table of the pipeline, for `at_once` batches at the same time.
    ///
    /// # Errors
    /// All refused tables, each with its path.
    pub async fn new(
        pipeline: &Pipeline,
        references: Vec<ReferenceRows>,
        at_once: usize,
    ) -> Result<Self, Vec<PlanError>> {
        let topics: Vec<(&str, &[Field])> = pipeline
            .topics
            .iter()
            .map(|topic| (topic.name.as_str(), topic.fields.as_slice()))
            .collect();
        let queries = Queries {
            topics: &topics,
            tables: &pipeline.tables,
        };
        Self::of(queries, references, at_once).await
    }

    /// The same of queries, wherever they come from.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub async fn of(
        queries: Queries<'_>,
        references: Vec<ReferenceRows>,
        at_once: usize,
    ) -> Result<Self, Vec<PlanError>> {
        let mut config = SessionConfig::new()
            .with_target_partitions(1)
            .with_batch_size(65_536);
        // Errors name the place in the SQL.
        config.options_mut().sql_parser.collect_spans = true;
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(MEMORY_LIMIT)))
            .build_arc()
            .map_err(|error| vec![internal("spec.tables", &error)])?;
        let mut decoders: BTreeMap<String, Decoder> = queries
            .topics
            .iter()
            .map(|(name, fields)| ((*name).to_owned(), Decoder::new(fields)))
            .collect();
        let references: Vec<(String, Arc<MemTable>)> = references
            .into_iter()
            .enumerate()
            .map(|(index, reference)| {
                let table = MemTable::try_new(reference.schema, vec![reference.batches]);
                let table =
                    table.map_err(|error| vec![internal(&format!("spec.references[{index}]"), &error)])?;
                Ok((reference.name, Arc::new(table)))
            })
            .collect::<Result<_, Vec<PlanError>>>()?;
        let mut definitions = Vec::new();
        let mut instances = Vec::new();
        for _ in 0..at_once.max(1) {
            let context = SessionContext::new_with_config_rt(config.clone(), Arc::clone(&runtime));
            let (instance, made) = Instance::plan(&context, queries, &decoders, &references).await?;
            definitions = made;
            instances.push(instance);
        }
        for (topic, decoder) in &mut decoders {
            let tables = instances.first().and_then(|instance| instance.tables.get(topic));
            let columns = tables
                .into_iter()
                .flatten()
                .flat_map(|table| topic::columns(&table.plan));
            decoder.read_only(&columns.collect());
        }
        Ok(Self {
            decoders,
            definitions,
            config,
            runtime,
            instances: Instances::new(instances),
        })
    }

    /// All tables with their columns, in the manifest's order.
    #[must_use]
    pub fn definitions(&self) -> &[TableDefinition] {
        &self.definitions
    }

    /// The decoder of a topic.
    #[must_use]
    pub fn decoder(&self, topic: &str) -> Option<&Decoder> {
        self.decoders.get(topic)
    }

    /// Runs every query over a batch of the topic, whose instant is `now`. Append tables come first. Waits while as many
    /// batches are worked on as the plans were made for.
    ///
    /// # Errors
    /// For what is in the records: a value out of range, a panic, too much memory or time.
    pub async fn transform(
        &self,
        topic: &str,
        batch: RecordBatch,
        now: Timestamp,
    ) -> Result<Vec<TableRows>, TransformError> {
        if batch.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let instance = self.instances.take().await;
        let Some(plans) = instance.tables.get(topic) else {
            return Ok(Vec::new());
        };
        instance.now.set(now);
        let config = self.config.clone().with_extension(Arc::new(CurrentBatch(batch)));
        let context = Arc::new(
            TaskContext::default()
                .with_session_config(config)
                .with_runtime(Arc::clone(&self.runtime)),
        );
        let mut tables = Vec::with_capacity(plans.len());
        for table in plans {
            let failed = |problem: String| TransformError {
                table: table.name.clone(),
                problem,
            };
            let run = async {
                // Join and aggregate nodes remember their last run.
                collect(reset_plan_states(Arc::clone(&table.plan))?, Arc::clone(&context)).await
            };
            let rows = match tokio::time::timeout(TIME_LIMIT, AssertUnwindSafe(run).catch_unwind()).await {
                Ok(Ok(Ok(rows))) => rows,
                Ok(Ok(Err(error))) => return Err(failed(brief(&error))),
                Ok(Err(_)) => return Err(failed("the query panicked".to_owned())),
                Err(_) => {
                    return Err(failed(format!(
                        "the query took longer than {} s",
                        TIME_LIMIT.as_secs()
                    )));
                }
            };
            tables.push(TableRows {
                table: table.table,
                rows,
            });
        }
        Ok(tables)
    }
}

impl Instance {
    /// Plans every table, and gives their definitions in the order of `queries`.
    async fn plan(
        context: &SessionContext,
        queries: Queries<'_>,
        decoders: &BTreeMap<String, Decoder>,
        references: &[(String, Arc<MemTable>)],
    ) -> Result<(Self, Vec<TableDefinition>), Vec<PlanError>> {
        let now = BatchInstant::default();
        context.register_udf(functions::now(now.clone()));
        for (index, (name, decoder)) in decoders.iter().enumerate() {
            topic_table(decoder.schema())
                .and_then(|table| context.register_table(quoted(name), Arc::new(table)))
                .map_err(|error| vec![internal(&format!("spec.topics[{index}]"), &error)])?;
        }
        for (index, (name, table)) in references.iter().enumerate() {
            context
                .register_table(quoted(name), Arc::<MemTable>::clone(table))
                .map_err(|error| vec![internal(&format!("spec.references[{index}]"), &error)])?;
        }
        let mut tables: BTreeMap<String, Vec<TablePlan>> =
            decoders.keys().map(|topic| (topic.clone(), Vec::new())).collect();
        let mut definitions: Vec<TableDefinition> = Vec::new();
        let mut errors = Vec::new();
        for (index, table) in queries.tables.iter().enumerate() {
            let path = format!("spec.tables[{index}]");
            match plan_table(context, queries, table, &path).await {
                Ok((topic, plan)) => {
                    definitions.push(TableDefinition {
                        table: table.clone(),
                        schema: plan.schema(),
                    });
                    if let Some(tables) = tables.get_mut(&topic) {
                        tables.push(TablePlan {
                            table: index,
                            name: table.name.to_string(),
                            plan,
                        });
                    }
                }
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        // Keyed tables hold row locks until the commit, so they are written last.
        for tables in tables.values_mut() {
            tables.sort_by_key(|plan| {
                definitions
                    .get(plan.table)
                    .is_some_and(|definition| !definition.table.write.key().is_empty())
            });
        }
        Ok((Self { now, tables }, definitions))
    }
}

async fn plan_table(
    context: &SessionContext,
    queries: Queries<'_>,
    table: &Table,
    path: &str,
) -> Result<(String, Arc<dyn ExecutionPlan>), PlanError> {
    let at = |member: &str, refusal: check::Refusal| PlanError {
        path: format!("{path}.{member}"),
        problem: refusal.problem,
        remedy: refusal.remedy,
    };
    let sql_path = format!("{path}.sql");
    let only_queries = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    let frame = context
        .sql_with_options(&table.sql, only_queries)
        .await
        .map_err(|error| sql_error(&sql_path, &error))?;
    let topics: Vec<&str> = queries.topics.iter().map(|(name, _)| *name).collect();
    let topic = check::topic_of(frame.logical_plan(), &topics).map_err(|refusal| at("sql", refusal))?;
    check::batch_independent(frame.logical_plan(), &topic, table).map_err(|refusal| at("sql", refusal))?;
    let schema: &Schema = frame.schema().as_arrow();
    check::columns(schema, table).map_err(|refusal| at("write", refusal))?;
    let plan = frame
        .create_physical_plan()
        .await
        .map_err(|error| sql_error(&sql_path, &error))?;
    Ok((topic, plan))
}

/// A name as SQL's quoted identifier, so that topics with dots and dashes are names too.
fn quoted(name: &str) -> datafusion::common::TableReference {
    datafusion::common::TableReference::bare(name)
}

fn internal(path: &str, error: &DataFusionError) -> PlanError {
    PlanError {
        path: path.to_owned(),
        problem: brief(error),
        remedy: "please report this".to_owned(),
    }
}

fn sql_error(path: &str, error: &DataFusionError) -> PlanError {
    let diagnostic = error.diagnostic();
    let place = diagnostic
        .and_then(|diagnostic| diagnostic.span)
        .map_or_else(String::new, |span| {
            format!(" at line {}, column {}", span.start.line, span.start.column)
        });
    let hints: Vec<&str> = diagnostic
        .map(|diagnostic| {
            diagnostic
                .helps
                .iter()
                .map(|help| help.message.as_str())
                .collect()
        })
        .unwrap_or_default();
    let remedy = match error.find_root() {
        _ if !hints.is_empty() => hints.join("; "),
        DataFusionError::SQL(..) => "fix the syntax there".to_owned(),
        _ => "see docs/sql.md for the tables, columns and functions there are".to_owned(),
    };
    PlanError {
        path: path.to_owned(),
        problem: format!("{}{place}", brief(error)),
        remedy,
    }
}

/// `DataFusion`'s message without its backtrace and prefixes.
fn brief(error: &DataFusionError) -> String {
    let message = match error.find_root() {
        DataFusionError::SQL(error, _) => error.to_string(),
        error => error.strip_backtrace(),
    };
    let message = message.lines().next().unwrap_or_default();
    for prefix in [
        "sql parser error: ",
        "Error during planning: ",
        "Schema error: ",
        "Execution error: ",
        "Arrow error: ",
    ] {
        if let Some(rest) = message.strip_prefix(prefix) {
            return rest.to_owned();
        }
    }
    message.to_owned()
}
