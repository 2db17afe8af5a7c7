//! Tables of dead letters that the release before made, in which a letter has a number.

use std::sync::Arc;

use api::Write;
use runtime::secrets::Secrets;
use sinks::{DeadLetter, DeadLetterId, Sink, postgres};
use sqlx::{AssertSqlSafe, Connection};
use testbed::eventually;

use crate::database::Database;
use crate::postgres::SOON;
use crate::promises::{Home, advance, claim, partition, pipeline, plays, rows};
use crate::sqlite::File;

const IN_POSTGRES: &str = "CREATE TABLE streampipeline_dead_letters \
    (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, pipeline text NOT NULL, topic text NOT NULL, \
     partition integer NOT NULL, \"offset\" bigint NOT NULL, digest bigint NOT NULL, record_timestamp bigint, \
     key bytea, value bytea, stage text NOT NULL, error text NOT NULL, \
     stored_at timestamptz NOT NULL DEFAULT now(), replayed_at timestamptz, \
     UNIQUE (pipeline, topic, partition, \"offset\", digest))";

const IN_SQLITE: &str = "CREATE TABLE streampipeline_dead_letters (id INTEGER PRIMARY KEY, pipeline TEXT NOT NULL, \
     topic TEXT NOT NULL, partition INTEGER NOT NULL, \"offset\" INTEGER NOT NULL, digest INTEGER NOT NULL, \
     record_timestamp INTEGER, key BLOB, value BLOB, stage TEXT NOT NULL, error TEXT NOT NULL, \
     stored_at TEXT NOT NULL, replayed_at TEXT, UNIQUE (pipeline, topic, partition, \"offset\", digest)) STRICT";

fn letter(offset: i64) -> DeadLetter {
    DeadLetter {
        offset,
        timestamp: None,
        key: None,
        value: Some(b"x".to_vec()),
        stage: "decode",
        error: "bad".to_owned(),
    }
}

/// What a worker of the release before does with the letter.
fn stored_before(letter: &DeadLetter, now: &str) -> String {
    format!(
        "INSERT INTO streampipeline_dead_letters (pipeline, topic, partition, \"offset\", digest, record_timestamp, key, \
         value, stage, error, stored_at) \
         SELECT 'music', 'plays', 0, {}, {}, NULL, NULL, {}, 'decode', 'bad', {now} WHERE true ON CONFLICT DO NOTHING",
        letter.offset,
        letter.digest(),
        if now == "now()" { "'\\x78'::bytea" } else { "x'78'" },
    )
}

const POSTGRES_NOW: &str = "now()";
const SQLITE_NOW: &str = "strftime('%Y-%m-%d %H:%M:%f000', 'now')";

async fn store(sink: &Sink, letters: &[DeadLetter]) {
    let claim = claim(sink, 0).await;
    let mut transaction = sink.begin(&claim.lease).await.unwrap();
    transaction.dead_letters(letters).await.unwrap();
    let start = claim.next_offset;
    transaction
        .commit(&advance(start, start.unwrap_or(0) + 1))
        .await
        .unwrap();
}

async fn offsets(sink: &Sink) -> Vec<i64> {
    let letters = sink.dead_letters(None, 100).await.unwrap();
    letters.iter().map(|letter| letter.id.offset).collect()
}

/// Eight processes begin at once while workers of both releases store letters.
async fn the_number_goes_and_the_letters_stay(home: &impl Home, create: &str, now: &str) {
    home.by_hand(create).await;
    for offset in [7, 3] {
        home.by_hand(&stored_before(&letter(offset), now)).await;
    }
    let mut prepares = Vec::new();
    for _ in 0..8 {
        let sink = home.sink("music", vec![plays(Write::Append)]).await;
        prepares.push(tokio::spawn(async move { sink.prepare().await.unwrap() }));
    }
    let mut done = Vec::new();
    for prepare in prepares {
        done.extend(prepare.await.unwrap());
    }
    let dropped = "dropped column id of table streampipeline_dead_letters";
    assert_eq!(done.iter().filter(|line| *line == dropped).count(), 1, "{done:?}");

    let sink = home.sink("music", vec![plays(Write::Append)]).await;
    assert!(sink.prepare().await.unwrap().is_empty());
    assert_eq!(offsets(&sink).await, [3, 7]);
    // Neither release doubles what the other one stored.
    store(&sink, &[letter(3), letter(9)]).await;
    for offset in [9, 11] {
        home.by_hand(&stored_before(&letter(offset), now)).await;
    }
    assert_eq!(offsets(&sink).await, [3, 7, 9, 11]);
    let stored = sink.dead_letters_at(&partition(0), 7).await.unwrap();
    assert_eq!(stored[0].value.as_deref(), Some(b"x".as_slice()));
    assert_eq!(stored[0].id.digest, letter(7).digest());
    sink.mark_replayed(&[stored[0].id.clone()]).await.unwrap();
    let columns = sink
        .query("SELECT * FROM streampipeline_dead_letters", &[])
        .await
        .unwrap()
        .columns;
    assert!(!columns.contains(&"id".to_owned()), "{columns:?}");
}

