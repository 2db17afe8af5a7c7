//! One batch's transaction.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use sqlx::postgres::PgCopyIn;
use sqlx::{PgConnection, Row};

use super::copy::{Encoder, HEADER, TRAILER};
use super::schema::PostgresDialect;
use super::{BATCH_LIMIT, Connection, Postgres, WRITING, classify, staging};
use crate::shape::evolution::Dialect;
use crate::shape::layout::Layout;
use crate::sql::quote_list;
use crate::{Advance, DeadLetter, Lease, SinkError, SinkErrorKind};

/// Bytes of rows that are sent at once: what the server reads at once, too, and its processor keeps near.
const CHUNK: usize = 64 * 1024;

/// One batch's transaction. Dropping it closes its connection, and the server rolls it back.
#[derive(Debug)]
pub struct Transaction {
    sink: Arc<Postgres>,
    connection: Connection,
    lease: Lease,
    /// Nothing was written since the last savepoint.
    fresh: bool,
    /// Staging tables that were made sure of in this transaction, and whether they hold rows.
    staged: HashMap<usize, bool>,
    /// Since a rollback to a savepoint it is not known what staging tables hold.
    rolled_back: bool,
    /// Tables that rows were copied into without a staging table.
    copied: BTreeSet<usize>,
}

impl Transaction {
    pub(super) async fn begin(sink: Arc<Postgres>, lease: &Lease) -> Result<Self, SinkError> {
        // Deferred constraints would be checked by COMMIT, when it is too late to find the row.
        let opening = format!(
            "{}; SET LOCAL application_name = '{}:{}'; SET CONSTRAINTS ALL IMMEDIATE; SAVEPOINT part",
            Postgres::opening(WRITING, BATCH_LIMIT),
            sink.session_tag(&lease.partition),
            lease.epoch
        );
        let context = || format!("beginning a batch of {}", lease.partition);
        let connection = sink.connections.open(&opening, context).await?;
        Ok(Self {
            sink,
            connection,
            lease: lease.clone(),
            fresh: true,
            staged: HashMap::new(),
            rolled_back: false,
            copied: BTreeSet::new(),
        })
    }

    pub(crate) async fn savepoint(&mut self) -> Result<(), SinkError> {
        if self.fresh {
            return Ok(());
        }
        self.fresh = true;
        let sql = "RELEASE SAVEPOINT part; SAVEPOINT part";
        let result = self.connection.run(sql, BATCH_LIMIT).await;
        result.map_err(|error| classify::other(self.context("setting a savepoint in"), error))
    }

    pub(crate) async fn rollback_to_savepoint(&mut self) -> Result<(), SinkError> {
        self.fresh = true;
        self.staged.clear();
        self.rolled_back = true;
        let result = self
            .connection
            .run("ROLLBACK TO SAVEPOINT part", BATCH_LIMIT)
            .await;
        result.map_err(|error| classify::other(self.context("undoing a part of"), error))
    }

    pub(crate) async fn write(&mut self, table: usize, rows: &[RecordBatch]) -> Result<(), SinkError> {
        let sink = Arc::clone(&self.sink);
        let Some(layout) = sink.tables.get(table) else {
            let problem = format!(
                "there is no table {table}: the sink was opened with {}",
                sink.tables.len()
            );
            return Err(SinkError::refused(self.context("writing"), problem));
        };
        if rows.iter().all(|batch| batch.num_rows() == 0) {
            return Ok(());
        }
        self.fresh = false;
        match staging::insert(&sink.schema, layout) {
            None => {
                self.copy(&sink.qualified(&layout.name), layout, rows).await?;
                self.copied.insert(table);
                Ok(())
            }
            Some(insert) => {
                self.empty_stage(table, layout).await?;
                self.copy(&staging::stage_name(layout), layout, rows).await?;
                let result = self.connection.run(&insert, BATCH_LIMIT).await;
                result.map_err(|error| writing(layout, error))
            }
        }
    }

    pub(crate) async fn dead_letters(&mut self, letters: &[DeadLetter]) -> Result<(), SinkError> {
        if letters.is_empty() {
            return Ok(());
        }
        self.fresh = false;
        self.sink
            .store_dead_letters(&mut self.connection, &self.lease.partition, letters)
            .await
    }

    pub(crate) async fn commit(mut self, advance: &Advance) -> Result<(), SinkError> {
        let context = self.context("committing");
        self.look_at_types().await?;
        // Last, because it locks the row that a successor's claim needs.
        let moved = self
            .sink
            .advance(&mut self.connection, &self.lease, advance)
            .await
            .map_err(|error| classify::other(&context, error))?;
        if !moved {
            // The claimant may be waiting for this transaction's locks: end it now.
            if self.connection.run("ROLLBACK", BATCH_LIMIT).await.is_ok() {
                self.connection.keep();
            }
            return Err(SinkError::fenced(&self.lease, advance));
        }
        self.connection
            .run("COMMIT", BATCH_LIMIT)
            .await
            .map_err(|error| classify::committing(context, error))?;
        self.connection.keep();
        Ok(())
    }

