//! Models that are a query: their table's rows are its answer.

use sqlx::AssertSqlSafe;

use super::{Connection, PREPARE_LIMIT, Postgres, classify};
use crate::SinkError;
use crate::sql::{fingerprint, parameters, quote_ident, quote_list};

/// An empty table with the query's columns, for this transaction alone.
const SHAPE: &str = "streampipeline_shape";

impl Postgres {
    /// Plans the query, and makes the model's table if it is not there. It stays empty until the first run.
    pub(crate) async fn prepare_model(&self, model: &str, sql: &str) -> Result<Vec<String>, SinkError> {
        let context = || format!("preparing model {model}");
        let query =
            parameters::question(sql).map_err(|error| SinkError::refused(context(), error.to_string()))?;
        let mut connection = self.begin_prepare(context).await?;
        let mut done = self.prepare_own(&mut connection).await?;
        self.see_tables(&mut connection)
            .await
            .map_err(|error| classify::asking(context(), error))?;
        shape(&mut connection, &query)
            .await
            .map_err(|error| classify::asking(context(), error))?;
        if self.is_there(&mut connection, model).await? {
            self.refuse_foreign_rows(&mut connection, model, context).await?;
        } else {
            let sql = format!("CREATE TABLE {} AS {query}\nWITH NO DATA", self.qualified(model));
            connection
                .run(&sql, PREPARE_LIMIT)
                .await
                .map_err(|error| classify::other(context(), error))?;
            self.record(&mut connection, model, &fingerprint(&query), 0)
                .await
                .map_err(|error| classify::other(context(), error))?;
            done.push(format!("created table {model}"));
        }
        self.end_work(&mut connection, context).await?;
        connection.keep();
        Ok(done)
    }

    /// Replaces the rows of the model's table by the query's answer, in one transaction; a table whose columns are no
    /// longer the query's is made anew. Gives the number of rows.
    ///
    /// Rows are deleted rather than truncated: whoever reads meanwhile sees the old rows until the new ones are there.
    pub(crate) async fn run_model(&self, model: &str, sql: &str) -> Result<u64, SinkError> {
        let context = || format!("running model {model}");
        let query =
            parameters::question(sql).map_err(|error| SinkError::refused(context(), error.to_string()))?;
        self.prepare_model(model, sql).await?;
        let lock = [
            b"streampipeline model".as_slice(),
            self.schema.as_bytes(),
            model.as_bytes(),
        ];
        let mut connection = self.begin_alone(lock, context).await?;
        let asked = |error| classify::asking(context(), error);
        self.see_tables(&mut connection).await.map_err(asked)?;
        shape(&mut connection, &query).await.map_err(asked)?;
        let table = self.qualified(model);
        let columns = columns(&mut connection, &format!("pg_temp.{SHAPE}"))
            .await
            .map_err(asked)?;
        let names = quote_list(columns.iter().map(|(name, _)| name));
        let statement = if self::columns(&mut connection, &table).await.map_err(asked)? == columns {
            connection
                .run(&format!("DELETE FROM {table}"), PREPARE_LIMIT)
                .await
                .map_err(asked)?;
            format!("INSERT INTO {table} ({names}) {query}")
        } else {
            connection
                .run(&format!("DROP TABLE {table}"), PREPARE_LIMIT)
                .await
                .map_err(asked)?;
            format!("CREATE TABLE {table} AS {query}")
        };
        let statement = sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection.live());
        let rows = Connection::within(PREPARE_LIMIT, statement)
            .await
            .map_err(asked)?
            .rows_affected();
        self.record(&mut connection, model, &fingerprint(&query), rows)
            .await
            .map_err(asked)?;
        self.end_work(&mut connection, context).await?;
        connection.keep();
        Ok(rows)
    }

    /// Tables are found without their schema's name. What is not in the schema may be an extension's function.
    pub(super) async fn see_tables(&self, connection: &mut Connection) -> Result<(), sqlx::Error> {
        let path = format!("SET LOCAL search_path = {}, public", quote_ident(&self.schema));
        connection.run(&path, PREPARE_LIMIT).await
    }
}

/// A line break ends a comment that the query may end with.
async fn shape(connection: &mut Connection, query: &str) -> Result<(), sqlx::Error> {
    let sql = format!("CREATE TEMPORARY TABLE {SHAPE} ON COMMIT DROP AS {query}\nWITH NO DATA");
    connection.run(&sql, PREPARE_LIMIT).await
}

/// Names and types, in order.
async fn columns(connection: &mut Connection, table: &str) -> Result<Vec<(String, String)>, sqlx::Error> {
    const SQL: &str = "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute \
                       WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
    let query = sqlx::query_as(SQL).bind(table);
    Connection::within(PREPARE_LIMIT, query.fetch_all(connection.live())).await
}
