//! Making what is missing, in one transaction: all of it or nothing, and once.

use sqlx::{AssertSqlSafe, Row};

use super::connect::Connection;
use super::schema::{self, SqliteDialect};
use super::{Sqlite, bookkeeping, classify, dead_letters};
use crate::SinkError;
use crate::shape::evolution::{Existing, ExistingColumn, evolve};
use crate::shape::layout::Layout;
use crate::sql::quote_ident;

impl Sqlite {
    pub(crate) async fn prepare(&self) -> Result<Vec<String>, SinkError> {
        let mut connection = self.begin_prepare().await?;
        let mut done = Vec::new();
        prepare_own(&mut connection, &mut done).await?;
        for layout in &self.tables {
            prepare_table(&mut connection, layout, &mut done).await?;
        }
        change(&mut connection, "preparing the file", "COMMIT").await?;
        connection.keep();
        Ok(done)
    }

    /// Begins a transaction that writes, alone among all processes.
    pub(super) async fn begin_prepare(&self) -> Result<Connection, SinkError> {
        let context = || "preparing the file".to_owned();
        let mut connection = self.writer.open(context).await?;
        change(&mut connection, &context(), "BEGIN IMMEDIATE").await?;
        Ok(connection)
    }
}

/// Makes the product's own tables.
pub(super) async fn prepare_own(
    connection: &mut Connection,
    done: &mut Vec<String>,
) -> Result<(), SinkError> {
    for (name, sql) in bookkeeping::TABLES {
        if kind(connection, name).await?.is_none() {
            change(connection, &format!("preparing table {name}"), sql).await?;
            done.push(format!("created table {name}"));
        }
    }
    done.extend(dead_letters::upgrade(connection).await?);
    Ok(())
}

/// Makes the table or adds what it lacks. `true` if it was there before.
pub(super) async fn prepare_table(
    connection: &mut Connection,
    layout: &Layout,
    done: &mut Vec<String>,
) -> Result<bool, SinkError> {
    let name = &layout.name;
    let context = format!("preparing table {name}");
    let there = is_there(connection, name).await?;
    if there {
        add_columns(connection, layout, done).await?;
    } else {
        change(connection, &context, &schema::create_table(layout)).await?;
        done.push(format!("created table {name}"));
    }
    for (index, sql) in schema::indexes(layout) {
        if kind(connection, &index).await?.is_none() {
            change(connection, &context, &sql).await?;
            done.push(format!("created index {index} on table {name}"));
        }
    }
    Ok(there)
}

async fn add_columns(
    connection: &mut Connection,
    layout: &Layout,
    done: &mut Vec<String>,
) -> Result<(), SinkError> {
    let name = &layout.name;
    let context = format!("preparing table {name}");
    let existing = existing(connection, name)
        .await
        .map_err(|error| classify::other(&context, error))?;
    let missing = evolve(layout, &existing, &SqliteDialect)
        .map_err(|problem| SinkError::refused(format!("table {name}"), problem))?;
    for column in missing.into_iter().filter_map(|index| layout.columns.get(index)) {
        let type_name = schema::type_name(&column.column_type);
        let (table, quoted) = (quote_ident(name), quote_ident(&column.name));
        let sql = format!("ALTER TABLE {table} ADD COLUMN {quoted} {type_name}");
        change(connection, &context, &sql).await?;
        done.push(format!(
            "added column {} {type_name} to table {name}",
            column.name
        ));
    }
    Ok(())
}

/// Whether there is a table of this name; anything else of it is refused.
pub(super) async fn is_there(connection: &mut Connection, name: &str) -> Result<bool, SinkError> {
    match kind(connection, name).await?.as_deref() {
        None => Ok(false),
        Some("table") => Ok(true),
        Some(_) => {
            let problem = "is there already, but it is not a table: give the manifest's table another name, or drop \
                           what is there";
            Err(SinkError::refused(format!("table {name}"), problem))
        }
    }
}

async fn change(connection: &mut Connection, context: &str, sql: &str) -> Result<(), SinkError> {
    connection
        .run(sql)
        .await
        .map_err(|error| classify::other(context, error))
}

/// What has this name: `table`, `view`, `index`.
async fn kind(connection: &mut Connection, name: &str) -> Result<Option<String>, SinkError> {
    const SQL: &str = "SELECT type FROM sqlite_schema WHERE name = ? COLLATE NOCASE";
    sqlx::query_scalar(SQL)
        .bind(name)
        .fetch_optional(connection.live())
        .await
        .map_err(|error| classify::other(format!("looking for {name}"), error))
}

async fn existing(connection: &mut Connection, table: &str) -> Result<Existing, sqlx::Error> {
    // Hidden 2 and 3 are generated columns; pk is the place in the primary key, from 1, or 0.
    let sql = "SELECT name, type, \"notnull\" AND dflt_value IS NULL, hidden IN (2, 3), pk FROM pragma_table_xinfo(?)";
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(table)
        .fetch_all(connection.live())
        .await?;
    let mut columns = Vec::with_capacity(rows.len());
    let mut key: Vec<(i64, String)> = Vec::new();
    for row in &rows {
        let column = ExistingColumn {
            name: row.try_get(0)?,
            type_name: row.try_get(1)?,
            required: row.try_get(2)?,
            generated: row.try_get(3)?,
        };
        let place: i64 = row.try_get(4)?;
        if place > 0 {
            key.push((place, column.name.clone()));
        }
        columns.push(column);
    }
    key.sort_unstable();
    Ok(Existing {
        columns,
        key: key.into_iter().map(|(_, name)| name).collect(),
    })
}