    /// Makes sure of the table's staging table and that it is empty.
    async fn empty_stage(&mut self, table: usize, layout: &Layout) -> Result<(), SinkError> {
        let known = self.staged.insert(table, true);
        let holds_rows = known.unwrap_or(self.rolled_back);
        let mut sql = match known {
            None => staging::create_stage(layout),
            Some(_) => String::new(),
        };
        if holds_rows {
            sql = format!("{sql}; TRUNCATE {}", staging::stage_name(layout));
        }
        let result = self.connection.run(&sql, BATCH_LIMIT).await;
        result.map_err(|error| classify::other(format!("staging rows of table {}", layout.name), error))
    }

    async fn copy(&mut self, target: &str, layout: &Layout, rows: &[RecordBatch]) -> Result<(), SinkError> {
        copy_rows(&mut self.connection, target, layout, rows.iter().cloned().map(Ok))
            .await
            .map(drop)
    }

    /// A binary COPY writes eight bytes into any column of eight bytes: were `bigint` changed to `double precision`
    /// since the sink was prepared, nothing would complain and the numbers would be others. So the types are read
    /// again before the commit. They cannot change any more: the COPY took a lock that keeps them.
    async fn look_at_types(&mut self) -> Result<(), SinkError> {
        let sink = Arc::clone(&self.sink);
        let dialect = PostgresDialect { schema: &sink.schema };
        for layout in self.copied.iter().filter_map(|table| sink.tables.get(*table)) {
            let columns = sink
                .column_types(&mut self.connection, &layout.name)
                .await
                .map_err(|error| {
                    classify::other(format!("reading the columns of table {}", layout.name), error)
                })?;
            for (index, column) in layout.columns.iter().enumerate() {
                let wanted = dialect.type_name(layout, index);
                let found = columns.get(&column.name).map_or("absent", String::as_str);
                if !dialect.accepts(found, &wanted) {
                    let problem = format!(
                        "column {} has become {found} and would be written as {wanted}: run prepare again (it says \
                         the remedy), then restart the workers",
                        column.name
                    );
                    return Err(SinkError::refused(
                        format!("writing table {}", layout.name),
                        problem,
                    ));
                }
            }
        }
        Ok(())
    }

    fn context(&self, doing: &str) -> String {
        format!("{doing} a batch of {}", self.lease.partition)
    }
}

/// An error of writing rows into a table. A required column that the pipeline does not write is not the row's fault.
fn writing(layout: &Layout, error: sqlx::Error) -> SinkError {
    const NOT_NULL_VIOLATION: &str = "23502";
    let foreign = classify::database_error(&error)
        .filter(|error| error.code() == NOT_NULL_VIOLATION)
        .and_then(|error| error.column())
        .filter(|column| layout.column(column).is_none())
        .map(str::to_owned);
    let mut error = classify::writing(format!("writing table {}", layout.name), error);
    if let Some(column) = foreign {
        error.kind = SinkErrorKind::Refused;
        error.problem = format!(
            "{}; column {column} must have a value, but the pipeline's SQL does not give it: select it in the SQL, or \
             drop its NOT NULL",
            error.problem
        );
    }
    error
}

/// Copies batches into `target` and gives the number of rows.
pub(super) async fn copy_rows(
    connection: &mut Connection,
    target: &str,
    layout: &Layout,
    batches: impl Iterator<Item = Result<RecordBatch, SinkError>> + Send,
) -> Result<u64, SinkError> {
    let failed = |error| writing(layout, error);
    let columns = quote_list(layout.names());
    let statement = format!("COPY {target} ({columns}) FROM STDIN (FORMAT binary)");
    let copying = connection.live().copy_in_raw(&statement);
    let mut copy = Connection::within(BATCH_LIMIT, copying).await.map_err(failed)?;
    match send_rows(&mut copy, layout, batches).await {
        Ok(()) => Connection::within(BATCH_LIMIT, copy.finish())
            .await
            .map_err(failed),
        Err(error) => {
            // The server is waiting for rows; it must know that none will come before it takes another statement.
            Connection::within(BATCH_LIMIT, copy.abort("a row cannot be encoded"))
                .await
                .map_err(failed)?;
            Err(error)
        }
    }
}

async fn send_rows(
    copy: &mut PgCopyIn<&mut PgConnection>,
    layout: &Layout,
    batches: impl Iterator<Item = Result<RecordBatch, SinkError>> + Send,
) -> Result<(), SinkError> {
    let failed = |error| writing(layout, error);
    let mut bytes = Vec::with_capacity(CHUNK + CHUNK / 8);
    bytes.extend_from_slice(HEADER);
    for batch in batches {
        let mut encoder = Encoder::new(layout, &batch?)?;
        while encoder.encode(&mut bytes, CHUNK)? {
            Connection::within(BATCH_LIMIT, copy.send(bytes.as_slice()))
                .await
                .map_err(failed)?;
            bytes.clear();
        }
    }
    bytes.extend_from_slice(&TRAILER);
    Connection::within(BATCH_LIMIT, copy.send(bytes.as_slice()))
        .await
        .map_err(failed)?;
    Ok(())
}

impl Postgres {
    /// Names and types of the table's columns.
    async fn column_types(
        &self,
        connection: &mut Connection,
        table: &str,
    ) -> Result<HashMap<String, String>, sqlx::Error> {
        const SQL: &str = "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute \
                           WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";
        let query = sqlx::query(SQL).bind(self.qualified(table));
        let rows = Connection::within(BATCH_LIMIT, query.fetch_all(connection.live())).await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect()
    }
}
