//! Tables that are made anew from others.

use api::{Model, ModelKind, Recommender};
use worker::model;

use super::*;

const TOTALS: &str = "SELECT id, sum(amount) AS total FROM plays GROUP BY id; -- of all time";

fn query(name: &str, sql: &str) -> Model {
    Model {
        name: TableName::new(name).unwrap(),
        schedule: api::Schedule::parse("* * * * *").unwrap(),
        kind: ModelKind::Sql(sql.to_owned()),
    }
}

/// Runs the model `totals`.
async fn run(sink: &Sink, sql: &str) -> Result<u64, SinkError> {
    model::run(&query("totals", sql), &[], sink).await
}

async fn totals(sink: &Sink) -> Vec<String> {
    rows(sink, "SELECT * FROM totals ORDER BY 1").await
}

pub(crate) async fn a_model_is_its_querys_answer(home: &impl Home) {
    let sink = prepared(home, vec![plays(Write::Append)]).await;
    let models = [
        query("totals", TOTALS),
        query("loudest", "SELECT max(total) AS most FROM totals -- of all"),
    ];
    let done = model::prepare(&models, &[], &sink).await.unwrap();
    assert_eq!(done, ["created table totals", "created table loudest"]);
    assert_eq!(totals(&sink).await, [""; 0], "asked before the first run");
    assert_eq!(rows(&sink, "SELECT * FROM loudest").await, [""; 0]);
    assert_eq!(model::prepare(&models, &[], &sink).await.unwrap(), [""; 0]);

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
    assert_eq!(model::run(&models[1], &[], &sink).await.unwrap(), 1);
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
        let unprepared = model::prepare(&[query("totals", sql)], &[], &sink)
            .await
            .unwrap_err();
        let text = unprepared.to_string();
        assert!(
            text.starts_with("spec.models[0]: preparing model totals") && text.contains(expected),
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
        let other = query(name, "SELECT 1 AS id");
        let errors = [
            model::run(&other, &[], &sink).await.unwrap_err(),
            model::prepare(&[other], &[], &sink).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind, SinkErrorKind::Refused);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
    assert_eq!(rows(&sink, "SELECT id FROM seen").await, ["7"]);
}

/// Two tastes: users with even numbers choose among a to e, the others among f to j.
pub(crate) async fn a_recommender_recommends(home: &impl Home) {
    let tables = vec![plays(Write::Append)];
    let sink = prepared(home, tables.clone()).await;
    let model = Model {
        kind: ModelKind::Recommender(Recommender {
            interactions: TableName::new("plays").unwrap(),
            user: "id".to_owned(),
            item: "name".to_owned(),
            top: 2,
        }),
        ..query("likes", "")
    };
    let models = std::slice::from_ref(&model);
    assert_eq!(
        model::prepare(models, &tables, &sink).await.unwrap(),
        ["created table likes"]
    );
    assert_eq!(
        model::run(&model, &tables, &sink).await.unwrap(),
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
    store(&sink, &[play_rows(&chosen)]).await;
    assert_eq!(model::run(&model, &tables, &sink).await.unwrap(), 40);
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
    store(&sink, &[play_rows(&[play(0, "d", 1)])]).await;
    model::run(&model, &tables, &sink).await.unwrap();
    assert_eq!(rows(&sink, "SELECT name FROM likes WHERE id = 0").await, ["e"]);
}
