//! The product's own tables: offsets (the fence), dead letters, loaded references.

use api::Partition;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row};

use super::{BATCH_LIMIT, Connection, Postgres, QUERY_LIMIT, READING, WRITING, classify};
use crate::sql::storable_text;
use crate::{Advance, Claim, DeadLetter, Lease, SinkError, StoredDeadLetter, StoredPosition, idle};

pub(super) const OFFSETS: &str = "streampipeline_offsets";
pub(super) const DEAD_LETTERS: &str = "streampipeline_dead_letters";
pub(super) const REFERENCES: &str = "streampipeline_references";

/// The product's own tables, each with its columns.
pub(super) const TABLES: [(&str, &str); 3] = [
    (
        OFFSETS,
        "pipeline text, topic text, partition integer, next_offset bigint, epoch bigint NOT NULL, owner text, \
         state jsonb, updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (pipeline, topic, partition)",
    ),
    // The digest is of the record itself: a topic that was deleted and made again has other records at the same
    // offsets, and their letters are other letters.
    (
        DEAD_LETTERS,
        "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, pipeline text NOT NULL, topic text NOT NULL, \
         partition integer NOT NULL, \"offset\" bigint NOT NULL, digest bigint NOT NULL, record_timestamp bigint, \
         key bytea, value bytea, stage text NOT NULL, error text NOT NULL, \
         stored_at timestamptz NOT NULL DEFAULT now(), replayed_at timestamptz, \
         UNIQUE (pipeline, topic, partition, \"offset\", digest)",
    ),
    (
        REFERENCES,
        "pipeline text, name text, fingerprint text NOT NULL, rows bigint NOT NULL, \
         loaded_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (pipeline, name)",
    ),
];

/// Dead letters of one statement, so that its size stays bounded by that of some messages.
const LETTERS_AT_ONCE: usize = 500;

impl Postgres {
    /// Takes over a partition.
    ///
    /// A predecessor that is frozen in the middle of a statement cannot be asked to stop, and its locks on keyed
    /// tables would block everyone: its session is ended. That is harmless, because it could not commit any more.
    /// It is done before the epoch is raised, because it may hold the very row, and again after, because it may
    /// have begun another transaction in between.
    pub async fn claim(&self, partition: &Partition, owner: &str) -> Result<Claim, SinkError> {
        let context = || format!("claiming {partition}");
        self.end_sessions(partition, i64::MAX).await?;
        let sql = format!(
            "INSERT INTO {} AS stored (pipeline, topic, partition, epoch, owner) VALUES ($1, $2, $3, 1, $4) \
             ON CONFLICT (pipeline, topic, partition) \
             DO UPDATE SET epoch = stored.epoch + 1, owner = excluded.owner \
             RETURNING next_offset, epoch, state::text, \
             extract(epoch FROM clock_timestamp() - stored.updated_at)::float8",
            self.qualified(OFFSETS)
        );
        let claim = async |connection: &mut Connection| {
            let query = sqlx::query(AssertSqlSafe(sql))
                .bind(self.pipeline.as_str())
                .bind(&*partition.topic)
                .bind(partition.number)
                .bind(storable_text(owner));
            let row = Connection::within(QUERY_LIMIT, query.fetch_one(connection.live())).await?;
            Ok(Claim {
                next_offset: row.try_get(0)?,
                lease: Lease {
                    partition: partition.clone(),
                    epoch: row.try_get(1)?,
                },
                state: row.try_get(2)?,
                unfinished: None,
                idle: idle(row.try_get(3)?),
            })
        };
        let claim: Claim = self.work(WRITING, context, claim).await?;
        self.end_sessions(partition, claim.lease.epoch).await?;
        Ok(claim)
    }

