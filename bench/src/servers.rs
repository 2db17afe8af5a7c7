//! The servers, and the programs that are measured against them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use testbed::{Kafka, Postgres, Process};

use crate::error::{BenchError, io};

/// Partitions of every measured topic.
const PARTITIONS: u32 = 8;

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

    /// A manifest of the pipeline `name`, which has these tables.
    pub(crate) fn manifest(&self, name: &str, users: u32, tables: &str) -> Result<PathBuf, BenchError> {
        // Two pipelines in one database do not share a reference table.
        let references = if tables.contains("tracks") {
            "  references: [{name: tracks, from: {generated: music.tracks}, key: [track_id]}]"
        } else {
            ""
        };
        let text = format!(
            "apiVersion: streampipeline.dev/v1alpha1
kind: StreamPipeline
metadata: {{name: {name}}}
spec:
  kafka: {{bootstrapServers: \"{bootstrap}\"}}
  topics:
    - name: {name}
      partitions: {PARTITIONS}
      fields: {{user_id: int, track_id: int, event_timestamp: timestamp, event_type: string}}
  generator:
    music: {{users: {users}}}
    rate: 1000
{references}
  tables:
{tables}
  sink:
    postgres: {{host: {host}, port: {port}, database: postgres, tls: Disable, secretRef: {{name: database}}}}
",
            bootstrap = self.kafka.bootstrap(),
            host = self.postgres.host(),
            port = self.postgres.port(),
        );
        let path = self.folder.path().join(format!("{name}.yaml"));
        std::fs::write(&path, text).map_err(io("writing a manifest"))?;
        Ok(path)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a program of the product to its end.
    pub(crate) fn run(
        &self,
        program: &str,
        manifest: &Path,
        arguments: &[&str],
    ) -> Result<Output, BenchError> {
        output_of(program, &mut self.command(program, manifest, arguments)?)
    }

    /// Starts a program of the product.
    pub(crate) fn start_program(
        &self,
        program: &str,
        manifest: &Path,
        arguments: &[&str],
    ) -> Result<Process, BenchError> {
        Ok(Process::from_command(
            self.command(program, manifest, arguments)?,
        )?)
    }

    fn command(&self, name: &str, manifest: &Path, arguments: &[&str]) -> Result<Command, BenchError> {
        let mut command = program(name)?;
        command.args(arguments).arg("--file").arg(manifest);
        command
            .arg("--secrets")
            .arg(self.folder.path().join("secrets"))
            .env("STREAMPIPELINE_LOG", "warn");
        Ok(command)
    }

    pub(crate) async fn connect(&self) -> Result<PgConnection, BenchError> {
        Ok(PgConnection::connect(&self.postgres.url()).await?)
    }

    pub(crate) async fn execute(&self, sql: &str) -> Result<(), BenchError> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut self.connect().await?)
            .await?;
        Ok(())
    }

    /// Waits until the pipeline has stored so many records.
    pub(crate) async fn stored(&self, pipeline: &str, records: i64) -> Result<(), BenchError> {
        let sql = "SELECT coalesce(sum((state->>'records')::bigint), 0)::bigint FROM streampipeline_offsets WHERE pipeline = $1";
        let mut connection = self.connect().await?;
        loop {
            let stored: i64 = sqlx::query_scalar(sql)
                .bind(pipeline)
                .fetch_one(&mut connection)
                .await?;
            if stored >= records {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A program of the product: it is next to this one.
pub(crate) fn program(name: &str) -> Result<Command, BenchError> {
    let own = std::env::current_exe().map_err(io("finding the programs"))?;
    Ok(Command::new(own.with_file_name(name)))
}

/// Runs a program to its end.
pub(crate) fn output_of(program: &str, command: &mut Command) -> Result<Output, BenchError> {
    let output = command.output().map_err(io(program))?;
    if output.status.success() {
        return Ok(output);
    }
    let output = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(BenchError::Program {
        program: program.to_owned(),
        output,
    })
}

/// What a process has used so far, from /proc.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// CPU seconds, user and system.
    pub(crate) cpu: f64,
    /// Largest resident memory in MB.
    pub(crate) memory: f64,
}

/// Reads what a process has used.
pub(crate) fn usage(process: &Process) -> Result<Usage, BenchError> {
    let read = |file: &str| {
        std::fs::read_to_string(format!("/proc/{}/{file}", process.pid())).map_err(io("reading /proc"))
    };
    let (status, stat) = (read("status")?, read("stat")?);
    let memory = status.lines().find_map(|line| {
        line.strip_prefix("VmHWM:")?
            .split_whitespace()
            .next()?
            .parse::<f64>()
            .ok()
    });
    // After the name in parentheses, user and system time are the 12th and 13th field, in hundredths of a second.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    match (memory, ticks(11), ticks(12)) {
        (Some(kilobytes), Some(user), Some(system)) => Ok(Usage {
            cpu: (user + system) / 100.0,
            memory: kilobytes / 1024.0,
        }),
        _ => Err(BenchError::NoFigure(stat)),
    }
}
