//! Questions over the tables.

use std::fmt::Write;

use futures::TryStreamExt;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, AssertSqlSafe, Column as _, Executor, Row, SqlSafeStr, Statement, TypeInfo, ValueRef};

use super::{Connection, PREPARE_LIMIT, Postgres, QUERY_LIMIT, READING, classify};
use crate::SinkError;
use crate::answer::{Answer, Column, Dialect, Kind, Value};
use crate::sql::parameters;

/// Microseconds and days from 1970 to 2000, where `PostgreSQL` counts from.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const EPOCH_DAYS: i32 = 10_957;

impl Postgres {
    /// Asks a question, in a transaction that cannot write.
    pub(crate) async fn query(&self, sql: &str, parameters: &[(&str, Value)]) -> Result<Answer, SinkError> {
        let context = || "asking a question".to_owned();
        let bound = parameters::bind(sql, parameters, placeholder)
            .map_err(|error| SinkError::refused(context(), error.to_string()))?;
        let mut connection = self.begin_work(READING, QUERY_LIMIT, context).await?;
        let ask = async {
            self.see_tables(&mut connection).await?;
            // Preparing gives the columns even if there are no rows, and takes no second statement.
            let live = connection.live();
            let statement = live
                .prepare(AssertSqlSafe(bound.sql.clone()).into_sql_str())
                .await?;
            let columns: Vec<Column> = statement
                .columns()
                .iter()
                .map(|column| Column {
                    name: column.name().to_owned(),
                    kind: kind(column.type_info().name()),
                })
                .collect();
            let types: Vec<&str> = statement
                .columns()
                .iter()
                .map(|column| column.type_info().name())
                .collect();
            let readable = readable(&bound.sql, &types);
            let arguments = arguments(&bound.values).map_err(sqlx::Error::Encode)?;
            let rows = sqlx::query_with(AssertSqlSafe(readable), arguments)
                .persistent(false)
                .fetch_all(live)
                .await?;
            let rows = rows
                .iter()
                .map(|row| values(row, &columns))
                .collect::<Result<_, _>>()?;
            Ok(Answer {
                columns,
                rows,
                dialect: Dialect::Postgres,
            })
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

/// A value arrives as text but for numbers and truth values, and becomes what it is in the statement. Compared with a
/// column that has a zone an instant means the same, for sessions are in UTC.
fn placeholder(number: usize, value: &Value) -> String {
    let of = match value {
        Value::Boolean(_) => "boolean",
        Value::Integer(_) => "bigint",
        Value::Decimal(_) => "numeric",
        Value::Float(_) => "double precision",
        Value::Null | Value::Text(_) => "text",
        Value::Timestamp(_) => "timestamp",
        Value::Date(_) => "date",
    };
    format!("CAST(${number} AS {of})")
}

fn arguments(values: &[&Value]) -> Result<PgArguments, sqlx::error::BoxDynError> {
    let mut arguments = PgArguments::default();
    for value in values {
        match value {
            Value::Boolean(value) => arguments.add(*value)?,
            Value::Integer(number) => arguments.add(*number)?,
            Value::Float(number) => arguments.add(*number)?,
            other => arguments.add(other.text(Dialect::Postgres))?,
        }
    }
    Ok(arguments)
}

fn kind(type_name: &str) -> Kind {
    match type_name {
        "BOOL" => Kind::Boolean,
        "INT2" | "INT4" | "INT8" => Kind::Integer,
        "NUMERIC" => Kind::Decimal { scale: None },
        "FLOAT4" | "FLOAT8" => Kind::Float,
        "TIMESTAMP" => Kind::Timestamp,
        "TIMESTAMPTZ" => Kind::ZonedTimestamp,
        "DATE" => Kind::Date,
        "BYTEA" => Kind::Bytes,
        "JSON" | "JSONB" => Kind::Json,
        _ => Kind::Text,
    }
}

/// The question around the question: whole numbers of one width, and as text whatever is text for us. Names may repeat in
/// an answer, but not in a table; a comment may end the text.
fn readable(sql: &str, types: &[&str]) -> String {
    let mut columns = String::new();
    let mut names = String::new();
    for (index, type_name) in types.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let cast = match *type_name {
            "INT2" | "INT4" | "INT8" => Some("bigint"),
            "BOOL" | "FLOAT8" | "TIMESTAMP" | "DATE" => None,
            _ => Some("text"),
        };
        // Writing to a string cannot fail.
        let _ = match cast {
            Some(cast) => write!(columns, "{comma}CAST(c{index} AS {cast})"),
            None => write!(columns, "{comma}c{index}"),
        };
        let _ = write!(names, "{comma}c{index}");
    }
    let names = if names.is_empty() {
        names
    } else {
        format!("({names})")
    };
    format!("SELECT {columns} FROM (\n{sql}\n) AS answer{names}")
}

fn values(row: &PgRow, columns: &[Column]) -> Result<Vec<Value>, sqlx::Error> {
    let kinds = columns.iter().map(|column| column.kind);
    kinds
        .enumerate()
        .map(|(index, kind)| value(row, index, kind))
        .collect()
}

fn value(row: &PgRow, index: usize, kind: Kind) -> Result<Value, sqlx::Error> {
    let value = match kind {
        Kind::Boolean => row.try_get::<Option<bool>, _>(index)?.map(Value::Boolean),
        Kind::Integer => row.try_get::<Option<i64>, _>(index)?.map(Value::Integer),
        // One of 32 bits comes as the text that reads back as it.
        Kind::Float if row.column(index).type_info().name() == "FLOAT8" => {
            row.try_get::<Option<f64>, _>(index)?.map(Value::Float)
        }
        Kind::Float => {
            let text = row.try_get::<Option<String>, _>(index)?;
            text.map(|text| text.parse().map_or(Value::Text(text), Value::Float))
        }
        Kind::Decimal { .. } => row.try_get::<Option<String>, _>(index)?.map(Value::Decimal),
        Kind::Timestamp => bytes(row, index)?.map(|bytes| match i64::from_be_bytes(bytes) {
            i64::MIN => Value::Timestamp(i64::MIN),
            micros => Value::Timestamp(micros.saturating_add(EPOCH_MICROS)),
        }),
        Kind::Date => bytes(row, index)?.map(|bytes| match i32::from_be_bytes(bytes) {
            i32::MIN => Value::Date(i32::MIN),
            days => Value::Date(days.saturating_add(EPOCH_DAYS)),
        }),
        Kind::ZonedTimestamp | Kind::Text | Kind::Bytes | Kind::Json => {
            row.try_get::<Option<String>, _>(index)?.map(Value::Text)
        }
    };
    Ok(value.unwrap_or(Value::Null))
}

/// A value as it comes over the wire, of a known width.
fn bytes<const WIDTH: usize>(row: &PgRow, index: usize) -> Result<Option<[u8; WIDTH]>, sqlx::Error> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(None);
    }
    let bytes = value.as_bytes().map_err(sqlx::Error::Decode)?;
    let bytes = bytes.try_into();
    bytes
        .map(Some)
        .map_err(|_| sqlx::Error::Decode("a value of another width was expected".into()))
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
