//! The command as a person runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A folder with a manifest, in which the command runs.
pub(crate) struct Place {
    folder: TempDir,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Small and fast: two partitions, two thousand tracks.
pub(crate) const MUSIC: &str = r#"
apiVersion: streampipeline.dev/v1alpha1
kind: StreamPipeline
metadata: {name: music}
spec:
  kafka: {bootstrapServers: "kafka:9092"}
  topics:
    - name: events
      partitions: 2
      fields: {user_id: int, track_id: int, event_timestamp: timestamp, event_type: string}
  generator:
    music: {users: 500, tracks: 2000, likeShare: 0.1}
    rate: 1000
    seed: 7
    eventTime: {window: {from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z"}}
  references:
    - {name: tracks, from: {generated: music.tracks}, key: [track_id]}
  tables:
    - name: plays
      sql: SELECT user_id, track_id, event_timestamp FROM events WHERE event_type = 'streaming'
    - name: likes
      sql: SELECT user_id, track_id, event_timestamp FROM events WHERE event_type = 'like'
    - name: plays_by_genre_hour
      sql: >-
        SELECT t.genre, date_trunc('hour', e.event_timestamp) AS hour, count(*) AS plays
        FROM events e JOIN tracks t ON t.track_id = e.track_id
        WHERE e.event_type = 'streaming' GROUP BY 1, 2
      write: {merge: {key: [genre, hour], sum: [plays]}}
  models:
    - {name: track_likes, schedule: "0 * * * *", sql: "SELECT track_id, count(*) AS likes FROM likes GROUP BY track_id"}
    - {name: recommendations, schedule: "*/15 * * * *", recommender: {interactions: plays, user: user_id, item: track_id, top: 3}}
  reports:
    - {name: plays, title: Plays, chart: number, sql: SELECT count(*) AS plays FROM plays}
    - name: hours
      title: Plays by hour
      chart: line
      sql: >-
        SELECT hour, sum(plays) AS plays FROM plays_by_genre_hour
        WHERE hour >= :from AND hour < :to GROUP BY hour ORDER BY hour
    - name: genres
      title: Top genres
      chart: bar
      sql: >-
        SELECT genre, sum(plays) AS plays FROM plays_by_genre_hour
        WHERE hour >= :from AND hour < :to GROUP BY genre ORDER BY plays DESC, genre LIMIT 5
    - name: users
      title: Most active users
      chart: table
      sql: >-
        SELECT user_id, count(*) AS plays, min(event_timestamp) AS first FROM plays
        WHERE event_timestamp >= :from AND event_timestamp < :to
        GROUP BY user_id ORDER BY plays DESC, user_id LIMIT 3
  sink: {sqlite: {path: music.db}}
"#;

/// A sink that pods can have, in the place of SQLite.
pub(crate) const POSTGRES: &str =
    "{postgres: {host: db, database: music, secretRef: {name: music-postgres}}}";

impl Place {
    /// With `manifest` as music.yaml.
    pub(crate) fn with(manifest: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("music.yaml"), manifest).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, file: &str, text: &str) -> PathBuf {
        let path = self.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The embedded sink's file.
    pub(crate) fn database(&self) -> PathBuf {
        self.path().join(".streampipeline/music.db")
    }

    /// The command, to be changed further.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_streampipeline"));
        command
            .args(arguments)
            .current_dir(self.path())
            .stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("STREAMPIPELINE_")) {
            command.env_remove(name);
        }
        command
    }

    /// Runs `streampipeline` to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs it, and takes nothing but the exit code 0.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> Outcome {
        let outcome = self.run(arguments);
        assert_eq!(outcome.code, 0, "{arguments:?}: {outcome}");
        outcome
    }

    /// The only cell of a question to the embedded sink.
    pub(crate) async fn ask(&self, sql: &str) -> i64 {
        use sqlx::ConnectOptions;
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.database());
        let mut connection = options.connect().await.unwrap();
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()))
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {}\n{}\n{}", self.code, self.stdout, self.stderr)
    }
}

impl Outcome {
    /// The line that begins with `audit: `.
    pub(crate) fn audit(&self) -> &str {
        self.stdout
            .lines()
            .find(|line| line.starts_with("audit: "))
            .unwrap_or_else(|| panic!("no audit: {self}"))
    }

    /// A number of the audit line.
    pub(crate) fn audited(&self, name: &str) -> u64 {
        let part = self
            .audit()
            .trim_start_matches("audit: ")
            .split(", ")
            .find_map(|part| part.strip_prefix(name));
        part.and_then(|number| number.trim().parse().ok())
            .unwrap_or_else(|| panic!("no {name}: {self}"))
    }
}

/// Compares with a file in tests/golden; `UPDATE_GOLDEN=1` writes it instead.
pub(crate) fn golden(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        text, expected,
        "{file} differs; if that is right, run the test with UPDATE_GOLDEN=1"
    );
}
