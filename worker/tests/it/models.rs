//! Models over the tables of each sink.

use std::sync::Arc;

use api::{Model, ModelKind, Pipeline, Recommender, TableName};
use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use runtime::secrets::Secrets;
use sinks::{Advance, Sink, SinkErrorKind, TableDefinition};
use testbed::Postgres;
use worker::model;
use worker::plan::{Wanted, plan};

/// A pipeline with the table `plays(id, name, amount)` in this sink.
fn pipeline(sink: &str) -> Pipeline {
    let manifest = format!(
        "apiVersion: streampipeline.dev/v1alpha1
kind: StreamPipeline
metadata: {{name: music}}
spec:
  kafka: {{bootstrapServers: \"localhost:9092\"}}
  topics:
    - name: plays
      partitions: 1
      fields: {{id: int, name: string, amount: long}}
  tables:
    - name: plays
      sql: SELECT id, name, amount FROM plays
  sink: {sink}
"
    );
    api::validate(&api::parse(&manifest).unwrap()).unwrap()
}

/// The pipeline's sink, prepared, and its tables.
async fn prepared(pipeline: &Pipeline, secrets: &Secrets) -> (Sink, Vec<TableDefinition>) {
    let plans = plan(pipeline, Wanted::Columns).await.unwrap();
    let tables = plans.definitions().to_vec();
    let sink = Sink::open(pipeline, tables.clone(), secrets).await.unwrap();
    sink.prepare().await.unwrap();
    (sink, tables)
}

async fn in_postgres(database: &str) -> (Sink, Vec<TableDefinition>) {
    let server = Postgres::shared().await.unwrap();
    server.create_database(database).await.unwrap();
    let (host, port, user) = (server.host(), server.port(), server.user().to_owned());
    let password = server.password().to_owned();
    let secrets = Secrets::new(None, move |variable| match variable {
        "STREAMPIPELINE_SECRET_DB_USERNAME" => Some(user.clone()),
        "STREAMPIPELINE_SECRET_DB_PASSWORD" => Some(password.clone()),
        _ => None,
    });
    let sink = format!(
        "{{postgres: {{host: {host}, port: {port}, database: {database}, tls: Disable, secretRef: {{name: db}}}}}}"
    );
    prepared(&pipeline(&sink), &secrets).await
}

async fn in_sqlite(directory: &tempfile::TempDir) -> (Sink, Vec<TableDefinition>) {
    let path = directory.path().join("music.db");
    let sink = format!("{{sqlite: {{path: {}}}}}", path.display());
    prepared(&pipeline(&sink), &Secrets::new(None, |_| None)).await
}

type Play = (Option<i32>, Option<&'static str>, Option<i64>);

fn play(id: i32, name: &'static str, amount: i64) -> Play {
    (Some(id), Some(name), Some(amount))
}

/// Stores plays as a worker would.
async fn store(sink: &Sink, plays: &[Play]) {
    let columns: [(&str, ArrayRef); 3] = [
        (
            "id",
            Arc::new(plays.iter().map(|play| play.0).collect::<Int32Array>()),
        ),
        (
            "name",
            Arc::new(plays.iter().map(|play| play.1).collect::<StringArray>()),
        ),
        (
            "amount",
            Arc::new(plays.iter().map(|play| play.2).collect::<Int64Array>()),
        ),
    ];
    let rows =
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
    let partition = api::Partition {
        topic: "plays".into(),
        number: 0,
    };
    let claim = sink.claim(&partition, "test").await.unwrap();
    let mut transaction = sink.begin(&claim.lease).await.unwrap();
    transaction.write(0, &[rows]).await.unwrap();
    let advance = Advance {
        start: claim.next_offset,
        end: claim.next_offset.unwrap_or(0) + plays.len() as i64,
        state: "{}".to_owned(),
        intent: None,
    };
    transaction.commit(&advance).await.unwrap();
}

/// The answer's rows, cells separated by `|`.
async fn rows(sink: &Sink, sql: &str) -> Vec<String> {
    let answer = sink.query(sql, &[]).await.unwrap();
    let text = |cell: &Option<String>| cell.clone().unwrap_or_else(|| "NULL".to_owned());
    answer
        .texts()
        .iter()
        .map(|row| row.iter().map(text).collect::<Vec<_>>().join("|"))
        .collect()
}

#[tokio::test]
async fn a_recommender_recommends_in_postgres() {
    let (sink, tables) = in_postgres("recommender").await;
    recommends(sink, &tables).await;
}

#[tokio::test]
async fn a_recommender_recommends_in_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, tables) = in_sqlite(&directory).await;
    recommends(sink, &tables).await;
}

#[tokio::test]
async fn a_refused_model_is_named_by_its_place_in_the_manifest() {
    let directory = tempfile::tempdir().unwrap();
    let (sqlite, _) = in_sqlite(&directory).await;
    let (postgres, _) = in_postgres("refused_model").await;
    let model = Model {
        name: TableName::new("totals").unwrap(),
        schedule: api::Schedule::parse("* * * * *").unwrap(),
        kind: ModelKind::Sql("SELECT id FROM nowhere".to_owned()),
    };
    for sink in [sqlite, postgres] {
        let error = model::run(&model, &[], &sink).await.unwrap_err();
        assert_eq!(error.kind, SinkErrorKind::Refused, "{error}");
        let error = model::prepare(std::slice::from_ref(&model), &[], &sink)
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("spec.models[0]: preparing model totals") && text.contains("nowhere"),
            "{text}"
        );
    }
}

