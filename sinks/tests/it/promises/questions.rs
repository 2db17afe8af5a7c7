//! Questions over the tables.

use sinks::answer::{Kind, Value};

use super::*;

pub(crate) async fn questions_are_answered_as_text(home: &impl Home) {
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    let sink = prepared(
        home,
        vec![definition(
            "plays",
            Write::Append,
            &[("at", time), ("user id", DataType::Int32)],
        )],
    )
    .await;
    let instants: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![
        Some(1_767_225_599_999_999),
        Some(1_767_225_600_000_000),
        Some(1_767_225_660_000_000),
        None,
    ]));
    let users: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(2), Some(3), None]));
    store(
        &sink,
        &[
            RecordBatch::try_from_iter_with_nullable([("at", instants, true), ("user id", users, true)])
                .unwrap(),
        ],
    )
    .await;
    let instant = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    let span = [
        ("from", instant("2026-01-01T00:00:00Z").into()),
        ("to", instant("2026-01-01T00:01:00Z").into()),
    ];
    let sql = "SELECT \"user id\", ':from' AS \"it's :to\", NULL AS none, 1.5 AS number \
               FROM plays WHERE at >= :from AND at < :to; -- :until";
    let answer = sink.query(sql, &span).await.unwrap();
    assert_eq!(answer.names(), ["user id", "it's :to", "none", "number"]);
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(answer.texts(), [[text("2"), text(":from"), None, text("1.5")]]);

    let empty = sink
        .query(
            "SELECT at, \"user id\" FROM plays WHERE at < :from AND at > :to",
            &span,
        )
        .await
        .unwrap();
    assert_eq!(
        (empty.names().as_slice(), empty.rows.len()),
        (["at", "user id"].as_slice(), 0)
    );
}

/// Values are bound: none of them is read as SQL, whatever its type.
pub(crate) async fn values_of_a_question_are_bound(home: &impl Home) {
    let sink = prepared(home, vec![plays(Write::Append)]).await;
    store(&sink, &[play_rows(&[play(1, "it's :b", 7)])]).await;
    let values = [
        ("unused", Value::Text("x".to_owned())),
        ("a", Value::Integer(1)),
        ("b", Value::Text("it's :b".to_owned())),
        ("c", Value::Float(7.5)),
        ("d", Value::Boolean(true)),
        ("e", Value::Decimal("12.50".to_owned())),
        ("f", Value::Date(20_454)),
        ("g", Value::Null),
    ];
    let sql = "SELECT :a AS a, :b AS b, :c AS c, :d AS d, :e AS e, :f AS f, :g AS g, :a AS again FROM plays \
               WHERE id = :a AND name = :b AND amount < :c AND amount < :e AND :d";
    let answer = sink.query(sql, &values).await.unwrap();
    let [row] = answer.rows.as_slice() else {
        panic!("{answer:?}")
    };
    let kinds = [Kind::Boolean, Kind::Decimal { scale: Some(2) }, Kind::Date];
    let [d, e, f] = [3, 4, 5].map(|index: usize| row[index].clone().into_kind(kinds[index - 3]));
    assert_eq!(
        (&row[0], &row[1], &row[2], &row[6], &row[7]),
        (
            &Value::Integer(1),
            &Value::Text("it's :b".to_owned()),
            &Value::Float(7.5),
            &Value::Null,
            &Value::Integer(1)
        )
    );
    assert_eq!(
        (d, e, f),
        (
            Value::Boolean(true),
            Value::Decimal("12.50".to_owned()),
            Value::Date(20_454)
        )
    );
    let none = [("a", Value::Text("1 OR 1 = 1".to_owned()))];
    let answer = sink
        .query("SELECT id FROM plays WHERE name = :a", &none)
        .await
        .unwrap();
    assert!(answer.rows.is_empty());
}

pub(crate) async fn questions_cannot_change_anything(home: &impl Home) {
    let sink = prepared(home, vec![plays(Write::Append)]).await;
    store(&sink, &[play_rows(&[play(1, "a", 1)])]).await;
    for sql in [
        "DELETE FROM plays",
        "DELETE FROM plays RETURNING id",
        "SELECT 1; DELETE FROM plays",
        "COMMIT; DELETE FROM plays",
        "DROP TABLE plays",
        "SELECT :until",
        "SELECT nothing FROM plays",
        "SELEC 1",
    ] {
        let error = sink.query(sql, &[]).await.unwrap_err();
        // A server that is read-only is waited for; a question that wants to write is told that too.
        assert!(
            matches!(error.kind, SinkErrorKind::Refused | SinkErrorKind::Unavailable),
            "{sql}: {error}"
        );
        assert!(error.to_string().starts_with("asking a question: "), "{error}");
    }
    assert_eq!(rows(&sink, ALL_PLAYS).await, ["1|a|1"]);
    sink.ping().await.unwrap();
}
