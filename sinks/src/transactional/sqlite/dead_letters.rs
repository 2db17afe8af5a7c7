//! Dead letters: stored with their batch, read in pages, marked when they are sent again.

use api::Partition;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Row};

use super::bookkeeping::{DEAD_LETTERS, TABLES, partition, work};
use super::connect::Connection;
use super::{Sqlite, classify};
use crate::sql::storable_text;
use crate::{DeadLetter, DeadLetterId, SinkError, StoredDeadLetter};

impl Sqlite {
    pub(super) async fn store_dead_letters(
        &self,
        connection: &mut Connection,
        partition: &Partition,
        letters: &[DeadLetter],
    ) -> Result<(), sqlx::Error> {
        const SQL: &str = "INSERT INTO streampipeline_dead_letters (pipeline, topic, partition, \"offset\", digest, \
                           record_timestamp, key, value, stage, error, stored_at) \
                           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, strftime('%Y-%m-%d %H:%M:%f000', 'now')) \
                           ON CONFLICT DO NOTHING";
        for letter in letters {
            sqlx::query(SQL)
                .bind(self.pipeline.as_str())
                .bind(&*partition.topic)
                .bind(partition.number)
                .bind(letter.offset)
                .bind(letter.digest())
                .bind(letter.timestamp)
                .bind(letter.key.as_deref())
                .bind(letter.value.as_deref())
                .bind(letter.stage)
                .bind(storable_text(&letter.error))
                .execute(connection.live())
                .await?;
        }
        Ok(())
    }

    /// A page in the order of topic, partition, offset and digest.
    pub(crate) async fn dead_letters(
        &self,
        after: Option<&DeadLetterId>,
        limit: u32,
    ) -> Result<Vec<StoredDeadLetter>, SinkError> {
        const ORDER: &str = "ORDER BY topic, partition, \"offset\", digest LIMIT ?";
        match after {
            None => self.read_letters(ORDER, |query| query.bind(limit)).await,
            Some(id) => {
                let rest = format!("AND (topic, partition, \"offset\", digest) > (?, ?, ?, ?) {ORDER}");
                let bind = |query: Letters| bind_id(query, id).bind(limit);
                self.read_letters(&rest, bind).await
            }
        }
    }

    pub(crate) async fn newest_dead_letters(&self, limit: u32) -> Result<Vec<StoredDeadLetter>, SinkError> {
        // Rows that are never deleted are numbered as they come.
        self.read_letters("ORDER BY rowid DESC LIMIT ?", |query| query.bind(limit))
            .await
    }

    pub(crate) async fn dead_letters_at(
        &self,
        partition: &Partition,
        offset: i64,
    ) -> Result<Vec<StoredDeadLetter>, SinkError> {
        let rest = "AND topic = ? AND partition = ? AND \"offset\" = ? ORDER BY digest";
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
        let sql = format!(
            "SELECT topic, partition, \"offset\", digest, record_timestamp, key, value, stage, error, \
             replace(stored_at, ' ', 'T') || 'Z', replace(replayed_at, ' ', 'T') || 'Z' \
             FROM streampipeline_dead_letters WHERE pipeline = ? {rest}"
        );
        let query = bind(sqlx::query(AssertSqlSafe(sql)).bind(self.pipeline.to_string()));
        let read = async |connection: &mut Connection| {
            let rows = query.fetch_all(connection.live()).await?;
            rows.iter().map(dead_letter).collect()
        };
        work(&self.reader, || "reading dead letters".to_owned(), read).await
    }

    pub(crate) async fn mark_replayed(&self, letters: &[DeadLetterId]) -> Result<(), SinkError> {
        const SQL: &str = "UPDATE streampipeline_dead_letters \
                           SET replayed_at = strftime('%Y-%m-%d %H:%M:%f000', 'now') \
                           WHERE pipeline = ? AND topic = ? AND partition = ? AND \"offset\" = ? AND digest = ?";
        let mark = async |connection: &mut Connection| {
            for id in letters {
                let query = sqlx::query(SQL).bind(self.pipeline.to_string());
                bind_id(query, id).execute(connection.live()).await?;
            }
            Ok(())
        };
        work(
            &self.writer,
            || "marking dead letters as replayed".to_owned(),
            mark,
        )
        .await
    }
}

/// A statement over dead letters whose parameters are bound.
type Letters = Query<'static, sqlx::Sqlite, SqliteArguments>;

fn bind_id(query: Letters, id: &DeadLetterId) -> Letters {
    query
        .bind(id.partition.topic.to_string())
        .bind(id.partition.number)
        .bind(id.offset)
        .bind(id.digest)
}

/// Takes the number away that letters once had, so that their identity is the key. Where a view or a trigger of the
/// user's names the table, the number stays: nothing here reads it.
///
/// The table is filled again rather than renamed, since a renamed table takes what refers to it along. A worker of the
/// release before writes into either table: it does not name the number.
pub(super) async fn upgrade(connection: &mut Connection) -> Result<Option<String>, SinkError> {
    const NUMBERED: &str = "SELECT count(*) FROM pragma_table_info('streampipeline_dead_letters') \
                            WHERE name = 'id' AND pk = 1 AND NOT EXISTS (SELECT 1 FROM sqlite_schema \
                            WHERE type IN ('view', 'trigger') AND sql LIKE '%streampipeline_dead_letters%')";
    const COLUMNS: &str = "pipeline, topic, partition, \"offset\", digest, record_timestamp, key, value, stage, error, \
                           stored_at, replayed_at";
    let failed = |error| classify::other(format!("preparing table {DEAD_LETTERS}"), error);
    let numbered: i64 = sqlx::query_scalar(NUMBERED)
        .fetch_one(connection.live())
        .await
        .map_err(failed)?;
    let Some((_, create)) = TABLES.iter().find(|(name, _)| *name == DEAD_LETTERS) else {
        return Ok(None);
    };
    if numbered == 0 {
        return Ok(None);
    }
    let upgrade = format!(
        "CREATE TEMPORARY TABLE streampipeline_kept AS SELECT {COLUMNS} FROM {DEAD_LETTERS} ORDER BY id; \
         DROP TABLE {DEAD_LETTERS}; {create}; \
         INSERT INTO {DEAD_LETTERS} ({COLUMNS}) SELECT {COLUMNS} FROM streampipeline_kept ORDER BY rowid; \
         DROP TABLE streampipeline_kept"
    );
    connection.run(&upgrade).await.map_err(failed)?;
    Ok(Some(format!("dropped column id of table {DEAD_LETTERS}")))
}

fn dead_letter(row: &SqliteRow) -> Result<StoredDeadLetter, sqlx::Error> {
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
