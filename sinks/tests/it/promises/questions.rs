//! Questions over the tables.

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
        ("from", instant("2026-01-01T00:00:00Z")),
        ("to", instant("2026-01-01T00:01:00Z")),
    ];
    let sql = "SELECT \"user id\", ':from' AS \"it's :to\", NULL AS none, 1.5 AS number \
               FROM plays WHERE at >= :from AND at < :to; -- :until";
    let answer = sink.query(sql, &span).await.unwrap();
    assert_eq!(answer.columns, ["user id", "it's :to", "none", "number"]);
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(answer.rows, [[text("2"), text(":from"), None, text("1.5")]]);

    let empty = sink
        .query(
            "SELECT at, \"user id\" FROM plays WHERE at < :from AND at > :to",
            &span,
        )
        .await
        .unwrap();
    assert_eq!(
        (empty.columns.as_slice(), empty.rows.len()),
        (["at", "user id"].map(str::to_owned).as_slice(), 0)
    );
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
