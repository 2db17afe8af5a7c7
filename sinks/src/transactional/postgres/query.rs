//! Questions over the tables.

use futures::TryStreamExt;
use jiff::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Column, Executor, Row, SqlSafeStr, Statement, ValueRef};

use super::{Connection, PREPARE_LIMIT, Postgres, QUERY_LIMIT, READING, classify};
use crate::sql::parameters;
use crate::{Answer, SinkError};

impl Postgres {
    /// Asks a question, in a transaction that cannot write.
    pub(crate) async fn query(
        &self,
        sql: &str,
        parameters: &[(&str, Timestamp)],
    ) -> Result<Answer, SinkError> {
        let context = || "asking a question".to_owned();
        let literals: Vec<(&str, String)> = parameters
            .iter()
            .map(|(name, at)| (*name, literal(*at)))
            .collect();
        let sql = parameters::fill(sql, &literals)
            .map_err(|error| SinkError::refused(context(), error.to_string()))?;
        let mut connection = self.begin_work(READING, QUERY_LIMIT, context).await?;
        let ask = async {
            self.see_tables(&mut connection).await?;
            // Preparing gives the columns' names even if there are no rows, and takes no second statement.
            let live = connection.live();
            let statement = live.prepare(AssertSqlSafe(sql.clone()).into_sql_str()).await?;
            let columns = statement
                .columns()
                .iter()
                .map(|column| column.name().to_owned())
                .collect();
            // The simple protocol gives every cell as text, as PostgreSQL prints it.
            let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(live).await?;
            let rows = rows.iter().map(cells).collect::<Result<_, _>>()?;
            Ok(Answer { columns, rows })
        };
        let answer = Connection::within(QUERY_LIMIT, ask)
            .await
            .map_err(|error| classify::asking(context(), error))?;
        self.end_work(&mut connection, context).await?;
        connection.keep();
        Ok(answer)
    }

    /// Asks a question whose answer may be large: `visit` is shown each row, and none is kept.
    pub(crate) async fn visit(
        &self,
        sql: &str,
        mut visit: impl FnMut(Vec<Option<String>>) + Send,
    ) -> Result<(), SinkError> {
        let context = || "asking a question".to_owned();
        let mut connection = self.begin_work(READING, PREPARE_LIMIT, context).await?;
        let ask = async {
            self.see_tables(&mut connection).await?;
            let mut rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch(connection.live());
            while let Some(row) = rows.try_next().await? {
                visit(cells(&row)?);
            }
            Ok(())
        };
        Connection::within(PREPARE_LIMIT, ask)
            .await
            .map_err(|error| classify::asking(context(), error))?;
        self.end_work(&mut connection, context).await?;
        connection.keep();
        Ok(())
    }
}

/// An instant as SQL writes it. Compared with a column that has a zone it means the same, for sessions are in UTC.
fn literal(at: Timestamp) -> String {
    format!("TIMESTAMP '{}'", at.strftime("%Y-%m-%d %H:%M:%S%.6f"))
}

fn cells(row: &PgRow) -> Result<Vec<Option<String>>, sqlx::Error> {
    (0..row.len())
        .map(|index| {
            let value = row.try_get_raw(index)?;
            if value.is_null() {
                return Ok(None);
            }
            value
                .as_str()
                .map(|text| Some(text.to_owned()))
                .map_err(sqlx::Error::Decode)
        })
        .collect()
}
