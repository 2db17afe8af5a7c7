//! The servers that programs are measured against, and the programs' commands.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use testbed::{Kafka, Postgres};

use crate::error::{BenchError, io};
use crate::pipelines::Pipeline;
use crate::programs::{Programs, output_of};

/// Kafka, PostgreSQL, and a folder for manifests and secrets.
pub(crate) struct Servers {
    pub(crate) kafka: Kafka,
    pub(crate) postgres: Postgres,
    folder: tempfile::TempDir,
}

impl Servers {
    pub(crate) async fn start() -> Result<Self, BenchError> {
        let kafka = Kafka::builder()
            .heap("1g")
            .jvm_option("-XX:TieredStopAtLevel=4")
            .start();
        let postgres = Postgres::builder()
            .config("fsync", "on")
            .config("shared_buffers", "512MB")
            .config("max_wal_size", "8GB")
            .start();
        let (kafka, postgres) = tokio::try_join!(kafka, postgres)?;
        let folder = tempfile::tempdir().map_err(io("making a folder"))?;
        let secret = folder.path().join("secrets/database");
        std::fs::create_dir_all(&secret).map_err(io("making the secret's folder"))?;
        for (key, value) in [("username", postgres.user()), ("password", postgres.password())] {
            std::fs::write(secret.join(key), value).map_err(io("writing a secret"))?;
        }
        Ok(Self {
            kafka,
            postgres,
            folder,
        })
    }

    /// Writes a pipeline's manifest.
    pub(crate) fn manifest(&self, pipeline: &Pipeline<'_>) -> Result<PathBuf, BenchError> {
        let path = self.folder.path().join(format!("{}.yaml", pipeline.name));
        std::fs::write(&path, pipeline.text(self)).map_err(io("writing a manifest"))?;
        Ok(path)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The command of a program over a manifest.
    pub(crate) fn command(
        &self,
        programs: &Programs,
        name: &str,
        manifest: &Path,
        arguments: &[&str],
    ) -> Command {
        let mut command = programs.command(name);
        command.args(arguments).arg("--file").arg(manifest);
        command
            .arg("--secrets")
            .arg(self.folder.path().join("secrets"))
            .env("STREAMPIPELINE_LOG", "warn");
        command
    }

    /// Runs a program over a manifest to its end.
    pub(crate) fn run(
        &self,
        programs: &Programs,
        name: &str,
        manifest: &Path,
        arguments: &[&str],
    ) -> Result<Output, BenchError> {
        output_of(&mut self.command(programs, name, manifest, arguments))
    }

    pub(crate) async fn execute(&self, sql: &str) -> Result<(), BenchError> {
        let mut connection = PgConnection::connect(&self.postgres.url()).await?;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await?;
        Ok(())
    }

    /// An empty database of this name in place of the one before.
    pub(crate) async fn fresh_database(&self, name: &str) -> Result<(), BenchError> {
        for sql in [
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            format!("CREATE DATABASE {name}"),
            "CHECKPOINT".to_owned(),
        ] {
            self.execute(&sql).await?;
        }
        Ok(())
    }
}
