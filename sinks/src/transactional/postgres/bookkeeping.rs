//! The product's own tables: offsets (the fence), dead letters, tables that are loaded as a whole.

use api::Partition;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row};

use super::{Connection, Postgres, QUERY_LIMIT, READING, WRITING, classify};
use crate::sql::storable_text;
use crate::{Advance, Claim, Lease, SinkError, StoredPosition, idle};

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
        "pipeline text, topic text, partition integer, \"offset\" bigint, digest bigint, record_timestamp bigint, \
         key bytea, value bytea, stage text NOT NULL, error text NOT NULL, \
         stored_at timestamptz NOT NULL DEFAULT now(), replayed_at timestamptz, \
         PRIMARY KEY (pipeline, topic, partition, \"offset\", digest)",
    ),
    // The fingerprint is of what the rows are made of: a reference's rows, a recommender's choices, a model's query.
    (
        REFERENCES,
        "pipeline text, name text, fingerprint text NOT NULL, rows bigint NOT NULL, \
         loaded_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (pipeline, name)",
    ),
];

impl Postgres {
    /// Takes over a partition.
    ///
    /// A predecessor that is frozen in the middle of a statement cannot be asked to stop, and its locks on keyed
    /// tables would block everyone: its session is ended. That is harmless, because it could not commit any more.
    /// It is done before the epoch is raised, because it may hold the very row, and again after, because it may
    /// have begun another transaction in between.
    pub(crate) async fn claim(&self, partition: &Partition, owner: &str) -> Result<Claim, SinkError> {
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

    pub(crate) async fn positions(&self) -> Result<Vec<StoredPosition>, SinkError> {
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

    /// One small transaction.
    pub(super) async fn work<T>(
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

fn position(row: &PgRow) -> Result<StoredPosition, sqlx::Error> {
    Ok(StoredPosition {
        partition: partition(row, 0)?,
        next_offset: row.try_get(2)?,
        epoch: row.try_get(3)?,
        state: row.try_get(4)?,
    })
}

/// The partition in this column (topic) and the next (number).
pub(super) fn partition(row: &PgRow, column: usize) -> Result<Partition, sqlx::Error> {
    Ok(Partition {
        topic: row.try_get::<String, _>(column)?.into(),
        number: row.try_get(column + 1)?,
    })
}
