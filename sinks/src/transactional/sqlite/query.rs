//! Questions over the tables.

use std::time::Duration;

use futures::TryStreamExt;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{
    Arguments, AssertSqlSafe, Column as _, Decode, Executor, Row, SqlSafeStr, Sqlite as Driver, Statement,
    TypeInfo, ValueRef,
};

use super::connect::Connection;
use super::{Sqlite, classify};
use crate::answer::{Answer, Column, Dialect, Kind, Value};
use crate::sql::parameters;
use crate::{SinkError, SinkErrorKind};

/// Longest time that a question may take.
const LIMIT: Duration = Duration::from_secs(30);

impl Sqlite {
    /// Asks a question, over the connection that cannot write.
    pub(crate) async fn query(&self, sql: &str, parameters: &[(&str, Value)]) -> Result<Answer, SinkError> {
        let context = || "asking a question".to_owned();
        let bound = parameters::bind(sql, parameters, placeholder)
            .map_err(|error| SinkError::refused(context(), error.to_string()))?;
        let mut connection = self.begin_asking(context).await?;
        let live = connection.live();
        let ask = async {
            // Preparing gives the columns' names even if there are no rows.
            let statement = live
                .prepare(AssertSqlSafe(bound.sql.clone()).into_sql_str())
                .await?;
            let names: Vec<String> = statement
                .columns()
                .iter()
                .map(|column| column.name().to_owned())
                .collect();
            let arguments = arguments(&bound.values).map_err(sqlx::Error::Encode)?;
            let rows = sqlx::query_with(AssertSqlSafe(bound.sql), arguments)
                .persistent(false)
                .fetch_all(live)
                .await?;
            let rows: Vec<Vec<Value>> = rows.iter().map(values).collect::<Result<_, _>>()?;
            let column = |(index, name)| Column {
                name,
                kind: Kind::of_values(rows.iter().filter_map(|row| row.get(index))),
            };
            Ok(Answer {
                columns: names.into_iter().enumerate().map(column).collect(),
                rows,
                dialect: Dialect::Sqlite,
            })
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

/// Decimals are stored as floating point numbers.
fn placeholder(number: usize, value: &Value) -> String {
    match value {
        Value::Decimal(_) => format!("CAST(?{number} AS REAL)"),
        _ => format!("?{number}"),
    }
}

fn arguments(values: &[&Value]) -> Result<SqliteArguments, sqlx::error::BoxDynError> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        match value {
            Value::Boolean(value) => arguments.add(i64::from(*value))?,
            Value::Integer(number) => arguments.add(*number)?,
            Value::Float(number) => arguments.add(*number)?,
            other => arguments.add(other.text(Dialect::Sqlite))?,
        }
    }
    Ok(arguments)
}

fn cells(row: &SqliteRow) -> Result<Vec<Option<String>>, sqlx::Error> {
    let values = values(row)?;
    Ok(values.iter().map(|value| value.text(Dialect::Sqlite)).collect())
}

fn values(row: &SqliteRow) -> Result<Vec<Value>, sqlx::Error> {
    (0..row.len()).map(|index| value(row, index)).collect()
}

/// Bytes as `PostgreSQL` writes them.
fn value(row: &SqliteRow, index: usize) -> Result<Value, sqlx::Error> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(Value::Null);
    }
    let kind = value.type_info().name().to_owned();
    let value = match kind.as_str() {
        "INTEGER" => <i64 as Decode<'_, Driver>>::decode(value).map(Value::Integer),
        "REAL" => <f64 as Decode<'_, Driver>>::decode(value).map(Value::Float),
        "BLOB" => <&[u8] as Decode<'_, Driver>>::decode(value).map(|bytes| {
            let mut text = "\\x".to_owned();
            for byte in bytes {
                text.extend(
                    [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')),
                );
            }
            Value::Text(text)
        }),
        _ => <&str as Decode<'_, Driver>>::decode(value).map(|text| Value::Text(text.to_owned())),
    };
    value.map_err(sqlx::Error::Decode)
}
