//! What is not portable is refused by its name, with what to write in its place.

use reports::report::check;
use sinks::answer::Dialect;

use crate::stores::{Stores, report};

const REFUSED: &[(&str, &str)] = &[
    ("DELETE FROM plays", "a report is one SELECT"),
    ("SELECT 1; SELECT 2", "a report is one SELECT"),
    ("ATTACH DATABASE 'x' AS y", "a report is one SELECT"),
    ("COPY plays TO 'x'", "a report is one SELECT"),
    ("SET x = 1", "a report is one SELECT"),
    ("EXPLAIN SELECT 1", "a report is one SELECT"),
    ("SELECT id INTO other FROM plays", "a report is one SELECT"),
    ("SELECT id FROM plays FOR UPDATE", "a report is one SELECT"),
    ("SELEC 1", "Expected: an SQL statement"),
    ("SELECT id FROM play", "table 'datafusion.public.play' not found"),
    ("SELECT idd FROM plays", "No field named idd"),
    (
        "SELECT :until",
        "there is no parameter :until; use :from, :to, :now, or add it to parameters",
    ),
    (
        "SELECT median(share) FROM plays",
        "the function median is not portable; store what is wanted by a model",
    ),
    (
        "SELECT string_agg(genre, ',') FROM plays",
        "the function string_agg is not portable",
    ),
    (
        "SELECT greatest(id, user_id) FROM plays",
        "the function greatest is not portable; write CASE",
    ),
    ("SELECT md5(genre) FROM plays", "the function md5 is not portable"),
    (
        "SELECT id FROM plays WHERE genre ILIKE 'p%'",
        "ILIKE is not portable; write lower(x) LIKE",
    ),
    (
        "SELECT id FROM plays WHERE genre ~ 'p'",
        "the operator ~ is not portable",
    ),
    (
        "SELECT id FROM plays WHERE genre LIKE genre",
        "LIKE takes a pattern that is written out",
    ),
    (
        "SELECT at - at FROM plays",
        "the column plays.at - plays.at: the difference of two instants is no portable value; write date_part",
    ),
    (
        "SELECT CAST(genre AS int) FROM plays",
        "text in a column cannot be cast",
    ),
    (
        "SELECT id FROM plays WHERE at > 'yesterday'",
        "Utf8(\"yesterday\") is no Timestamp",
    ),
    (
        "SELECT CAST(at AS varchar) FROM plays",
        "stores differ in how they write an instant as text",
    ),
    (
        "SELECT price / 2 FROM plays",
        "how many digits a divided decimal keeps is not portable",
    ),
    (
        "SELECT tags FROM users",
        "the column tags: values of the type List",
    ),
    ("SELECT * FROM users", "the column tags: values of the type List"),
    ("SELECT date_trunc('decade', at) FROM plays", "date_trunc of "),
    (
        "SELECT DISTINCT ON (genre) id FROM plays",
        "DISTINCT ON is not portable; number the rows",
    ),
    (
        "SELECT id FROM plays INTERSECT SELECT user_id FROM users",
        "INTERSECT and EXCEPT are not portable",
    ),
    (
        "SELECT genre, count(*) FROM plays GROUP BY ROLLUP (genre)",
        "GROUPING SETS, ROLLUP and CUBE are not portable",
    ),
    (
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n FROM r",
        "WITH RECURSIVE is not portable",
    ),
    (
        "SELECT max(liked) FROM plays",
        "max of true and false is not portable",
    ),
];

#[tokio::test]
async fn what_is_not_portable_is_refused_by_name() {
    let stores = Stores::new().await;
    let mut wrong = Vec::new();
    for (sql, expected) in REFUSED {
        match check(&report(sql), &stores.tables).await.as_slice() {
            [(place, refusal)] if place == "sql" && refusal.to_string().starts_with(expected) => {}
            other => wrong.push(format!("{sql}\n  {other:?}\n  expected: {expected}")),
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Manifests of before have the sink's own SQL in `sql`: it is asked as it stands, if it is one SELECT.
#[tokio::test]
async fn a_text_that_is_not_portable_is_asked_as_it_stands() {
    let stores = Stores::new().await;
    let asked = |sql: &'static str, dialect| {
        let tables = stores.tables.clone();
        async move { reports::report::question(&report(sql), &tables, dialect).await }
    };
    let sql = "SELECT genre FROM plays WHERE genre ~ '^p' AND at >= :from";
    let question = asked(sql, Dialect::Postgres).await.unwrap();
    assert_eq!(question.sql, sql);
    assert!(question.note.is_some() && question.columns.is_none());
    for sql in [
        "ATTACH 'x' AS y",
        "SELECT 1; DELETE FROM plays",
        "PRAGMA user_version",
    ] {
        for dialect in [Dialect::Postgres, Dialect::Sqlite] {
            assert!(asked(sql, dialect).await.is_err(), "{sql}");
        }
    }
}
