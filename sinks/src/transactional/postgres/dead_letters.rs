//! Dead letters: stored with their batch, read in pages, marked when they are sent again.

use api::Partition;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Row};

use super::bookkeeping::{DEAD_LETTERS, partition};
use super::{BATCH_LIMIT, Connection, PREPARE_LIMIT, Postgres, QUERY_LIMIT, READING, WRITING, classify};
use crate::sql::{quote_ident, storable_text};
use crate::{DeadLetter, DeadLetterId, SinkError, StoredDeadLetter};

/// Dead letters of one statement, so that its size stays bounded by that of some messages.
const LETTERS_AT_ONCE: usize = 500;

/// What identifies a letter within its pipeline.
const ID: &str = "topic, partition, \"offset\", digest";

impl Postgres {
    pub(super) async fn store_dead_letters(
        &self,
        connection: &mut Connection,
        partition: &Partition,
        letters: &[DeadLetter],
    ) -> Result<(), SinkError> {
        let sql = format!(
            "INSERT INTO {} (pipeline, topic, partition, \"offset\", digest, record_timestamp, key, value, stage, error) \
             SELECT $1, $2, $3, * FROM unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[], $8::bytea[], \
             $9::text[], $10::text[]) ON CONFLICT DO NOTHING",
            self.qualified(DEAD_LETTERS)
        );
        for letters in letters.chunks(LETTERS_AT_ONCE) {
            let query = sqlx::query(AssertSqlSafe(sql.as_str()))
                .bind(self.pipeline.as_str())
                .bind(&*partition.topic)
                .bind(partition.number)
                .bind(column(letters, |letter| letter.offset))
                .bind(column(letters, DeadLetter::digest))
                .bind(column(letters, |letter| letter.timestamp))
                .bind(column(letters, |letter| letter.key.as_deref()))
                .bind(column(letters, |letter| letter.value.as_deref()))
                .bind(column(letters, |letter| letter.stage))
                .bind(column(letters, |letter| storable_text(&letter.error)));
            Connection::within(BATCH_LIMIT, query.execute(connection.live()))
                .await
                .map_err(|error| classify::other(format!("storing dead letters of {partition}"), error))?;
        }
        Ok(())
    }

    /// A page in the order of topic, partition, offset and digest.
    pub(crate) async fn dead_letters(
        &self,
        after: Option<&DeadLetterId>,
        limit: u32,
    ) -> Result<Vec<StoredDeadLetter>, SinkError> {
        let behind = after.map_or_else(String::new, |_| format!("AND ({ID}) > ($3, $4, $5, $6)"));
        let rest = format!("{behind} ORDER BY {ID} LIMIT $2");
        self.read_letters(&rest, |query| {
            let query = query.bind(i64::from(limit));
            match after {
                None => query,
                Some(id) => query
                    .bind(id.partition.topic.to_string())
                    .bind(id.partition.number)
                    .bind(id.offset)
                    .bind(id.digest),
            }
        })
        .await
    }

    pub(crate) async fn newest_dead_letters(&self, limit: u32) -> Result<Vec<StoredDeadLetter>, SinkError> {
        // Those of one batch have one instant.
        let rest = "ORDER BY stored_at DESC, \"offset\" DESC LIMIT $2";
        self.read_letters(rest, |query| query.bind(i64::from(limit)))
            .await
    }

    pub(crate) async fn dead_letters_at(
        &self,
        partition: &Partition,
        offset: i64,
    ) -> Result<Vec<StoredDeadLetter>, SinkError> {
        let rest = "AND topic = $2 AND partition = $3 AND \"offset\" = $4 ORDER BY digest";
        self.read_letters(rest, |query| {
            query
                .bind(partition.topic.to_string())
                .bind(partition.number)
                .bind(offset)
        })
        .await
    }

    async fn read_letters(
        &self,
        rest: &str,
        bind: impl FnOnce(Letters) -> Letters,
    ) -> Result<Vec<StoredDeadLetter>, SinkError> {
        const RFC_3339: &str = "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'";
        let sql = format!(
            "SELECT {ID}, record_timestamp, key, value, stage, error, \
             to_char(stored_at AT TIME ZONE 'UTC', {RFC_3339}), to_char(replayed_at AT TIME ZONE 'UTC', {RFC_3339}) \
             FROM {} WHERE pipeline = $1 {rest}",
            self.qualified(DEAD_LETTERS)
        );
        let query = bind(sqlx::query(AssertSqlSafe(sql)).bind(self.pipeline.to_string()));
        let read = async |connection: &mut Connection| {
            let rows = Connection::within(QUERY_LIMIT, query.fetch_all(connection.live())).await?;
            rows.iter().map(dead_letter).collect::<Result<Vec<_>, _>>()
        };
        self.work(READING, || "reading dead letters".to_owned(), read)
            .await
    }

