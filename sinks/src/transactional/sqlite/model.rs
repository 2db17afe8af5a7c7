//! Models that are a query: their table's rows are its answer.

use sqlx::AssertSqlSafe;

use super::connect::Connection;
use super::{Sqlite, classify, prepare};
use crate::SinkError;
use crate::sql::{fingerprint, parameters, quote_ident};

/// An empty table with the query's columns.
const SHAPE: &str = "streampipeline_shape";

impl Sqlite {
    /// Plans the query, and makes the model's table if it is not there. It stays empty until the first run.
    pub(crate) async fn prepare_model(&self, model: &str, sql: &str) -> Result<Vec<String>, SinkError> {
        let context = || format!("preparing model {model}");
        let failed = |error| classify::asking(context(), error);
        let query =
            parameters::question(sql).map_err(|error| SinkError::refused(context(), error.to_string()))?;
        let mut connection = self.begin_prepare().await?;
        let mut done = Vec::new();
        prepare::prepare_own(&mut connection, &mut done).await?;
        shape(&mut connection, &query).await.map_err(failed)?;
        if prepare::is_there(&mut connection, model).await? {
            self.refuse_foreign_rows(&mut connection, model, context).await?;
        } else {
            let sql = format!(
                "CREATE TABLE {} AS SELECT * FROM temp.{SHAPE}",
                quote_ident(model)
            );
            connection.run(&sql).await.map_err(failed)?;
            self.record(&mut connection, model, &fingerprint(&query), 0)
                .await
                .map_err(failed)?;
            done.push(format!("created table {model}"));
        }
        connection.run("COMMIT").await.map_err(failed)?;
        connection.keep();
        Ok(done)
    }

    /// Replaces the rows of the model's table by the query's answer, in one transaction; a table whose columns are no
    /// longer the query's is made anew. Gives the number of rows.
    pub(crate) async fn run_model(&self, model: &str, sql: &str) -> Result<u64, SinkError> {
        let context = || format!("running model {model}");
        let failed = |error| classify::asking(context(), error);
        let query =
            parameters::question(sql).map_err(|error| SinkError::refused(context(), error.to_string()))?;
        self.prepare_model(model, sql).await?;
        let mut connection = self.begin_prepare().await?;
        shape(&mut connection, &query).await.map_err(failed)?;
        let table = quote_ident(model);
        let columns = columns(&mut connection, SHAPE).await.map_err(failed)?;
        if self::columns(&mut connection, model).await.map_err(failed)? == columns {
            connection
                .run(&format!("DELETE FROM {table}"))
                .await
                .map_err(failed)?;
        } else {
            connection
                .run(&format!("DROP TABLE {table}"))
                .await
                .map_err(failed)?;
            let sql = format!("CREATE TABLE {table} AS SELECT * FROM temp.{SHAPE}");
            connection.run(&sql).await.map_err(failed)?;
        }
        let insert = sqlx::query(AssertSqlSafe(format!("INSERT INTO {table} {query}"))).persistent(false);
        let rows = insert
            .execute(connection.live())
            .await
            .map_err(failed)?
            .rows_affected();
        self.record(&mut connection, model, &fingerprint(&query), rows)
            .await
            .map_err(failed)?;
        connection.run("COMMIT").await.map_err(failed)?;
        connection.keep();
        Ok(rows)
    }
}

/// A line break ends a comment that the query may end with.
async fn shape(connection: &mut Connection, query: &str) -> Result<(), sqlx::Error> {
    let sql = format!(
        "DROP TABLE IF EXISTS temp.{SHAPE}; CREATE TEMPORARY TABLE {SHAPE} AS SELECT * FROM ({query}\n) LIMIT 0"
    );
    connection.run(&sql).await
}

/// Names and types, in order.
async fn columns(connection: &mut Connection, table: &str) -> Result<Vec<(String, String)>, sqlx::Error> {
    sqlx::query_as("SELECT name, type FROM pragma_table_info(?)")
        .bind(table)
        .fetch_all(connection.live())
        .await
}
