//! Making what is missing, in one transaction under one lock: all of it or nothing, and once.

use std::collections::HashSet;

use sqlx::Row;

use super::schema::{self, PostgresDialect};
use super::{Connection, PREPARE_LIMIT, Postgres, WRITING, bookkeeping, classify};
use crate::SinkError;
use crate::shape::evolution::{Dialect, Existing, ExistingColumn, evolve};
use crate::shape::layout::Layout;
use crate::sql::stable_hash;

impl Postgres {
    pub(crate) async fn prepare(&self) -> Result<Vec<String>, SinkError> {
        let context = || "preparing the database".to_owned();
        let mut connection = self.begin_prepare(context).await?;
        let mut done = self.prepare_own(&mut connection).await?;
        for layout in &self.tables {
            self.prepare_table(&mut connection, layout, &mut done).await?;
        }
        self.end_work(&mut connection, context).await?;
        connection.keep();
        Ok(done)
    }

    /// Begins a transaction that changes tables, alone: `CREATE … IF NOT EXISTS` fails when two do it at once.
    pub(super) async fn begin_prepare(&self, context: impl Fn() -> String) -> Result<Connection, SinkError> {
        self.begin_alone(
            [b"streampipeline prepare".as_slice(), self.schema.as_bytes()],
            context,
        )
        .await
    }

