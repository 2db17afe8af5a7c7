//! A SQLite file as a script.

use std::fmt::Write;
use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Row, SqliteConnection};

/// A connection to a file, which is made if `create` says so.
pub async fn connect(path: &Path, create: bool) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(create);
    options.connect().await.unwrap()
}

/// Everything in the file.
pub async fn dump(path: &Path) -> String {
    let mut connection = connect(path, false).await;
    let definitions = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' \
                       ORDER BY type DESC, name";
    let definitions: Vec<(String, String, String)> = sqlx::query_as(definitions)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let mut script = String::new();
    for (kind, name, sql) in definitions {
        writeln!(script, "{sql};").unwrap();
        if kind != "table" {
            continue;
        }
        let columns = "SELECT '\"' || name || '\"' FROM pragma_table_info(?)";
        let columns: Vec<String> = sqlx::query_scalar(columns)
            .bind(&name)
            .fetch_all(&mut connection)
            .await
            .unwrap();
        let cells: Vec<String> = columns.iter().map(|column| format!("quote({column})")).collect();
        let rows = format!(
            "SELECT '(' || {} || ')' FROM \"{name}\"",
            cells.join(" || ', ' || ")
        );
        let rows = sqlx::query(AssertSqlSafe(rows))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        let mut rows: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        rows.sort_unstable();
        if !rows.is_empty() {
            let (columns, rows) = (columns.join(", "), rows.join(",\n"));
            writeln!(script, "INSERT INTO \"{name}\" ({columns}) VALUES\n{rows};").unwrap();
        }
    }
    script
}

/// Runs a script in a file that is not there yet.
pub async fn restore(path: &Path, script: &str) {
    let mut connection = connect(path, true).await;
    sqlx::raw_sql(AssertSqlSafe(script))
        .execute(&mut connection)
        .await
        .unwrap();
}
