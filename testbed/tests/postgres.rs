//! A `PostgreSQL` under the hands of a test: what a real client sees.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{Connection, PgConnection};
use testbed::{Postgres, eventually};
use tokio::time::timeout;

const MOMENT: Duration = Duration::from_secs(20);

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

async fn count(url: &str) -> i64 {
    let mut connection = connect(url).await;
    sqlx::query_scalar("SELECT count(*) FROM events")
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn committed_rows_outlive_stop_kill_and_restart() {
    let mut postgres = Postgres::start().await.unwrap();
    let url = postgres.url();
    let mut session = connect(&url).await;
    sqlx::query("CREATE TABLE events (n int)")
        .execute(&mut session)
        .await
        .unwrap();
    sqlx::query("INSERT INTO events VALUES (1)")
        .execute(&mut session)
        .await
        .unwrap();

    postgres.stop().await.unwrap();
    session.ping().await.unwrap_err();
    PgConnection::connect(&url).await.unwrap_err();
    postgres.start_again().await.unwrap();
    assert_eq!(count(&url).await, 1);

    let mut session = connect(&url).await;
    sqlx::query("INSERT INTO events VALUES (2)")
        .execute(&mut session)
        .await
        .unwrap();
    sqlx::query("BEGIN; INSERT INTO events VALUES (3)")
        .execute(&mut session)
        .await
        .unwrap_err();
    let mut open = session.begin().await.unwrap();
    sqlx::query("INSERT INTO events VALUES (3)")
        .execute(&mut *open)
        .await
        .unwrap();
    postgres.kill().await.unwrap();
    assert!(sqlx::query("SELECT 1").execute(&mut *open).await.is_err());
    postgres.start_again().await.unwrap();
    postgres.restart().await.unwrap();
    assert_eq!(postgres.url(), url);
    assert_eq!(count(&url).await, 2);
}

#[tokio::test]
async fn a_frozen_server_keeps_connections_and_answers_after_the_thaw() {
    let mut postgres = Postgres::start().await.unwrap();
    let mut session = connect(&postgres.url()).await;
    postgres.freeze().await.unwrap();
    let mut answer = Box::pin(session.ping());
    timeout(Duration::from_millis(300), &mut answer)
        .await
        .unwrap_err();
    postgres.thaw().unwrap();
    timeout(MOMENT, answer).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_full_disk_is_told_as_such_and_passes() {
    let mut postgres = Postgres::builder().fillable_disk().start().await.unwrap();
    let mut session = connect(&postgres.url()).await;
    sqlx::query("CREATE TABLE events (n int)")
        .execute(&mut session)
        .await
        .unwrap();
    let insert = "INSERT INTO events SELECT generate_series(1, 100000)";
    // Grows the table by many pages at once, by another system call.
    let copy = "COPY events FROM PROGRAM 'seq 100000'";

    postgres.fill_disk().unwrap();
    for statement in [insert, copy] {
        let error = sqlx::query(statement).execute(&mut session).await.unwrap_err();
        let error = error.as_database_error().unwrap();
        assert_eq!(error.code().as_deref(), Some("53100"), "{statement}: {error}");
        assert!(
            error.message().contains("No space left on device"),
            "{statement}: {error}"
        );
    }
    // The server itself is well, and so is its log of transactions.
    assert_eq!(count(&postgres.url()).await, 0);
    sqlx::query("CHECKPOINT").execute(&mut session).await.unwrap();

    postgres.free_disk().unwrap();
    for statement in [insert, copy] {
        sqlx::query(statement).execute(&mut session).await.unwrap();
    }
    assert_eq!(count(&postgres.url()).await, 200_000);
}

#[tokio::test]
async fn a_disk_that_was_not_prepared_cannot_be_filled() {
    let mut postgres = Postgres::start().await.unwrap();
    let error = postgres.fill_disk().unwrap_err();
    assert!(error.to_string().contains("fillable_disk()"), "{error}");
}

#[tokio::test]
async fn settings_are_made_before_the_start_and_while_it_runs() {
    let mut postgres = Postgres::builder()
        .config("max_connections", "12")
        .start()
        .await
        .unwrap();
    let setting = |name: &'static str| {
        let url = postgres.url();
        async move {
            let mut connection = connect(&url).await;
            let query = sqlx::query_scalar::<_, String>("SELECT current_setting($1)").bind(name);
            query.fetch_one(&mut connection).await.unwrap()
        }
    };
    assert_eq!(setting("max_connections").await, "12");
    let changed = setting("statement_timeout");
    assert_eq!(changed.await, "0");
    postgres.set_config("statement_timeout", "1234ms").await.unwrap();
    let mut connection = connect(&postgres.url()).await;
    let now: String = sqlx::query_scalar("SHOW statement_timeout")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(now, "1234ms");
}

#[tokio::test]
async fn passwords_are_asked_for_and_databases_are_apart() {
    let postgres = Postgres::shared().await.unwrap();
    let one = postgres.create_database("one").await.unwrap();
    let two = postgres.create_database("two").await.unwrap();
    postgres.create_database("no/name").await.unwrap_err();
    let mut connection = connect(&one).await;
    sqlx::query("CREATE TABLE events (n int)")
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::query("SELECT * FROM events")
        .execute(&mut connect(&two).await)
        .await
        .unwrap_err();
    let wrong = one.replace(postgres.password(), "wrong");
    let error = PgConnection::connect(&wrong).await.unwrap_err();
    assert_eq!(
        error.as_database_error().unwrap().code().as_deref(),
        Some("28P01")
    );
}

#[tokio::test]
async fn tls_is_offered_when_asked_for_and_only_then() {
    let postgres = Postgres::builder().tls(true).start().await.unwrap();
    let verified = |server: &Postgres| {
        let options: PgConnectOptions = server.url().parse().unwrap();
        options
            .ssl_mode(PgSslMode::VerifyFull)
            .ssl_root_cert(server.certificates().ca())
    };
    let mut connection = PgConnection::connect_with(&verified(&postgres)).await.unwrap();
    let query = sqlx::query_scalar("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
    let encrypted: bool = query.fetch_one(&mut connection).await.unwrap();
    assert!(encrypted);
    let plain = Postgres::shared().await.unwrap();
    PgConnection::connect_with(&verified(plain)).await.unwrap_err();
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let error = Postgres::builder()
        .config("max_connections", "many")
        .start()
        .await
        .unwrap_err();
    let text = format!("{error:?}");
    assert!(
        text.contains("max_connections") && text.contains("invalid value"),
        "{text}"
    );
}

#[tokio::test]
async fn waiting_for_rows_ends_with_them() {
    let postgres = Postgres::shared().await.unwrap();
    let url = postgres.create_database("waiting").await.unwrap();
    let mut connection = connect(&url).await;
    let writing = tokio::spawn(async move {
        sqlx::query("CREATE TABLE events AS SELECT 1 AS n")
            .execute(&mut connection)
            .await
            .unwrap();
    });
    let mut reader = connect(&url).await;
    let rows: i64 = eventually(MOMENT, async || {
        let query = sqlx::query_scalar("SELECT count(*) FROM events").persistent(false);
        query.fetch_one(&mut reader).await
    })
    .await
    .unwrap();
    assert_eq!(rows, 1);
    writing.await.unwrap();
}
