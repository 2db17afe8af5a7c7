//! Servers that refuse, and what the user is told.

use std::sync::Arc;

use crate::database::{Database, open, secrets, settings};
use crate::promises::{Home, advance, claim, pipeline, play, play_rows, plays, prepared, rows, store};
use api::{PostgresSink, TlsMode, Write};
use runtime::secrets::Secrets;
use sinks::{Sink, SinkError, SinkErrorKind, postgres};
use sqlx::{Connection, PgConnection};
use testbed::{Postgres, eventually};

use super::SOON;

async fn refusal(settings: &PostgresSink, password: &str) -> SinkError {
    open(settings, password, vec![])
        .await
        .unwrap()
        .ping()
        .await
        .unwrap_err()
}

#[tokio::test]
async fn a_wrong_address_password_or_database_says_what_would_do() {
    let home = Database::new().await;
    let password = home.server.password();
    let wrong = refusal(&home.settings(), "wrong").await;
    assert_eq!(wrong.kind, SinkErrorKind::Refused);
    assert!(
        wrong
            .to_string()
            .contains("check username and password in the sink's secret"),
        "{wrong}"
    );
    assert!(!format!("{wrong} {wrong:?}").contains(password));
    let absent = refusal(
        &PostgresSink {
            database: "nowhere".to_owned(),
            ..home.settings()
        },
        password,
    )
    .await;
    assert_eq!(absent.kind, SinkErrorKind::Refused);
    assert!(
        absent
            .to_string()
            .contains("create the database, or correct sink.postgres.database"),
        "{absent}"
    );
    let plain = refusal(
        &PostgresSink {
            tls: TlsMode::Require,
            ..home.settings()
        },
        password,
    )
    .await;
    assert_eq!(plain.kind, SinkErrorKind::Refused);
    assert!(plain.to_string().contains("sink.postgres.tls"), "{plain}");

    let settings = PostgresSink {
        schema: "nowhere".to_owned(),
        ..home.settings()
    };
    let error = open(&settings, password, vec![])
        .await
        .unwrap()
        .prepare()
        .await
        .unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Refused);
    assert!(
        error
            .to_string()
            .contains("create the schema, or correct sink.postgres.schema"),
        "{error}"
    );
    let nothing = Secrets::new(None, |_| None);
    let error = postgres::Postgres::open(pipeline("music"), &home.settings(), vec![], &nothing)
        .await
        .unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Refused);
    assert!(
        error.to_string().contains("STREAMPIPELINE_SECRET_DB_USERNAME"),
        "{error}"
    );
}

#[tokio::test]
async fn a_certificate_is_checked_when_it_is_to_be() {
    let server = Postgres::builder().tls(true).start().await.unwrap();
    let settings = |tls| PostgresSink {
        tls,
        host: "localhost".to_owned(),
        ..settings(&server, "postgres")
    };
    let ca = std::fs::read_to_string(server.certificates().ca()).unwrap();
    let password = server.password().to_owned();
    let with_ca = Secrets::new(None, move |variable| match variable {
        "STREAMPIPELINE_SECRET_DB_USERNAME" => Some("postgres".to_owned()),
        "STREAMPIPELINE_SECRET_DB_PASSWORD" => Some(password.clone()),
        "STREAMPIPELINE_SECRET_DB_CA_CRT" => Some(ca.clone()),
        _ => None,
    });
    let without_ca = secrets(server.password());
    for (tls, secrets, expected) in [
        (TlsMode::VerifyFull, &with_ca, true),
        (TlsMode::VerifyFull, &without_ca, false),
        (TlsMode::Require, &without_ca, true),
    ] {
        let sink = postgres::Postgres::open(pipeline("music"), &settings(tls), vec![], secrets)
            .await
            .unwrap();
        match Sink::Postgres(Arc::new(sink)).ping().await {
            Ok(()) => assert!(expected, "{tls:?}"),
            Err(error) => {
                assert!(!expected && error.kind == SinkErrorKind::Refused, "{error}");
                assert!(
                    error.to_string().contains("ca.crt in the sink's secret"),
                    "{error}"
                );
            }
        }
    }
}

/// As a standby is, and a server of which a cloud took the right to write because its disk is full.
#[tokio::test]
async fn a_read_only_server_is_an_outage() {
    let home = Database::new().await;
    let sink = prepared(&home, vec![plays(Write::Append)]).await;
    let lease = claim(&sink, 0).await.lease;
    home.by_hand(&format!(
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        home.name
    ))
    .await;
    let fresh = home.sink("music", vec![plays(Write::Append)]).await;
    let mut transaction = fresh.begin(&lease).await.unwrap();
    let error = transaction
        .write(0, &[play_rows(&[play(1, "a", 1)])])
        .await
        .unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Unavailable, "{error}");
    assert!(
        error.to_string().contains("writing goes on when it is not"),
        "{error}"
    );
    assert_eq!(fresh.positions().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_without_room_is_an_outage() {
    let mut server = Postgres::builder()
        .config("max_connections", "8")
        .fillable_disk()
        .start()
        .await
        .unwrap();
    let sink = open(
        &settings(&server, "postgres"),
        server.password(),
        vec![plays(Write::Append)],
    )
    .await
    .unwrap();
    sink.prepare().await.unwrap();
    let lease = claim(&sink, 0).await.lease;
    server.fill_disk().unwrap();
    let many: Vec<_> = (0..100_000)
        .map(|id| play(id, "a long text that needs much space", 1))
        .collect();
    let mut transaction = sink.begin(&lease).await.unwrap();
    let error = match transaction.write(0, &[play_rows(&many)]).await {
        Err(error) => error,
        Ok(()) => transaction.commit(&advance(None, 1)).await.unwrap_err(),
    };
    assert!(
        matches!(
            error.kind,
            SinkErrorKind::Unavailable | SinkErrorKind::OutcomeUnknown
        ),
        "{error}"
    );
    server.free_disk().unwrap();
    eventually(SOON, async || sink.ping().await).await.unwrap();
    store(&sink, &[play_rows(&[play(1, "a", 1)])]).await;
    assert_eq!(rows(&sink, "SELECT id FROM plays").await, ["1"]);

    let mut others = Vec::new();
    while let Ok(other) = PgConnection::connect(&server.url()).await {
        others.push(other);
    }
    let crowded = open(&settings(&server, "postgres"), server.password(), vec![])
        .await
        .unwrap();
    let error = crowded.positions().await.unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Unavailable, "{error}");
    assert!(
        error.to_string().contains("lower sink.postgres.maxConnections"),
        "{error}"
    );
    drop(others);
    eventually(SOON, async || crowded.positions().await)
        .await
        .unwrap();
}
