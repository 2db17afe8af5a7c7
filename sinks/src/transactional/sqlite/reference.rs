//! Tables that are loaded as a whole: references, and what a recommender found.

use arrow::array::RecordBatch;
use sqlx::{AssertSqlSafe, Row};

use super::connect::Connection;
use super::transaction::insert;
use super::{Sqlite, classify, prepare};
use crate::shape::layout::Layout;
use crate::sql::quote_ident;
use crate::{ReferenceDefinition, RowsError, SinkError};

impl Sqlite {
    pub(crate) async fn prepare_reference(
        &self,
        reference: &ReferenceDefinition,
    ) -> Result<Vec<String>, SinkError> {
        let layout = Layout::of_reference(reference)?;
        let context = || format!("preparing table {}", reference.name);
        let mut connection = self.begin_prepare().await?;
        let mut done = Vec::new();
        prepare::prepare_own(&mut connection, &mut done).await?;
        if prepare::prepare_table(&mut connection, &layout, &mut done).await? {
            self.refuse_foreign_rows(&mut connection, &layout.name, context)
                .await?;
        }
        connection
            .run("COMMIT")
            .await
            .map_err(|error| classify::other(context(), error))?;
        connection.keep();
        Ok(done)
    }

    /// Creates the reference's table if need be and replaces its rows, in one transaction.
    pub(crate) async fn load_reference(
        &self,
        reference: &ReferenceDefinition,
        rows: impl Iterator<Item = Result<RecordBatch, RowsError>> + Send,
    ) -> Result<Option<u64>, SinkError> {
        let layout = Layout::of_reference(reference)?;
        let context = || format!("loading table {}", reference.name);
        let failed = |error| classify::other(context(), error);
        let mut connection = self.begin_prepare().await?;
        let mut done = Vec::new();
        prepare::prepare_own(&mut connection, &mut done).await?;
        let there = prepare::prepare_table(&mut connection, &layout, &mut done).await?;
        let loaded = if there {
            self.refuse_foreign_rows(&mut connection, &layout.name, context)
                .await?
        } else {
            None
        };
        if loaded.as_deref() == Some(&reference.fingerprint) {
            connection.run("COMMIT").await.map_err(failed)?;
            connection.keep();
            return Ok(None);
        }
        let table = quote_ident(&layout.name);
        connection
            .run(&format!("DELETE FROM {table}"))
            .await
            .map_err(failed)?;
        let mut count = 0;
        for batch in rows {
            let batch = batch.map_err(|error| SinkError::unreadable(reference.name.as_str(), error))?;
            let inserted = insert(&mut connection, &layout, &batch)
                .await
                .map_err(SinkError::no_dead_letter)?;
            count += inserted as u64;
        }
        self.record(&mut connection, &layout.name, &reference.fingerprint, count)
            .await
            .map_err(failed)?;
        connection.run("COMMIT").await.map_err(failed)?;
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
        if loaded.is_none() && has_rows(connection, &quote_ident(name)).await.map_err(failed)? {
            return Err(SinkError::foreign_rows(context(), name));
        }
        Ok(loaded)
    }

    async fn loaded(&self, connection: &mut Connection, name: &str) -> Result<Option<String>, sqlx::Error> {
        sqlx::query_scalar(
            "SELECT fingerprint FROM streampipeline_references WHERE pipeline = ? AND name = ?",
        )
        .bind(self.pipeline.as_str())
        .bind(name)
        .fetch_optional(connection.live())
        .await
    }

    /// Remembers that this pipeline fills the table.
    pub(super) async fn record(
        &self,
        connection: &mut Connection,
        name: &str,
        fingerprint: &str,
        rows: u64,
    ) -> Result<(), sqlx::Error> {
        const SQL: &str = "INSERT OR REPLACE INTO streampipeline_references \
                           (pipeline, name, fingerprint, rows, loaded_at) \
                           VALUES (?, ?, ?, ?, strftime('%Y-%m-%d %H:%M:%f000', 'now'))";
        sqlx::query(SQL)
            .bind(self.pipeline.as_str())
            .bind(name)
            .bind(fingerprint)
            .bind(rows.cast_signed())
            .execute(connection.live())
            .await
            .map(drop)
    }
}

async fn has_rows(connection: &mut Connection, table: &str) -> Result<bool, sqlx::Error> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM {table})");
    let row = sqlx::query(AssertSqlSafe(sql))
        .fetch_one(connection.live())
        .await?;
    row.try_get(0)
}
