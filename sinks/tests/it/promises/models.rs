//! Tables that are made anew from others.

use super::*;

const TOTALS: &str = "SELECT id, sum(amount) AS total FROM plays GROUP BY id; -- of all time";

/// Runs the model `totals`.
async fn run(sink: &Sink, sql: &str) -> Result<u64, SinkError> {
    sink.run_model("totals", sql).await
}

/// Prepares models of these names and queries. Gives what was done.
async fn prepare(sink: &Sink, models: &[(&str, &str)]) -> Vec<String> {
    let mut done = Vec::new();
    for (name, sql) in models {
        done.extend(sink.prepare_model(name, sql).await.unwrap());
    }
    done
}

async fn totals(sink: &Sink) -> Vec<String> {
    rows(sink, "SELECT * FROM totals ORDER BY 1").await
}

pub(crate) async fn a_model_is_its_querys_answer(home: &impl Home) {
    let sink = prepared(home, vec![plays(Write::Append)]).await;
    let models = [
        ("totals", TOTALS),
        ("loudest", "SELECT max(total) AS most FROM totals -- of all"),
    ];
    let done = prepare(&sink, &models).await;
    assert_eq!(done, ["created table totals", "created table loudest"]);
    assert_eq!(totals(&sink).await, [""; 0], "asked before the first run");
    assert_eq!(rows(&sink, "SELECT * FROM loudest").await, [""; 0]);
    assert_eq!(prepare(&sink, &models).await, [""; 0]);

    store(
        &sink,
        &[play_rows(&[play(1, "a", 2), play(1, "b", 3), play(2, "c", 7)])],
    )
    .await;
    for _ in 0..2 {
        assert_eq!(run(&sink, TOTALS).await.unwrap(), 2);
        assert_eq!(totals(&sink).await, ["1|5", "2|7"]);
    }
    store(&sink, &[play_rows(&[play(2, "d", 1)])]).await;
    run(&sink, TOTALS).await.unwrap();
    assert_eq!(totals(&sink).await, ["1|5", "2|8"]);
    assert_eq!(sink.run_model(models[1].0, models[1].1).await.unwrap(), 1);
    assert_eq!(rows(&sink, "SELECT most FROM loudest").await, ["8"]);
}

pub(crate) async fn a_model_follows_its_query(home: &impl Home) {
    let sink = prepared(home, vec![plays(Write::Append)]).await;
    store(&sink, &[play_rows(&[play(1, "a", 2), play(2, "b", 3)])]).await;
    run(&sink, TOTALS).await.unwrap();
    // Fewer rows, other columns, one more column.
    assert_eq!(
        run(
            &sink,
            "SELECT id, sum(amount) AS total FROM plays WHERE id = 1 GROUP BY id"
        )
        .await
        .unwrap(),
        1
    );
    assert_eq!(totals(&sink).await, ["1|2"]);
    assert_eq!(run(&sink, "SELECT id, name FROM plays").await.unwrap(), 2);
    assert_eq!(totals(&sink).await, ["1|a", "2|b"]);
    let with = "WITH own AS (SELECT id, name, amount FROM plays) SELECT * FROM own";
    assert_eq!(run(&sink, with).await.unwrap(), 2);
    assert_eq!(totals(&sink).await, ["1|a|2", "2|b|3"]);
}

pub(crate) async fn a_model_that_fails_leaves_its_rows(home: &impl Home) {
    let sink = prepared(home, vec![plays(Write::Append)]).await;
    store(&sink, &[play_rows(&[play(1, "a", 2), play(2, "b", 3)])]).await;
    run(&sink, TOTALS).await.unwrap();
    for (sql, expected) in [
        ("SELECT id FROM nowhere", "nowhere"),
        ("SELECT id, sum(amount) AS total FROM plays GROUP", "syntax"),
        ("DELETE FROM plays", "syntax"),
        (
            "SELECT 1; DROP TABLE plays",
            "a question is one statement: nothing may follow the ';'",
        ),
        (
            "SELECT id FROM plays WHERE name = :name",
            "there is no parameter :name; a model has none",
        ),
    ] {
        let error = run(&sink, sql).await.unwrap_err();
        assert_eq!(error.kind, SinkErrorKind::Refused, "{sql}: {error}");
        assert!(error.to_string().contains(expected), "{sql}: {error}");
        let text = sink.prepare_model("totals", sql).await.unwrap_err().to_string();
        assert!(
            text.starts_with("preparing model totals") && text.contains(expected),
            "{text}"
        );
        assert_eq!(totals(&sink).await, ["1|2", "2|3"], "{sql}");
        assert_eq!(rows(&sink, "SELECT count(*) FROM plays").await, ["2"], "{sql}");
    }
}

pub(crate) async fn a_model_does_not_touch_what_is_not_its_own(home: &impl Home) {
    let sink = prepared(home, vec![plays(Write::Append)]).await;
    home.by_hand("CREATE TABLE totals (id int)").await;
    // An empty table of that name is nobody's loss.
    assert_eq!(run(&sink, "SELECT 1 AS id").await.unwrap(), 1);
    home.by_hand("CREATE TABLE mine (id int); INSERT INTO mine VALUES (7)")
        .await;
    home.by_hand("CREATE VIEW seen AS SELECT * FROM mine").await;
    for (name, expected) in [
        ("mine", "table mine holds rows that this pipeline did not load"),
        ("seen", "it is not a table"),
    ] {
        let errors = [
            sink.run_model(name, "SELECT 1 AS id").await.unwrap_err(),
            sink.prepare_model(name, "SELECT 1 AS id").await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind, SinkErrorKind::Refused);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
    assert_eq!(rows(&sink, "SELECT id FROM seen").await, ["7"]);
}
