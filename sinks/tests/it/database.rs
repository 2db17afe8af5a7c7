//! Databases of the real `PostgreSQL` for a test's tables.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use api::{PostgresSink, SecretRef, TlsMode};
use runtime::secrets::Secrets;
use sinks::{Sink, SinkError, TableDefinition, postgres};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use testbed::{Postgres, Proxy};

use crate::promises::{Home, pipeline};

/// A database of its own.
pub(crate) struct Database {
    pub(crate) server: &'static Postgres,
    pub(crate) name: String,
}

impl Database {
    pub(crate) async fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = Postgres::shared().await.unwrap();
        let name = format!("sink_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        server.create_database(&name).await.unwrap();
        Self { server, name }
    }

    pub(crate) fn settings(&self) -> PostgresSink {
        settings(self.server, &self.name)
    }

    pub(crate) async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.server.url_of(&self.name))
            .await
            .unwrap()
    }

    /// A sink that talks to the server through the proxy.
    pub(crate) async fn sink_through(&self, proxy: &Proxy, tables: Vec<TableDefinition>) -> Sink {
        let through = PostgresSink {
            port: proxy.addr().port(),
            ..self.settings()
        };
        open(&through, self.server.password(), tables).await.unwrap()
    }
}

impl Home for Database {
    async fn sink(&self, name: &str, tables: Vec<TableDefinition>) -> Sink {
        let secrets = secrets(self.server.password());
        let opened = postgres::Postgres::open(pipeline(name), &self.settings(), tables, &secrets)
            .await
            .unwrap();
        Sink::Postgres(Arc::new(opened))
    }

    async fn by_hand(&self, sql: &str) {
        let mut connection = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap();
    }
}

pub(crate) fn settings(server: &Postgres, database: &str) -> PostgresSink {
    PostgresSink {
        host: server.host().to_owned(),
        port: server.port(),
        database: database.to_owned(),
        schema: "public".to_owned(),
        secret: SecretRef {
            name: "db".to_owned(),
        },
        tls: TlsMode::Disable,
        max_connections: 4,
    }
}

pub(crate) fn secrets(password: &str) -> Secrets {
    let password = password.to_owned();
    Secrets::new(None, move |variable| match variable {
        "STREAMPIPELINE_SECRET_DB_USERNAME" => Some("postgres".to_owned()),
        "STREAMPIPELINE_SECRET_DB_PASSWORD" => Some(password.clone()),
        _ => None,
    })
}

pub(crate) async fn open(
    settings: &PostgresSink,
    password: &str,
    tables: Vec<TableDefinition>,
) -> Result<Sink, SinkError> {
    let opened = postgres::Postgres::open(pipeline("music"), settings, tables, &secrets(password)).await?;
    Ok(Sink::Postgres(Arc::new(opened)))
}