    /// Begins a transaction that writes, alone among all that are begun with the same `lock`.
    pub(super) async fn begin_alone<'a>(
        &self,
        lock: impl IntoIterator<Item = &'a [u8]>,
        context: impl Fn() -> String,
    ) -> Result<Connection, SinkError> {
        let opening = format!(
            "{}; SELECT pg_advisory_xact_lock({})",
            Self::opening(WRITING, PREPARE_LIMIT),
            stable_hash(lock).cast_signed()
        );
        self.connections.open(&opening, context).await
    }

    /// Makes the product's own tables. They are looked for first, because `CREATE TABLE IF NOT EXISTS` needs the
    /// right to create tables even when they are there.
    pub(super) async fn prepare_own(&self, connection: &mut Connection) -> Result<Vec<String>, SinkError> {
        let mut done = Vec::new();
        for (name, columns) in bookkeeping::TABLES {
            if self.kind(connection, name).await?.is_none() {
                let sql = format!("CREATE TABLE {} ({columns})", self.qualified(name));
                self.change(connection, name, &sql).await?;
                done.push(format!("created table {name}"));
            }
        }
        done.extend(self.upgrade_dead_letters(connection).await?);
        Ok(done)
    }

    /// Makes the table or adds what it lacks. `true` if it was there before.
    pub(super) async fn prepare_table(
        &self,
        connection: &mut Connection,
        layout: &Layout,
        done: &mut Vec<String>,
    ) -> Result<bool, SinkError> {
        let name = &layout.name;
        let there = self.is_there(connection, name).await?;
        if there {
            self.add_columns(connection, layout, done).await?;
        } else {
            self.change(connection, name, &schema::create_table(&self.schema, layout))
                .await?;
            done.push(format!("created table {name}"));
        }
        let mut indexes = schema::indexes(&self.schema, layout);
        if !there {
            indexes.extend(schema::time_index(&self.schema, layout));
        }
        let present = self.index_names(connection, name).await?;
        for index in indexes.iter().filter(|index| !present.contains(&index.name)) {
            self.change(connection, name, &index.sql).await?;
            done.push(format!("created index {} on table {name}", index.name));
        }
        Ok(there)
    }

    /// Whether there is an ordinary or a partitioned table of this name; anything else of it is refused.
    pub(super) async fn is_there(&self, connection: &mut Connection, name: &str) -> Result<bool, SinkError> {
        match self.kind(connection, name).await?.as_deref() {
            None => Ok(false),
            Some("r" | "p") => Ok(true),
            Some(_) => {
                let problem = "is there already, but it is not a table (a view, a foreign table, a sequence, …): give \
                               the manifest's table another name, or rename what is there";
                Err(SinkError::refused(format!("table {name}"), problem))
            }
        }
    }

    async fn add_columns(
        &self,
        connection: &mut Connection,
        layout: &Layout,
        done: &mut Vec<String>,
    ) -> Result<(), SinkError> {
        let name = &layout.name;
        let dialect = PostgresDialect { schema: &self.schema };
        let existing = self.existing(connection, name).await?;
        let missing = evolve(layout, &existing, &dialect)
            .map_err(|problem| SinkError::refused(format!("table {name}"), problem))?;
        for index in missing {
            if let Some(column) = layout.columns.get(index) {
                let type_name = dialect.type_name(layout, index);
                let sql = schema::add_column(&self.schema, layout, &column.name, &type_name);
                self.change(connection, name, &sql).await?;
                done.push(format!(
                    "added column {} {type_name} to table {name}",
                    column.name
                ));
            }
        }
        Ok(())
    }

    async fn change(&self, connection: &mut Connection, table: &str, sql: &str) -> Result<(), SinkError> {
        let result = connection.run(sql, PREPARE_LIMIT).await;
        result.map_err(|error| classify::other(format!("preparing table {table}"), error))
    }

    /// What kind of relation has this name, as `pg_class.relkind` says it.
    async fn kind(&self, connection: &mut Connection, name: &str) -> Result<Option<String>, SinkError> {
        const SQL: &str = "SELECT relkind::text FROM pg_catalog.pg_class WHERE oid = to_regclass($1)";
        let query = sqlx::query_scalar(SQL).bind(self.qualified(name));
        Connection::within(PREPARE_LIMIT, query.fetch_optional(connection.live()))
            .await
            .map_err(|error| classify::other(format!("looking for table {name}"), error))
    }

    async fn existing(&self, connection: &mut Connection, name: &str) -> Result<Existing, SinkError> {
        const COLUMNS: &str = "SELECT attname::text, format_type(atttypid, atttypmod), \
                               attnotnull AND NOT atthasdef AND attidentity = '', attgenerated <> '' \
                               FROM pg_catalog.pg_attribute \
                               WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
        const KEY: &str = "SELECT attname::text FROM pg_catalog.pg_index \
                           JOIN pg_catalog.pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey) \
                           WHERE indrelid = to_regclass($1) AND indisprimary \
                           ORDER BY array_position(indkey::int2[], attnum)";
        let read = async {
            let table = self.qualified(name);
            let columns = sqlx::query(COLUMNS)
                .bind(&table)
                .fetch_all(connection.live())
                .await?;
            let key = sqlx::query_scalar(KEY)
                .bind(&table)
                .fetch_all(connection.live())
                .await?;
            let column = |row: &sqlx::postgres::PgRow| {
                Ok(ExistingColumn {
                    name: row.try_get(0)?,
                    type_name: row.try_get(1)?,
                    required: row.try_get(2)?,
                    generated: row.try_get(3)?,
                })
            };
            Ok(Existing {
                columns: columns.iter().map(column).collect::<Result<_, sqlx::Error>>()?,
                key,
            })
        };
        Connection::within(PREPARE_LIMIT, read)
            .await
            .map_err(|error| classify::other(format!("reading the columns of table {name}"), error))
    }

    async fn index_names(
        &self,
        connection: &mut Connection,
        table: &str,
    ) -> Result<HashSet<String>, SinkError> {
        const SQL: &str = "SELECT relname::text FROM pg_catalog.pg_index JOIN pg_catalog.pg_class ON oid = indexrelid \
                           WHERE indrelid = to_regclass($1)";
        let query = sqlx::query_scalar(SQL).bind(self.qualified(table));
        let names: Vec<String> = Connection::within(PREPARE_LIMIT, query.fetch_all(connection.live()))
            .await
            .map_err(|error| classify::other(format!("reading the indexes of table {table}"), error))?;
        Ok(names.into_iter().collect())
    }
}
