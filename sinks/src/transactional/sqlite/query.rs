//! Questions over the tables.

use std::time::Duration;

use futures::TryStreamExt;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{
    AssertSqlSafe, Column, Decode, Executor, Row, SqlSafeStr, Sqlite as Driver, Statement, TypeInfo, ValueRef,
};

use super::connect::Connection;
use super::{Sqlite, classify};
use crate::sql::parameters;
use crate::{Answer, SinkError, SinkErrorKind};

/// Longest time that a question may take.
const LIMIT: Duration = Duration::from_secs(30);

impl Sqlite {
    /// Asks a question, over the connection that cannot write.
    pub(crate) async fn query(
        &self,
        sql: &str,
        parameters: &[(&str, Timestamp)],
    ) -> Result<Answer, SinkError> {
        let context = || "asking a question".to_owned();
        let literals: Vec<(&str, String)> = parameters
            .iter()
            .map(|(name, at)| (*name, format!("'{}'", at.strftime("%Y-%m-%d %H:%M:%S%.6f"))))
            .collect();
        let sql = parameters::fill(sql, &literals)
            .map_err(|error| SinkError::refused(context(), error.to_string()))?;
        let mut connection = self.begin_asking(context).await?;
        let live = connection.live();
        let ask = async {
            // Preparing gives the columns' names even if there are no rows.
            let statement = live.prepare(AssertSqlSafe(sql.clone()).into_sql_str()).await?;
            let columns = statement
                .columns()
                .iter()
                .map(|column| column.name().to_owned())
                .collect();
            let rows = sqlx::query(AssertSqlSafe(sql))
                .persistent(false)
                .fetch_all(live)
                .await?;
            let rows = rows.iter().map(cells).collect::<Result<_, _>>()?;
            Ok(Answer { columns, rows })
        };
        let Ok(answer) = tokio::time::timeout(LIMIT, ask).await else {
            let problem = format!("there was no answer within {} s", LIMIT.as_secs());
            return Err(SinkError::new(SinkErrorKind::Unavailable, context(), problem));
        };
        let answer = answer.map_err(|error| classify::asking(context(), error))?;
        end_asking(connection, context).await?;
        Ok(answer)
    }

    /// Asks a question whose answer may be large: `visit` is shown each row, and none is kept.
    pub(crate) async fn visit(
        &self,
        sql: &str,
        mut visit: impl FnMut(Vec<Option<String>>) + Send,
    ) -> Result<(), SinkError> {
        let context = || "asking a question".to_owned();
        let mut connection = self.begin_asking(context).await?;
        let ask = async {
            let mut rows = sqlx::query(AssertSqlSafe(sql.to_owned()))
                .persistent(false)
                .fetch(connection.live());
            while let Some(row) = rows.try_next().await? {
                visit(cells(&row)?);
            }
            Ok(())
        };
        ask.await.map_err(|error| classify::asking(context(), error))?;
        end_asking(connection, context).await
    }

    /// A transaction that reads, and that has looked at the tables: `SQLite` notices only when a statement runs that they
    /// are not those of the last look, when its columns have been counted already.
    async fn begin_asking(&self, context: impl Fn() -> String) -> Result<Connection, SinkError> {
        let mut connection = self.reader.open(&context).await?;
        let begun = connection.run("BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1").await;
        begun.map_err(|error| classify::asking(context(), error))?;
        Ok(connection)
    }
}

async fn end_asking(mut connection: Connection, context: impl Fn() -> String) -> Result<(), SinkError> {
    let ended = connection.run("COMMIT").await;
    ended.map_err(|error| classify::asking(context(), error))?;
    connection.keep();
    Ok(())
}

fn cells(row: &SqliteRow) -> Result<Vec<Option<String>>, sqlx::Error> {
    (0..row.len()).map(|index| cell(row, index)).collect()
}

/// Numbers as `SQLite` prints them, bytes as `PostgreSQL` does.
fn cell(row: &SqliteRow, index: usize) -> Result<Option<String>, sqlx::Error> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(None);
    }
    let kind = value.type_info().name().to_owned();
    let text = match kind.as_str() {
        "INTEGER" => <i64 as Decode<'_, Driver>>::decode(value).map(|value| value.to_string()),
        "REAL" => <f64 as Decode<'_, Driver>>::decode(value).map(|value| format!("{value:?}")),
        "BLOB" => <&[u8] as Decode<'_, Driver>>::decode(value).map(|bytes| {
            let mut text = "\\x".to_owned();
            for byte in bytes {
                text.extend(
                    [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')),
                );
            }
            text
        }),
        _ => <&str as Decode<'_, Driver>>::decode(value).map(str::to_owned),
    };
    text.map(Some).map_err(sqlx::Error::Decode)
}
