//! One batch's transaction.

use std::sync::Arc;

use arrow::array::RecordBatch;
use sqlx::AssertSqlSafe;

use super::connect::Connection;
use super::rows::Rows;
use super::{Sqlite, classify, schema};
use crate::shape::layout::Layout;
use crate::{Advance, DeadLetter, Lease, SinkError};

/// One batch's transaction. Dropping it closes the connection, which rolls it back.
#[derive(Debug)]
pub struct Transaction {
    sink: Arc<Sqlite>,
    connection: Connection,
    lease: Lease,
}

impl Transaction {
    pub(super) async fn begin(sink: Arc<Sqlite>, lease: &Lease) -> Result<Self, SinkError> {
        let context = || format!("beginning a batch of {}", lease.partition);
        let mut connection = sink.writer.open(context).await?;
        connection
            .run("BEGIN IMMEDIATE; SAVEPOINT part")
            .await
            .map_err(|error| classify::other(context(), error))?;
        Ok(Self {
            sink,
            connection,
            lease: lease.clone(),
        })
    }

    pub(crate) async fn savepoint(&mut self) -> Result<(), SinkError> {
        let result = self.connection.run("RELEASE part; SAVEPOINT part").await;
        result.map_err(|error| classify::other(self.context("setting a savepoint in"), error))
    }

    pub(crate) async fn rollback_to_savepoint(&mut self) -> Result<(), SinkError> {
        let result = self.connection.run("ROLLBACK TO part").await;
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
        for batch in rows {
            insert(&mut self.connection, layout, batch).await?;
        }
        Ok(())
    }

    pub(crate) async fn dead_letters(&mut self, letters: &[DeadLetter]) -> Result<(), SinkError> {
        self.sink
            .store_dead_letters(&mut self.connection, &self.lease.partition, letters)
            .await
            .map_err(|error| classify::other(self.context("storing dead letters of"), error))
    }

    pub(crate) async fn commit(mut self, advance: &Advance) -> Result<(), SinkError> {
        let context = self.context("committing");
        let moved = self
            .sink
            .advance(&mut self.connection, &self.lease, advance)
            .await
            .map_err(|error| classify::other(&context, error))?;
        // There is no connection that could be lost: an error of COMMIT is one, and the transaction is not committed.
        let end = if moved { "COMMIT" } else { "ROLLBACK" };
        self.connection
            .run(end)
            .await
            .map_err(|error| classify::other(context, error))?;
        self.connection.keep();
        if moved {
            Ok(())
        } else {
            Err(SinkError::fenced(&self.lease, advance))
        }
    }

    fn context(&self, doing: &str) -> String {
        format!("{doing} a batch of {}", self.lease.partition)
    }
}

/// Inserts a batch, many rows a statement, and gives the number of rows.
pub(super) async fn insert(
    connection: &mut Connection,
    layout: &Layout,
    batch: &RecordBatch,
) -> Result<usize, SinkError> {
    let failed = |error| classify::writing(format!("writing table {}", layout.name), error);
    let rows = Rows::new(layout, batch)?;
    let most = schema::rows_per_statement(layout);
    let mut from = 0;
    while from < rows.count() {
        let to = rows.count().min(from + most);
        let sql = schema::insert(layout, to - from);
        let arguments = rows.arguments(from, to).map_err(failed)?;
        // Only the statement of full length comes again.
        let statement = sqlx::query_with(AssertSqlSafe(sql), arguments).persistent(to - from == most);
        statement.execute(connection.live()).await.map_err(failed)?;
        from = to;
    }
    Ok(rows.count())
}
