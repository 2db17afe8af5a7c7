//! The product's own tables: offsets (the fence), dead letters, tables that are loaded as a whole.

use api::Partition;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::connect::{Connection, Slot};
use super::{Sqlite, classify};
use crate::sql::storable_text;
use crate::{Advance, Claim, Lease, SinkError, StoredPosition, idle};

pub(super) const DEAD_LETTERS: &str = "streampipeline_dead_letters";

/// The product's own tables. Instants are text as in the pipeline's tables.
pub(super) const TABLES: [(&str, &str); 3] = [
    (
        "streampipeline_offsets",
        "CREATE TABLE streampipeline_offsets (pipeline TEXT NOT NULL, topic TEXT NOT NULL, \
         partition INTEGER NOT NULL, next_offset INTEGER, epoch INTEGER NOT NULL, owner TEXT, state TEXT, \
         updated_at TEXT NOT NULL, PRIMARY KEY (pipeline, topic, partition)) STRICT, WITHOUT ROWID",
    ),
    // The digest is of the record itself: a topic that was deleted and made again has other records at the same
    // offsets, and their letters are other letters.
    (
        DEAD_LETTERS,
        "CREATE TABLE streampipeline_dead_letters (pipeline TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, \"offset\" INTEGER NOT NULL, digest INTEGER NOT NULL, record_timestamp INTEGER, \
         key BLOB, value BLOB, stage TEXT NOT NULL, error TEXT NOT NULL, stored_at TEXT NOT NULL, replayed_at TEXT, \
         PRIMARY KEY (pipeline, topic, partition, \"offset\", digest)) STRICT",
    ),
    // The fingerprint is of what the rows are made of: a reference's rows, a recommender's choices, a model's query.
    (
        "streampipeline_references",
        "CREATE TABLE streampipeline_references (pipeline TEXT NOT NULL, name TEXT NOT NULL, \
         fingerprint TEXT NOT NULL, rows INTEGER NOT NULL, loaded_at TEXT NOT NULL, \
         PRIMARY KEY (pipeline, name)) STRICT, WITHOUT ROWID",
    ),
];

impl Sqlite {
    /// Takes over a partition. There are no sessions to end: of the writers of one file one writes at a time, and
    /// one with an older epoch cannot commit.
    pub(crate) async fn claim(&self, partition: &Partition, owner: &str) -> Result<Claim, SinkError> {
        const SQL: &str = "INSERT INTO streampipeline_offsets AS stored \
                           (pipeline, topic, partition, epoch, owner, updated_at) \
                           VALUES (?, ?, ?, 1, ?, strftime('%Y-%m-%d %H:%M:%f000', 'now')) \
                           ON CONFLICT (pipeline, topic, partition) DO UPDATE SET epoch = stored.epoch + 1, \
                           owner = excluded.owner \
                           RETURNING next_offset, epoch, state, \
                           (julianday('now') - julianday(updated_at)) * 86400.0";
        let claim = async |connection: &mut Connection| {
            let row = sqlx::query(SQL)
                .bind(self.pipeline.as_str())
                .bind(&*partition.topic)
                .bind(partition.number)
                .bind(storable_text(owner))
                .fetch_one(connection.live())
                .await?;
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
        work(&self.writer, || format!("claiming {partition}"), claim).await
    }

    /// Moves the partition if it is where the batch began and the lease is the current one.
    pub(super) async fn advance(
        &self,
        connection: &mut Connection,
        lease: &Lease,
        advance: &Advance,
    ) -> Result<bool, sqlx::Error> {
        const SQL: &str = "UPDATE streampipeline_offsets SET next_offset = ?, state = ?, \
                           updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now') \
                           WHERE pipeline = ? AND topic = ? AND partition = ? AND epoch = ? AND next_offset IS ?";
        let result = sqlx::query(SQL)
            .bind(advance.end)
            .bind(&advance.state)
            .bind(self.pipeline.as_str())
            .bind(&*lease.partition.topic)
            .bind(lease.partition.number)
            .bind(lease.epoch)
            .bind(advance.start)
            .execute(connection.live())
            .await?;
        Ok(result.rows_affected() == 1)
    }

    pub(crate) async fn positions(&self) -> Result<Vec<StoredPosition>, SinkError> {
        const SQL: &str = "SELECT topic, partition, next_offset, epoch, state FROM streampipeline_offsets \
                           WHERE pipeline = ? ORDER BY topic, partition";
        let read = async |connection: &mut Connection| {
            let query = sqlx::query(SQL).bind(self.pipeline.as_str());
            let rows = query.fetch_all(connection.live()).await?;
            rows.iter().map(position).collect()
        };
        work(&self.reader, || "reading the stored positions".to_owned(), read).await
    }
}

/// One small transaction.
pub(super) async fn work<T>(
    slot: &Slot,
    context: impl Fn() -> String,
    work: impl AsyncFnOnce(&mut Connection) -> Result<T, sqlx::Error>,
) -> Result<T, SinkError> {
    let mut connection = slot.open(&context).await?;
    let done = async {
        connection.run("BEGIN").await?;
        let done = work(&mut connection).await?;
        connection.run("COMMIT").await?;
        Ok(done)
    };
    let done = done.await.map_err(|error| classify::other(context(), error))?;
    connection.keep();
    Ok(done)
}

fn position(row: &SqliteRow) -> Result<StoredPosition, sqlx::Error> {
    Ok(StoredPosition {
        partition: partition(row, 0)?,
        next_offset: row.try_get(2)?,
        epoch: row.try_get(3)?,
        state: row.try_get(4)?,
    })
}

/// The partition in this column (topic) and the next (number).
pub(super) fn partition(row: &SqliteRow, column: usize) -> Result<Partition, sqlx::Error> {
    Ok(Partition {
        topic: row.try_get::<String, _>(column)?.into(),
        number: row.try_get(column + 1)?,
    })
}
