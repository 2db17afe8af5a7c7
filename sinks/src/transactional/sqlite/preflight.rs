//! Whether the file can be made or used.

use std::path::Path;

use api::SqliteSink;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use crate::preflight::Check;

/// Looks whether the file can be used. Nothing is made or changed.
pub(crate) fn preflight(sink: &SqliteSink, place: String) -> Check {
    let folder = sink.path.parent().unwrap_or(Path::new("."));
    let outcome = match folder.metadata() {
        Ok(metadata) if !metadata.is_dir() => Err(format!("{} is no folder", folder.display())),
        Ok(metadata) if metadata.permissions().readonly() => {
            Err(format!("{} is read-only", folder.display()))
        }
        Ok(_) if sink.path.exists() => Ok("there".to_owned()),
        Ok(_) => Ok("will be made".to_owned()),
        Err(error) => Err(format!("the folder {}: {error}", folder.display())),
    };
    Check {
        subject: place,
        outcome,
    }
}

/// Whether a pipeline's sink made this file. One that cannot be read is nobody's.
pub async fn is_sink(file: &Path) -> bool {
    const SQL: &str = "SELECT count(*) FROM sqlite_schema WHERE name = 'streampipeline_offsets'";
    // Not read-only: a killed run's log has to be read as well.
    let options = SqliteConnectOptions::new().filename(file);
    let look = async {
        let mut connection: SqliteConnection = options.connect().await?;
        let found: i64 = sqlx::query_scalar(SQL).fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(found == 1)
    };
    look.await.unwrap_or(false)
}