/// Two tastes: users with even numbers choose among a to e, the others among f to j.
async fn recommends(sink: Sink, tables: &[TableDefinition]) {
    let model = Model {
        name: TableName::new("likes").unwrap(),
        schedule: api::Schedule::parse("* * * * *").unwrap(),
        kind: ModelKind::Recommender(Recommender {
            interactions: TableName::new("plays").unwrap(),
            user: "id".to_owned(),
            item: "name".to_owned(),
            top: 2,
        }),
    };
    let models = std::slice::from_ref(&model);
    assert_eq!(
        model::prepare(models, tables, &sink).await.unwrap(),
        ["created table likes"]
    );
    assert_eq!(
        model::run(&model, tables, &sink).await.unwrap(),
        0,
        "there is nothing to go by"
    );

    let items = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let mut chosen: Vec<Play> = (0..20)
        .flat_map(|user: i32| {
            (0..3).map(move |step| {
                let item = (user / 2 + step) % 5 + (user % 2) * 5;
                play(user, items[item as usize], 1)
            })
        })
        .collect();
    chosen.push((None, Some("a"), None));
    chosen.push((Some(1), None, None));
    store(&sink, &chosen).await;
    assert_eq!(model::run(&model, tables, &sink).await.unwrap(), 40);
    let likes = rows(&sink, "SELECT id, rank, name FROM likes ORDER BY id, rank").await;
    // User 0 chose a, b and c; user 1 f, g and h.
    for (user, unseen) in [("0", ["d", "e"]), ("1", ["i", "j"])] {
        let of_user: Vec<Vec<&str>> = likes
            .iter()
            .map(|row| row.split('|').collect())
            .filter(|row: &Vec<&str>| row[0] == user)
            .collect();
        let [first, second] = of_user.as_slice() else {
            panic!("{likes:?}");
        };
        assert_eq!([first[1], second[1]], ["1", "2"]);
        let mut named = [first[2], second[2]];
        named.sort_unstable();
        assert_eq!(named, unseen);
    }
    let scores = "SELECT count(*) FROM likes WHERE score <= 0 OR score IS NULL";
    assert_eq!(rows(&sink, scores).await, ["0"]);

    // The next run is about what was chosen since, too.
    store(&sink, &[play(0, "d", 1)]).await;
    model::run(&model, tables, &sink).await.unwrap();
    assert_eq!(rows(&sink, "SELECT name FROM likes WHERE id = 0").await, ["e"]);
}