    /// Ends the sessions that write this partition with an epoch below `epoch`.
    async fn end_sessions(&self, partition: &Partition, epoch: i64) -> Result<(), SinkError> {
        // Only of the own role: others' are neither visible nor allowed.
        const SQL: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_catalog.pg_stat_activity \
                           WHERE datname = current_database() AND usename = current_user \
                           AND application_name LIKE $1 || ':%' \
                           AND split_part(application_name, ':', 3)::bigint < $2";
        let tag = self.session_tag(partition);
        let end = async |connection: &mut Connection| {
            let query = sqlx::query_scalar(SQL).bind(&tag).bind(epoch);
            match Connection::within(QUERY_LIMIT, query.fetch_one(connection.live())).await {
                Ok(ended) => Ok(Some(ended)),
                Err(error) if classify::is_forbidden(&error) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let context = || format!("ending sessions that still write {partition}");
        match self.work::<Option<i64>>(WRITING, context, end).await? {
            Some(0) => {}
            Some(ended) => tracing::info!(%partition, ended, "ended database sessions of an earlier owner"),
            // Then a frozen predecessor keeps its locks until the server's own time limits end it.
            None => {
                tracing::warn!(%partition, "the sink's user may not end its own earlier database sessions");
            }
        }
        Ok(())
    }

    /// Moves the partition if it is where the batch began and the lease is the current one.
    pub(super) async fn advance(
        &self,
        connection: &mut Connection,
        lease: &Lease,
        advance: &Advance,
    ) -> Result<bool, sqlx::Error> {
        let sql = format!(
            "UPDATE {} SET next_offset = $5, state = $6::jsonb, updated_at = now() \
             WHERE pipeline = $1 AND topic = $2 AND partition = $3 AND epoch = $4 \
             AND next_offset IS NOT DISTINCT FROM $7",
            self.qualified(OFFSETS)
        );
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(self.pipeline.as_str())
            .bind(&*lease.partition.topic)
            .bind(lease.partition.number)
            .bind(lease.epoch)
            .bind(advance.end)
            .bind(&advance.state)
            .bind(advance.start);
        let result = Connection::within(QUERY_LIMIT, query.execute(connection.live())).await?;
        Ok(result.rows_affected() == 1)
    }

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

    /// All partitions of this pipeline, sorted.
    pub async fn positions(&self) -> Result<Vec<StoredPosition>, SinkError> {
        let sql = format!(
            "SELECT topic, partition, next_offset, epoch, state::text FROM {} WHERE pipeline = $1",
            self.qualified(OFFSETS)
        );
        let read = async |connection: &mut Connection| {
            let query = sqlx::query(AssertSqlSafe(sql)).bind(self.pipeline.as_str());
            let rows = Connection::within(QUERY_LIMIT, query.fetch_all(connection.live())).await?;
            rows.iter().map(position).collect::<Result<Vec<_>, _>>()
        };
        let mut positions = self
            .work(READING, || "reading the stored positions".to_owned(), read)
            .await?;
        // Here rather than there, where the order of text is the database's.
        positions.sort_by(|a, b| a.partition.cmp(&b.partition));
        Ok(positions)
    }

    /// The newest dead letters of this pipeline, newest first.
    pub async fn dead_letters(&self, limit: u32) -> Result<Vec<StoredDeadLetter>, SinkError> {
        const RFC_3339: &str = "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'";
        let sql = format!(
            "SELECT id, topic, partition, \"offset\", record_timestamp, key, value, stage, error, \
             to_char(stored_at AT TIME ZONE 'UTC', {RFC_3339}), to_char(replayed_at AT TIME ZONE 'UTC', {RFC_3339}) \
             FROM {} WHERE pipeline = $1 ORDER BY id DESC LIMIT $2",
            self.qualified(DEAD_LETTERS)
        );
        let read = async |connection: &mut Connection| {
            let query = sqlx::query(AssertSqlSafe(sql))
                .bind(self.pipeline.as_str())
                .bind(i64::from(limit));
            let rows = Connection::within(QUERY_LIMIT, query.fetch_all(connection.live())).await?;
            rows.iter().map(dead_letter).collect::<Result<Vec<_>, _>>()
        };
        self.work(READING, || "reading dead letters".to_owned(), read)
            .await
    }

    /// Marks dead letters as sent to their topics again.
    pub async fn mark_replayed(&self, ids: &[i64]) -> Result<(), SinkError> {
        let sql = format!(
            "UPDATE {} SET replayed_at = now() WHERE pipeline = $1 AND id = ANY($2)",
            self.qualified(DEAD_LETTERS)
        );
        let mark = async |connection: &mut Connection| {
            let query = sqlx::query(AssertSqlSafe(sql))
                .bind(self.pipeline.as_str())
                .bind(ids);
            Connection::within(QUERY_LIMIT, query.execute(connection.live()))
                .await
                .map(drop)
        };
        self.work(WRITING, || "marking dead letters as replayed".to_owned(), mark)
            .await
    }

    /// One small transaction.
    async fn work<T>(
        &self,
        begin: &str,
        context: impl Fn() -> String,
        work: impl AsyncFnOnce(&mut Connection) -> Result<T, sqlx::Error>,
    ) -> Result<T, SinkError> {
        let mut connection = self.begin_work(begin, QUERY_LIMIT, &context).await?;
        let done = work(&mut connection)
            .await
            .map_err(|error| classify::other(context(), error))?;
        self.end_work(&mut connection, context).await?;
        connection.keep();
        Ok(done)
    }
}

/// One value of each letter: a column of the rows to be stored.
fn column<'a, T>(letters: &'a [DeadLetter], value: impl Fn(&'a DeadLetter) -> T) -> Vec<T> {
    letters.iter().map(value).collect()
}

fn position(row: &PgRow) -> Result<StoredPosition, sqlx::Error> {
    Ok(StoredPosition {
        partition: partition(row, 0)?,
        next_offset: row.try_get(2)?,
        epoch: row.try_get(3)?,
        state: row.try_get(4)?,
    })
}

fn dead_letter(row: &PgRow) -> Result<StoredDeadLetter, sqlx::Error> {
    Ok(StoredDeadLetter {
        id: row.try_get(0)?,
        partition: partition(row, 1)?,
        offset: row.try_get(3)?,
        timestamp: row.try_get(4)?,
        key: row.try_get(5)?,
        value: row.try_get(6)?,
        stage: row.try_get(7)?,
        error: row.try_get(8)?,
        stored_at: row.try_get(9)?,
        replayed_at: row.try_get(10)?,
    })
}

/// The partition in this column (topic) and the next (number).
fn partition(row: &PgRow, column: usize) -> Result<Partition, sqlx::Error> {
    Ok(Partition {
        topic: row.try_get::<String, _>(column)?.into(),
        number: row.try_get(column + 1)?,
    })
}