/// What a user made of the number goes on, and so does everything else.
async fn a_number_that_is_in_use_stays(home: &impl Home, create: &str, now: &str) {
    home.by_hand(create).await;
    home.by_hand(&stored_before(&letter(7), now)).await;
    home.by_hand("CREATE VIEW worst AS SELECT id, error FROM streampipeline_dead_letters")
        .await;
    let sink = home.sink("music", vec![plays(Write::Append)]).await;
    for _ in 0..2 {
        let done = sink.prepare().await.unwrap();
        assert!(!done.iter().any(|line| line.starts_with("dropped")), "{done:?}");
    }
    store(&sink, &[letter(7), letter(3)]).await;
    assert_eq!(offsets(&sink).await, [3, 7]);
    let newest = sink.newest_dead_letters(1).await.unwrap();
    assert_eq!(newest[0].id.offset, 3);
    sink.mark_replayed(&[newest[0].id.clone()]).await.unwrap();
    assert!(
        sink.newest_dead_letters(1).await.unwrap()[0]
            .replayed_at
            .is_some()
    );
    assert_eq!(
        rows(&sink, "SELECT count(*), count(DISTINCT id) FROM worst").await,
        ["2|2"]
    );
}

#[tokio::test]
async fn the_number_goes_and_the_letters_stay_in_postgres() {
    the_number_goes_and_the_letters_stay(&Database::new().await, IN_POSTGRES, POSTGRES_NOW).await;
}

#[tokio::test]
async fn the_number_goes_and_the_letters_stay_in_sqlite() {
    the_number_goes_and_the_letters_stay(&File::new(), IN_SQLITE, SQLITE_NOW).await;
}

#[tokio::test]
async fn a_number_that_is_in_use_stays_in_postgres() {
    a_number_that_is_in_use_stays(&Database::new().await, IN_POSTGRES, POSTGRES_NOW).await;
}

#[tokio::test]
async fn a_number_that_is_in_use_stays_in_sqlite() {
    a_number_that_is_in_use_stays(&File::new(), IN_SQLITE, SQLITE_NOW).await;
}

/// The upgrade waits for a worker of the release before that is in the middle of a batch, and keeps its letter.
#[tokio::test]
async fn a_batch_that_is_under_way_is_waited_for() {
    let home = Database::new().await;
    home.by_hand(IN_POSTGRES).await;
    let mut worker = home.connect().await;
    let batch = format!("BEGIN; {}", stored_before(&letter(5), POSTGRES_NOW));
    sqlx::raw_sql(AssertSqlSafe(batch))
        .execute(&mut worker)
        .await
        .unwrap();
    let sink = home.sink("music", vec![]).await;
    let upgraded = sink.clone();
    let prepare = tokio::spawn(async move { upgraded.prepare().await });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually(SOON, async || {
        let waiting: i64 = sqlx::query_scalar(waiting)
            .fetch_one(&mut home.connect().await)
            .await
            .unwrap();
        if waiting > 0 {
            Ok(())
        } else {
            Err("nobody waits".to_owned())
        }
    })
    .await
    .unwrap();
    sqlx::raw_sql("COMMIT").execute(&mut worker).await.unwrap();
    worker.close().await.unwrap();
    prepare.await.unwrap().unwrap();
    assert_eq!(offsets(&sink).await, [5]);
}

/// A table that belongs to another role keeps its shape, and is used.
#[tokio::test]
async fn a_table_of_another_role_stays_as_it_is() {
    let home = Database::new().await;
    let fresh = home.sink("music", vec![]).await;
    fresh.prepare().await.unwrap();
    let role = format!("writer_of_{}", home.name);
    home.by_hand(&format!(
        "DROP TABLE streampipeline_dead_letters; {IN_POSTGRES}; CREATE ROLE {role} LOGIN PASSWORD 'secret'; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
    ))
    .await;
    let secrets = Secrets::new(None, move |variable| match variable {
        "STREAMPIPELINE_SECRET_DB_USERNAME" => Some(role.clone()),
        "STREAMPIPELINE_SECRET_DB_PASSWORD" => Some("secret".to_owned()),
        _ => None,
    });
    let opened = postgres::Postgres::open(pipeline("music"), &home.settings(), vec![], &secrets).await;
    let sink = Sink::Postgres(Arc::new(opened.unwrap()));
    assert_eq!(sink.prepare().await.unwrap(), [""; 0]);
    store(&sink, &[letter(4)]).await;
    assert_eq!(offsets(&sink).await, [4]);
}

/// Any number of letters can be read in memory for one page.
async fn every_letter_is_on_one_page(home: &impl Home) {
    let sink = home.sink("music", vec![plays(Write::Append)]).await;
    sink.prepare().await.unwrap();
    let mut letters: Vec<DeadLetter> = (0..25).map(letter).collect();
    // The topic was deleted and made again.
    letters.push(DeadLetter {
        value: None,
        ..letter(9)
    });
    store(&sink, &letters).await;
    let other = home.sink("other", vec![]).await;
    store(&other, &[letter(1)]).await;
    let mut seen: Vec<DeadLetterId> = Vec::new();
    loop {
        let page = sink.dead_letters(seen.last(), 4).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 4);
        seen.extend(page.into_iter().map(|letter| letter.id));
    }
    assert_eq!(seen.len(), 26);
    assert!(seen.is_sorted(), "{seen:?}");
    assert_eq!(sink.dead_letters_at(&partition(0), 9).await.unwrap().len(), 2);
    assert!(sink.dead_letters_at(&partition(1), 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn every_letter_is_on_one_page_in_postgres() {
    every_letter_is_on_one_page(&Database::new().await).await;
}

#[tokio::test]
async fn every_letter_is_on_one_page_in_sqlite() {
    every_letter_is_on_one_page(&File::new()).await;
}
