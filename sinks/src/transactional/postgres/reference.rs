//! Tables that are loaded as a whole: references, and what a recommender found.

use arrow::array::RecordBatch;
use sqlx::{AssertSqlSafe, Row};

use super::transaction::copy_rows;
use super::{Connection, PREPARE_LIMIT, Postgres, bookkeeping, classify};
use crate::shape::layout::Layout;
use crate::{ReferenceDefinition, RowsError, SinkError};

impl Postgres {
    pub(crate) async fn prepare_reference(
        &self,
        reference: &ReferenceDefinition,
    ) -> Result<Vec<String>, SinkError> {
        let layout = Layout::of_reference(reference)?;
        let context = || format!("preparing table {}", reference.name);
        let mut connection = self.begin_prepare(context).await?;
        let mut done = self.prepare_own(&mut connection).await?;
        if self.prepare_table(&mut connection, &layout, &mut done).await? {
            self.refuse_foreign_rows(&mut connection, &layout.name, context)
                .await?;
        }
        self.end_work(&mut connection, context).await?;
        connection.keep();
        Ok(done)
    }

    /// Creates the reference's table if need be and replaces its rows, in one transaction.
    ///
    /// Rows are deleted rather than truncated: whoever reads meanwhile sees the old rows until the new ones are
    /// there, and does not have to wait.
    pub(crate) async fn load_reference(
        &self,
        reference: &ReferenceDefinition,
        rows: impl Iterator<Item = Result<RecordBatch, RowsError>> + Send,
    ) -> Result<Option<u64>, SinkError> {
        let layout = Layout::of_reference(reference)?;
        let context = || format!("loading table {}", reference.name);
        let failed = |error| classify::other(context(), error);
        let mut connection = self.begin_prepare(context).await?;
        self.prepare_own(&mut connection).await?;
        let there = self
            .prepare_table(&mut connection, &layout, &mut Vec::new())
            .await?;
        let loaded = if there {
            self.refuse_foreign_rows(&mut connection, &layout.name, context)
                .await?
        } else {
            None
        };
        if loaded.as_deref() == Some(&reference.fingerprint) {
            self.end_work(&mut connection, context).await?;
            connection.keep();
            return Ok(None);
        }
        let table = self.qualified(&layout.name);
        connection
            .run(&format!("DELETE FROM {table}"), PREPARE_LIMIT)
            .await
            .map_err(failed)?;
        let rows =
            rows.map(|rows| rows.map_err(|error| SinkError::unreadable(reference.name.as_str(), error)));
        let count = copy_rows(&mut connection, &table, &layout, rows)
            .await
            .map_err(SinkError::no_dead_letter)?;
        self.record(&mut connection, &layout.name, &reference.fingerprint, count)
            .await
            .map_err(failed)?;
        self.end_work(&mut connection, context).await?;
        connection.keep();
        Ok(Some(count))
    }

    /// Refuses a table with rows that this pipeline did not load. Gives the fingerprint of those that it did.
    pub(super) async fn refuse_foreign_rows(
        &self,
        connection: &mut Connection,
        name: &str,
        context: impl Fn() -> String,
    ) -> Result<Option<String>, SinkError> {
        let failed = |error| classify::other(context(), error);
        let loaded = self.loaded(connection, name).await.map_err(failed)?;
        if loaded.is_none()
            && self
                .has_rows(connection, &self.qualified(name))
                .await
                .map_err(failed)?
        {
            return Err(SinkError::foreign_rows(context(), name));
        }
        Ok(loaded)
    }

    async fn loaded(&self, connection: &mut Connection, name: &str) -> Result<Option<String>, sqlx::Error> {
        let own = self.qualified(bookkeeping::REFERENCES);
        let sql = format!("SELECT fingerprint FROM {own} WHERE pipeline = $1 AND name = $2");
        let query = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(self.pipeline.as_str())
            .bind(name);
        Connection::within(PREPARE_LIMIT, query.fetch_optional(connection.live())).await
    }

    async fn has_rows(&self, connection: &mut Connection, table: &str) -> Result<bool, sqlx::Error> {
        let query = sqlx::query(AssertSqlSafe(format!("SELECT EXISTS (SELECT FROM {table})")));
        let row = Connection::within(PREPARE_LIMIT, query.fetch_one(connection.live())).await?;
        row.try_get(0)
    }

    /// Remembers that this pipeline fills the table.
    pub(super) async fn record(
        &self,
        connection: &mut Connection,
        name: &str,
        fingerprint: &str,
        rows: u64,
    ) -> Result<(), sqlx::Error> {
        let sql = format!(
            "INSERT INTO {} (pipeline, name, fingerprint, rows) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (pipeline, name) \
             DO UPDATE SET fingerprint = excluded.fingerprint, rows = excluded.rows, loaded_at = now()",
            self.qualified(bookkeeping::REFERENCES)
        );
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(self.pipeline.as_str())
            .bind(name)
            .bind(fingerprint)
            .bind(rows.cast_signed());
        Connection::within(PREPARE_LIMIT, query.execute(connection.live()))
            .await
            .map(drop)
    }
}
