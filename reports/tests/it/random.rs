//! Queries that nobody thought of: built at random from the portable functions, and asked of every store.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use reports::parameter::Given;

use crate::stores::{Stores, report};

const QUERIES: usize = 150;

type Sql = BoxedStrategy<String>;

fn leaf(texts: &'static [&'static str]) -> Sql {
    proptest::sample::select(texts).prop_map(str::to_owned).boxed()
}

/// What is made of one, two or three expressions of a kind: `{a}`, `{b}` and the condition `{c}`.
fn grown(leaves: Sql, forms: &'static [&'static str]) -> Sql {
    leaves
        .prop_recursive(3, 12, 2, move |inner| {
            (
                proptest::sample::select(forms),
                inner.clone(),
                inner,
                condition_leaf(),
            )
                .prop_map(|(form, a, b, c)| form.replace("{a}", &a).replace("{b}", &b).replace("{c}", &c))
        })
        .boxed()
}

fn condition_leaf() -> Sql {
    leaf(&[
        "liked",
        "(id > 50)",
        "(genre = 'pop')",
        "(genre < 'k')",
        "(at >= :from)",
        "(share IS NULL)",
        "(user_id IN (1, 2, 5))",
        "(genre LIKE '%o%')",
        "(price > 2)",
        "(day < '2026-01-20')",
    ])
}

fn condition() -> Sql {
    let forms = &[
        "({a} AND {b})",
        "({a} OR {b})",
        "(NOT {a})",
        "({a} IS TRUE)",
        "({a} IS DISTINCT FROM {b})",
        "CASE WHEN {c} THEN {a} ELSE {b} END",
    ];
    grown(condition_leaf(), forms)
}

fn integer() -> Sql {
    let leaves = leaf(&[
        "id",
        "user_id",
        "played",
        "7",
        "(-3)",
        "0",
        "length(genre)",
        "strpos(genre, 'p')",
        "CAST(liked AS int)",
        "CAST(share AS bigint)",
        "date_part('dow', at)",
        "date_part('week', day)",
        "extract(hour FROM at)",
    ]);
    let forms = &[
        "({a} + {b})",
        "({a} - {b})",
        "({a} * 3)",
        "({a} / {b})",
        "({a} % {b})",
        "abs({a})",
        "(- {a})",
        "coalesce({a}, {b})",
        "nullif({a}, {b})",
        "CASE WHEN {c} THEN {a} WHEN {a} > {b} THEN {b} END",
    ];
    grown(leaves, forms)
}

fn float() -> Sql {
    let leaves = leaf(&[
        "share",
        "level",
        "0.5",
        "CAST(played AS double)",
        "CAST(price AS double)",
    ]);
    let forms = &[
        "({a} + {b})",
        "({a} - {b})",
        "({a} * {b})",
        "({a} / {b})",
        "round({a})",
        "round({a}, 2)",
        "floor({a})",
        "ceil({a})",
        "abs({a})",
        "coalesce({a}, {b})",
        "CASE WHEN {c} THEN {a} ELSE {b} END",
    ];
    grown(leaves, forms)
}

fn text() -> Sql {
    let leaves = leaf(&[
        "genre",
        "'pop'",
        "'Ä'",
        "''",
        "CAST(id AS varchar)",
        "CAST(day AS varchar)",
    ]);
    let forms = &[
        "({a} || {b})",
        "concat({a}, {b})",
        "lower({a})",
        "upper({a})",
        "trim({a})",
        "substr({a}, 2, 3)",
        "replace({a}, 'p', {b})",
        "coalesce({a}, {b})",
        "CASE WHEN {c} THEN {a} WHEN starts_with({a}, {b}) THEN 'begins' ELSE {b} END",
    ];
    grown(leaves, forms)
}

fn time() -> Sql {
    let leaves = leaf(&["at", ":from", ":to", "now()", "CAST(day AS timestamp)"]);
    let forms = &[
        "date_trunc('minute', {a})",
        "date_trunc('hour', {a})",
        "date_trunc('week', {a})",
        "date_trunc('quarter', {a})",
        "({a} + INTERVAL '1 month')",
        "({a} - INTERVAL '2 days 5 hours')",
        "coalesce({a}, {b})",
        "CASE WHEN {a} > {b} THEN {a} ELSE {b} END",
    ];
    grown(leaves, forms)
}

fn rows() -> Sql {
    (integer(), float(), text(), time(), condition(), condition())
        .prop_map(|(i, f, s, t, c, only)| {
            format!(
                "SELECT id, {i} AS i, {f} AS f, {s} AS s, {t} AS t, {c} AS c FROM plays WHERE {only} \
                 ORDER BY {s}, {t} DESC, id LIMIT 40"
            )
        })
        .boxed()
}

fn groups() -> Sql {
    // A bare number would be the place of a column.
    let number = integer().prop_map(|number| format!("({number} + 0)"));
    (prop_oneof![number, text(), time()], integer(), time(), text(), condition(), condition())
        .prop_map(|(key, i, t, s, c, only)| {
            format!(
                "SELECT {key} AS k, count(*) AS n, sum({i}) AS i, min({t}) AS t, max({s}) AS s, bool_or({c}) AS c, \
                 count(DISTINCT {i}) FILTER (WHERE {c}) AS d FROM plays WHERE {only} GROUP BY {key} ORDER BY 1"
            )
        })
        .boxed()
}

fn joins() -> Sql {
    (proptest::sample::select(&["JOIN", "LEFT JOIN"][..]), integer(), text())
        .prop_map(|(join, i, s)| {
            format!(
                "SELECT u.country, p.i, row_number() OVER (PARTITION BY u.country ORDER BY p.i, p.s, p.id) AS n \
                 FROM (SELECT id, user_id, {i} AS i, {s} AS s FROM plays) p {join} users u ON u.user_id = p.user_id \
                 ORDER BY u.country, n"
            )
        })
        .boxed()
}

#[tokio::test]
async fn random_queries_have_the_same_answer_in_every_store() {
    let stores = Stores::new().await;
    let mut runner = TestRunner::deterministic();
    let queries = prop_oneof![4 => rows(), 3 => groups(), 1 => joins()];
    let (mut wrong, mut rows) = (Vec::new(), 0);
    for _ in 0..QUERIES {
        let sql = queries.new_tree(&mut runner).unwrap().current();
        match stores.ask(&report(&sql), &Given::new()).await {
            Err(error) => wrong.push(format!("{sql}\n  {error}")),
            Ok([postgres, sqlite, engine]) => {
                rows += postgres.rows.len();
                for (name, other) in [("SQLite", &sqlite), ("DataFusion", &engine)] {
                    let pairs = postgres.rows.iter().zip(&other.rows);
                    let differs = pairs.clone().find(|(one, other)| one != other);
                    if differs.is_some() || postgres.rows.len() != other.rows.len() {
                        wrong.push(format!("{sql}\n  PostgreSQL and {name}: {differs:?}"));
                    }
                }
            }
        }
    }
    assert!(rows > QUERIES, "{rows} rows prove little");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
