//! The same rows in `PostgreSQL`, `SQLite` and `DataFusion`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use api::{
    Chart, NativeSql, PipelineName, PostgresSink, Report, SecretRef, SqliteSink, Table, TableName, TlsMode,
    Write,
};
use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array, Int64Array,
    ListArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::Int32Type;
use jiff::Timestamp;
use reports::engine::{self, Rows};
use reports::parameter::Given;
use reports::report::{Asking, question};
use reports::span::Span;
use reports::sql::Tables;
use runtime::secrets::Secrets;
use sinks::answer::{Answer, Dialect, Value};
use sinks::{Advance, Sink, TableDefinition, postgres, sqlite};

/// `from` of every question.
pub(crate) const FROM: &str = "2026-01-01T00:00:00Z";
/// `to` of every question.
pub(crate) const TO: &str = "2026-02-01T00:00:00Z";
/// What `now()` gives.
pub(crate) const NOW: &str = "2026-02-03T04:05:06.789Z";

pub(crate) struct Stores {
    pub(crate) tables: Tables,
    rows: Vec<Rows>,
    pub(crate) sinks: [Sink; 2],
    _folder: tempfile::TempDir,
}

impl Stores {
    pub(crate) async fn new() -> Self {
        let rows = rows();
        let mut tables = Tables::default();
        let definitions: Vec<TableDefinition> = rows
            .iter()
            .map(|rows| {
                let schema = rows.batches[0].schema();
                tables.add(rows.table.clone(), Arc::clone(&schema));
                let table = Table {
                    name: TableName::new(&rows.table).unwrap(),
                    sql: String::new(),
                    write: Write::Append,
                    indexes: Vec::new(),
                };
                TableDefinition { table, schema }
            })
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let sinks = [
            postgres(definitions.clone()).await,
            sqlite(folder.path(), definitions).await,
        ];
        for sink in &sinks {
            fill(sink, &rows).await;
        }
        Self {
            tables,
            rows,
            sinks,
            _folder: folder,
        }
    }

    /// The answers of all stores to one question, the plan's columns in each.
    pub(crate) async fn ask(&self, report: &Report, given: &Given) -> Result<[Answer; 3], String> {
        let instant = |text: &str| text.parse::<Timestamp>().unwrap();
        let span = Span {
            from: instant(FROM),
            to: instant(TO),
        };
        let mut answers = Vec::new();
        for sink in &self.sinks {
            let asking = Asking {
                sink,
                tables: &self.tables,
                span,
                now: instant(NOW),
                given,
            };
            let (answer, note) = asking
                .ask(report)
                .await
                .map_err(|error| format!("{:?}: {}", sink.dialect(), runtime::report::lines(&error)))?;
            if let Some(note) = note {
                return Err(note.to_string());
            }
            answers.push(answer);
        }
        let engine = question(report, &self.tables, Dialect::DataFusion)
            .await
            .map_err(|refusal| refusal.to_string())?;
        let mut values: Vec<(&str, Value)> = vec![
            ("from", span.from.into()),
            ("to", span.to.into()),
            ("now", instant(NOW).into()),
        ];
        for parameter in &report.parameters {
            let text = given.get(&parameter.name).or(parameter.default.as_ref()).unwrap();
            values.push((
                &parameter.name,
                reports::parameter::read(parameter, text, instant(NOW)).unwrap(),
            ));
        }
        let answer = engine::run(&engine, &self.tables, &self.rows, &values).await;
        answers.push(answer.map_err(|refusal| format!("DataFusion: {refusal}\n{}", engine.sql))?);
        Ok(answers.try_into().unwrap())
    }
}

pub(crate) fn report(sql: &str) -> Report {
    Report {
        name: "report".to_owned(),
        title: "Report".to_owned(),
        chart: Chart::Table,
        sql: Some(sql.to_owned()),
        native: NativeSql::default(),
        parameters: Vec::new(),
    }
}