    pub(crate) async fn mark_replayed(&self, letters: &[DeadLetterId]) -> Result<(), SinkError> {
        let sql = format!(
            "UPDATE {} AS letter SET replayed_at = now() \
             FROM unnest($2::text[], $3::integer[], $4::bigint[], $5::bigint[]) AS sent ({ID}) \
             WHERE letter.pipeline = $1 AND letter.topic = sent.topic AND letter.partition = sent.partition \
             AND letter.\"offset\" = sent.\"offset\" AND letter.digest = sent.digest",
            self.qualified(DEAD_LETTERS)
        );
        let mark = async |connection: &mut Connection| {
            let query = sqlx::query(AssertSqlSafe(sql))
                .bind(self.pipeline.as_str())
                .bind(column(letters, |id| &*id.partition.topic))
                .bind(column(letters, |id| id.partition.number))
                .bind(column(letters, |id| id.offset))
                .bind(column(letters, |id| id.digest));
            Connection::within(QUERY_LIMIT, query.execute(connection.live()))
                .await
                .map(drop)
        };
        self.work(WRITING, || "marking dead letters as replayed".to_owned(), mark)
            .await
    }

    /// Takes the number away that letters once had, so that their identity is the key. Where a view or another
    /// constraint of the user's needs the number, or the table is somebody else's, it stays: nothing here reads it.
    ///
    /// A worker of the release before writes into either table: it does not name the number, and says nothing about
    /// which index a letter that is there already conflicts with.
    pub(super) async fn upgrade_dead_letters(
        &self,
        connection: &mut Connection,
    ) -> Result<Option<String>, SinkError> {
        const NUMBERED: &str = "SELECT conname::text FROM pg_catalog.pg_constraint \
                                JOIN pg_catalog.pg_attribute ON attrelid = conrelid AND attname = 'id' \
                                AND attidentity <> '' AND NOT attisdropped \
                                WHERE conrelid = to_regclass($1) AND contype = 'u'";
        let failed = |error| classify::other(format!("preparing table {DEAD_LETTERS}"), error);
        let table = self.qualified(DEAD_LETTERS);
        let query = sqlx::query_scalar(NUMBERED).bind(&table);
        let unique: Option<String> =
            Connection::within(PREPARE_LIMIT, query.fetch_optional(connection.live()))
                .await
                .map_err(failed)?;
        let Some(unique) = unique else {
            return Ok(None);
        };
        let upgrade = format!(
            "SAVEPOINT upgrade; ALTER TABLE {table} DROP COLUMN id, DROP CONSTRAINT {}, \
             ADD PRIMARY KEY (pipeline, {ID}); RELEASE SAVEPOINT upgrade",
            quote_ident(&unique)
        );
        match connection.run(&upgrade, PREPARE_LIMIT).await {
            Ok(()) => Ok(Some(format!("dropped column id of table {DEAD_LETTERS}"))),
            Err(error) if classify::is_forbidden(&error) || classify::is_depended_on(&error) => {
                let back = "ROLLBACK TO SAVEPOINT upgrade; RELEASE SAVEPOINT upgrade";
                connection.run(back, PREPARE_LIMIT).await.map_err(failed)?;
                tracing::info!(
                    "table {DEAD_LETTERS} keeps its column id, which is not used any more: {error}"
                );
                Ok(None)
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// A statement over dead letters whose parameters are bound.
type Letters = Query<'static, sqlx::Postgres, PgArguments>;

/// One value of each: a column of the rows to be stored or looked for.
fn column<'a, L, T>(letters: &'a [L], value: impl Fn(&'a L) -> T) -> Vec<T> {
    letters.iter().map(value).collect()
}

fn dead_letter(row: &PgRow) -> Result<StoredDeadLetter, sqlx::Error> {
    Ok(StoredDeadLetter {
        id: DeadLetterId {
            partition: partition(row, 0)?,
            offset: row.try_get(2)?,
            digest: row.try_get(3)?,
        },
        timestamp: row.try_get(4)?,
        key: row.try_get(5)?,
        value: row.try_get(6)?,
        stage: row.try_get(7)?,
        error: row.try_get(8)?,
        stored_at: row.try_get(9)?,
        replayed_at: row.try_get(10)?,
    })
}
