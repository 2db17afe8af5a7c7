//! The embedded sink's file: whose it is, and whether a run begins afresh.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::CliError;

/// The folder's right to be used by this process alone, until dropped.
#[derive(Debug)]
pub(super) struct Place {
    _lock: File,
}

impl Place {
    /// Makes the folder of `database` and claims it.
    pub(super) fn claim(database: &Path) -> Result<Self, CliError> {
        let folder = database.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(CliError::io(format!(
            "cannot make the folder {}",
            folder.display()
        )))?;
        let path = beside(database, ".lock");
        let failed = || CliError::io(format!("cannot claim {}", path.display()));
        let lock = File::create(&path).map_err(failed())?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(CliError::Failed(format!(
                "another `streampipeline up` is writing {}; stop it, or use another --data folder",
                database.display()
            ))),
            Err(TryLockError::Error(source)) => Err(failed()(source)),
        }
    }
}

/// Removes the database of an earlier run; one that is not ours is left alone. Whether there was one.
pub(super) async fn begin_afresh(database: &Path) -> Result<bool, CliError> {
    if !database.exists() {
        return Ok(false);
    }
    if !sinks::sqlite::is_sink(database).await {
        return Err(CliError::Failed(format!(
            "{} is not a file of an earlier run, so it is not replaced; move it away, or use another --data folder",
            database.display()
        )));
    }
    // The log files first: without them the database is at worst older, never broken.
    for path in [
        beside(database, "-wal"),
        beside(database, "-shm"),
        database.to_owned(),
    ] {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(CliError::io(format!("cannot remove {}", path.display()))(error));
            }
            _ => {}
        }
    }
    Ok(true)
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

    use super::*;

    #[tokio::test]
    async fn only_a_file_of_ours_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("music.db");
        assert!(!begin_afresh(&database).await.unwrap());

        std::fs::write(&database, "dear diary").unwrap();
        let error = begin_afresh(&database).await.unwrap_err();
        assert!(
            error.to_string().contains("not a file of an earlier run"),
            "{error}"
        );
        std::fs::remove_file(&database).unwrap();

        let options = SqliteConnectOptions::new()
            .filename(&database)
            .create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        sqlx::query("CREATE TABLE streampipeline_offsets (a)")
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        assert!(begin_afresh(&database).await.unwrap());
        assert!(!database.exists());
    }

    #[test]
    fn two_runs_do_not_share_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("data/music.db");
        let first = Place::claim(&database).unwrap();
        let error = Place::claim(&database).unwrap_err();
        assert!(
            error.to_string().contains("another `streampipeline up`"),
            "{error}"
        );
        drop(first);
        Place::claim(&database).unwrap();
    }
}