async fn postgres(tables: Vec<TableDefinition>) -> Sink {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = testbed::Postgres::shared().await.unwrap();
    let name = format!("reports_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    server.create_database(&name).await.unwrap();
    let settings = PostgresSink {
        host: server.host().to_owned(),
        port: server.port(),
        database: name,
        schema: "public".to_owned(),
        secret: SecretRef {
            name: "db".to_owned(),
        },
        tls: TlsMode::Disable,
        max_connections: 2,
    };
    let password = server.password().to_owned();
    let secrets = Secrets::new(None, move |variable| match variable {
        "STREAMPIPELINE_SECRET_DB_USERNAME" => Some("postgres".to_owned()),
        "STREAMPIPELINE_SECRET_DB_PASSWORD" => Some(password.clone()),
        _ => None,
    });
    let pipeline = PipelineName::new("reports").unwrap();
    Sink::Postgres(Arc::new(
        postgres::Postgres::open(pipeline, &settings, tables, &secrets)
            .await
            .unwrap(),
    ))
}

async fn sqlite(folder: &std::path::Path, tables: Vec<TableDefinition>) -> Sink {
    let settings = SqliteSink {
        path: folder.join("reports.db"),
    };
    let pipeline = PipelineName::new("reports").unwrap();
    Sink::Sqlite(Arc::new(
        sqlite::Sqlite::open(pipeline, &settings, tables).await.unwrap(),
    ))
}

async fn fill(sink: &Sink, rows: &[Rows]) {
    sink.prepare().await.unwrap();
    let partition = api::Partition {
        topic: "plays".into(),
        number: 0,
    };
    let claim = sink.claim(&partition, "test").await.unwrap();
    let mut transaction = sink.begin(&claim.lease).await.unwrap();
    for (index, rows) in rows.iter().enumerate() {
        transaction.write(index, &rows.batches).await.unwrap();
    }
    let advance = Advance {
        start: None,
        end: 1,
        state: "{}".to_owned(),
        intent: None,
    };
    transaction.commit(&advance).await.unwrap();
}

/// Rows of plays.
const ROWS: usize = 200;
/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Plays with everything that stores differ in: NULL, text in several scripts and cases, instants at the edges of their
/// units, negative numbers and halves.
fn plays() -> RecordBatch {
    let names = [
        Some("Pop"),
        Some("pop"),
        Some("Jazz"),
        None,
        Some("Ärzte"),
        Some("k-pop"),
        Some("100%_[x]*?"),
        Some("한국어"),
        Some(" blank "),
        Some(""),
    ];
    // 2025-12-25, a Thursday; the last days of January cross the ends of week, month, quarter and year.
    let base = 1_766_620_800_000_000_i64;
    let at = (0..ROWS as i64).map(|row| match row % 11 {
        0 => None,
        1 => Some(base + row * DAY / 4),
        2 => Some(base + row * DAY / 4 - 1),
        _ => Some(base + row * 17_345_678_901 + row),
    });
    let plays: [(&str, ArrayRef); 10] = [
        (
            "id",
            Arc::new((1..=ROWS as i32).map(Some).collect::<Int32Array>()),
        ),
        (
            "genre",
            Arc::new(
                (0..ROWS)
                    .map(|row| names[row % names.len()])
                    .collect::<StringArray>(),
            ),
        ),
        (
            "user_id",
            Arc::new(
                (0..ROWS as i32)
                    .map(|row| (row % 7 != 3).then_some(row % 13))
                    .collect::<Int32Array>(),
            ),
        ),
        ("at", Arc::new(at.collect::<TimestampMicrosecondArray>())),
        (
            "played",
            Arc::new(
                (0..ROWS as i64)
                    .map(|row| (row % 9 != 5).then_some(row * row - 7_000))
                    .collect::<Int64Array>(),
            ),
        ),
        (
            "share",
            Arc::new(
                (0..ROWS)
                    .map(|row| (row % 8 != 6).then_some(row as f64 / 8.0 - 5.0))
                    .collect::<Float64Array>(),
            ),
        ),
        (
            "level",
            Arc::new(
                (0..ROWS)
                    .map(|row| Some(row as f32 / 4.0))
                    .collect::<Float32Array>(),
            ),
        ),
        (
            "liked",
            Arc::new(
                (0..ROWS)
                    .map(|row| (row % 5 != 4).then_some(row % 3 == 0))
                    .collect::<BooleanArray>(),
            ),
        ),
        (
            "day",
            Arc::new(
                (0..ROWS as i32)
                    .map(|row| (row % 6 != 2).then_some(20_440 + row / 2))
                    .collect::<Date32Array>(),
            ),
        ),
        (
            "price",
            Arc::new(
                (0..ROWS as i128)
                    .map(|row| (row % 4 != 1).then_some(row * 25 - 300))
                    .collect::<Decimal128Array>()
                    .with_precision_and_scale(10, 2)
                    .unwrap(),
            ),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(plays.map(|(name, array)| (name, array, true))).unwrap()
}

fn users() -> RecordBatch {
    let users: [(&str, ArrayRef); 3] = [
        ("user_id", Arc::new((0..10).map(Some).collect::<Int32Array>())),
        (
            "country",
            Arc::new(
                (0..10)
                    .map(|user| ["NL", "DE", "KR"].get(user % 4).copied())
                    .collect::<StringArray>(),
            ),
        ),
        (
            "tags",
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(
                (0..10).map(|user| Some(vec![Some(user)])),
            )),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(users.map(|(name, array)| (name, array, true))).unwrap()
}

fn rows() -> Vec<Rows> {
    let table = |name: &str, batch: RecordBatch| Rows {
        table: name.to_owned(),
        batches: vec![batch],
    };
    vec![table("plays", plays()), table("users", users())]
}
