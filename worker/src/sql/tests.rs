use api::Partition;
use arrow::array::{AsArray, StringArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use jiff::Timestamp;

use super::*;
use crate::records::{Record, Records};

fn pipeline(tables: &str) -> Pipeline {
    let manifest = format!(
        "apiVersion: streampipeline.dev/v1alpha1
kind: StreamPipeline
metadata: {{name: test}}
spec:
  kafka: {{bootstrapServers: \"localhost:9092\"}}
  topics:
    - name: plays
      partitions: 2
      fields: {{user_id: int, track_id: int, at: timestamp, kind: string}}
    - name: other.topic
      fields: {{id: int}}
  references:
    - {{name: tracks, from: {{csv: {{path: tracks.csv, fields: {{track_id: int, genre: string}}}}}}}}
  tables:
{tables}
  sink: {{sqlite: {{path: test.db}}}}
"
    );
    api::validate(&api::parse(&manifest).unwrap()).unwrap()
}

fn references() -> Vec<ReferenceRows> {
    let schema = Arc::new(Schema::new(vec![
        arrow::datatypes::Field::new("genre", arrow::datatypes::DataType::Utf8, true),
        arrow::datatypes::Field::new("track_id", arrow::datatypes::DataType::Int32, true),
    ]));
    let genres = Arc::new(StringArray::from(vec!["jazz", "rock"]));
    let ids = Arc::new(arrow::array::Int32Array::from(vec![1, 2]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![genres, ids]).unwrap();
    vec![ReferenceRows {
        name: "tracks".to_owned(),
        schema,
        batches: vec![batch],
    }]
}

async fn plan(tables: &str) -> Result<Plans, Vec<PlanError>> {
    Plans::new(&pipeline(tables), references(), 2).await
}

fn batch(plans: &Plans, values: &[&str]) -> RecordBatch {
    let mut records = Records::new(
        Partition {
            topic: "plays".into(),
            number: 0,
        },
        0,
    );
    for (offset, value) in values.iter().enumerate() {
        let value = Some(value.as_bytes());
        records.push(Record {
            offset: offset as i64,
            timestamp: None,
            key: None,
            value,
            sequence: None,
        });
    }
    plans.decoder("plays").unwrap().decode(&records).unwrap().batch
}

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

const MERGE: &str = "
    - name: plays_by_genre
      sql: SELECT t.genre, count(*) AS plays FROM plays p JOIN tracks t USING (track_id) GROUP BY 1
      write: {merge: {key: [genre], sum: [plays]}}
    - name: log
      sql: SELECT user_id, _offset, now() AS stored FROM plays WHERE kind = 'streaming'
";

#[tokio::test]
async fn a_plan_is_made_once_and_run_for_every_batch_even_side_by_side() {
    let plans = plan(MERGE).await.unwrap();
    let first = batch(
        &plans,
        &[
            r#"{"user_id":1,"track_id":1,"kind":"streaming"}"#,
            r#"{"user_id":2,"track_id":1,"kind":"like"}"#,
            r#"{"user_id":3,"track_id":2,"kind":"streaming"}"#,
            r#"{"user_id":4,"track_id":9,"kind":"streaming"}"#,
        ],
    );
    let second = batch(&plans, &[r#"{"user_id":5,"track_id":2,"kind":"streaming"}"#]);
    let (one, two) = tokio::join!(
        plans.transform("plays", first, NOW),
        plans.transform("plays", second, NOW)
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(
        one.iter().map(|rows| rows.table).collect::<Vec<_>>(),
        [1, 0],
        "append tables come first"
    );
    assert_eq!(one.iter().map(TableRows::len).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(two.iter().map(TableRows::len).collect::<Vec<_>>(), [1, 1]);
    let genres = &two[1].rows[0];
    assert_eq!(genres.column(0).as_string::<i32>().value(0), "rock");
    assert_eq!(genres.column(1).as_primitive::<Int64Type>().value(0), 1);
}

#[tokio::test]
async fn now_is_the_batch_s_instant_and_not_the_plan_s() {
    let plans = plan(MERGE).await.unwrap();
    let stored = async |now: i64| {
        let record = r#"{"user_id":1,"kind":"streaming"}"#;
        let now = Timestamp::from_microsecond(now).unwrap();
        let rows = plans
            .transform("plays", batch(&plans, &[record]), now)
            .await
            .unwrap();
        rows[0].rows[0]
            .column(2)
            .as_primitive::<TimestampMicrosecondType>()
            .value(0)
    };
    assert_eq!(stored(5).await, 5);
    assert_eq!(stored(7).await, 7);
    // Batches at the same time have their own, also those that wait until another is done.
    let all = tokio::join!(stored(1), stored(2), stored(3), stored(4));
    assert_eq!(all, (1, 2, 3, 4));
}

#[tokio::test]
async fn a_value_that_sql_cannot_take_is_an_error_of_its_records() {
    let plans = plan("    - {name: log, sql: \"SELECT CAST(kind AS INT) AS n FROM plays\"}")
        .await
        .unwrap();
    let good = batch(&plans, &[r#"{"kind":"1"}"#]);
    assert_eq!(plans.transform("plays", good, NOW).await.unwrap()[0].len(), 1);
    let bad = batch(&plans, &[r#"{"kind":"1"}"#, r#"{"kind":"one"}"#]);
    let error = plans.transform("plays", bad, NOW).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "table log: Cast error: Cannot cast string 'one' to value of Int32 type"
    );
}

/// What a user gets for SQL that cannot be run: path, position, remedy.
#[tokio::test]
async fn sql_that_makes_no_sense_over_batches_is_refused_with_a_remedy() {
    let per_batch = "the query runs over one batch of records after another, so its result would depend on where batches end";
    let cases = [
        (
            "SELECT usr_id FROM plays",
            "",
            "spec.tables[0].sql: No field named usr_id. Did you mean 'plays.user_id'? at line 1, column 8; see docs/sql.md",
        ),
        (
            "SELEC user_id FROM plays",
            "",
            "spec.tables[0].sql: Expected: an SQL statement, found: SELEC at Line: 1, Column: 1; fix the syntax there",
        ),
        (
            "SELECT user_id FROM play",
            "",
            "spec.tables[0].sql: table 'datafusion.public.play' not found",
        ),
        (
            "SELECT genre FROM tracks",
            "",
            "spec.tables[0].sql: the query reads no topic; select FROM one of plays, other.topic",
        ),
        (
            "SELECT user_id FROM plays, \\\"other.topic\\\"",
            "",
            "spec.tables[0].sql: the query reads several topics: other.topic, plays; write one table for each topic",
        ),
        (
            "SELECT user_id FROM plays LIMIT 5",
            "",
            &format!("spec.tables[0].sql: LIMIT: {per_batch}; leave it out"),
        ),
        (
            "SELECT count(*) AS n FROM plays",
            "",
            &format!("spec.tables[0].sql: GROUP BY or an aggregate: {per_batch}; use write: {{merge:"),
        ),
        (
            "SELECT DISTINCT user_id FROM plays",
            "",
            &format!("spec.tables[0].sql: DISTINCT: {per_batch}; use write: {{insertOnce"),
        ),
        (
            "SELECT user_id, row_number() OVER (ORDER BY at) AS n FROM plays",
            "",
            &format!("spec.tables[0].sql: a window function: {per_batch}"),
        ),
        (
            "SELECT a.user_id FROM plays a JOIN plays b ON a.track_id = b.track_id",
            "",
            &format!("spec.tables[0].sql: the topic is joined with itself: {per_batch}"),
        ),
        (
            "SELECT user_id, avg(track_id) AS m FROM plays GROUP BY 1",
            "write: {merge: {key: [user_id], sum: [m]}}",
            "spec.tables[0].sql: avg of two batches cannot be merged; store sum(x) and count(x)",
        ),
        (
            "SELECT kind, count(DISTINCT user_id) AS seen FROM plays GROUP BY 1",
            "write: {merge: {key: [kind], sum: [seen]}}",
            "spec.tables[0].sql: count(DISTINCT …) of two batches cannot be added up",
        ),
        (
            "SELECT user_id, kind FROM plays",
            "write: {insertOnce: {key: [id]}}",
            "spec.tables[0].write: the key names \"id\", which the query does not give; its columns are user_id, kind",
        ),
        (
            "SELECT user_id, kind, count(*) AS seen FROM plays GROUP BY 1, 2",
            "write: {merge: {key: [user_id], sum: [seen]}}",
            "spec.tables[0].write: the column \"kind\" is neither in the key nor merged; add it to key, sum, min or max",
        ),
        (
            "SELECT user_id, max(kind) AS kind FROM plays GROUP BY 1",
            "write: {merge: {key: [user_id], sum: [kind]}}",
            "spec.tables[0].write: the column \"kind\" is not a number, so it has no sum; use min or max",
        ),
        (
            "SELECT user_id, kind AS user_id FROM plays",
            "",
            "spec.tables[0].sql: Schema contains qualified field name plays.user_id and unqualified field name user_id",
        ),
        (
            "DROP TABLE plays",
            "",
            "spec.tables[0].sql: DDL not supported: DropTable",
        ),
        ("SELECT 1; SELECT 2", "", "spec.tables[0].sql: "),
    ];
    let mut wrong = Vec::new();
    for (sql, write, expected) in cases {
        let table = format!("    - name: wrong\n      sql: \"{sql}\"\n      {write}\n");
        let errors = plan(&table).await.unwrap_err();
        let message = errors[0].to_string();
        if !message.starts_with(expected) {
            wrong.push(format!("{sql}\n   gives: {message}\nexpected: {expected}"));
        }
        assert!(!message.contains('\n'), "{message}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
