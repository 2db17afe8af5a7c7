//! How rows go into tables.

use super::*;

pub(crate) async fn append_keeps_every_row(home: &impl Home) {
    let sink = prepared(home, vec![plays(Write::Append)]).await;
    let nothing = (None, None, None);
    store(
        &sink,
        &[
            play_rows(&[play(1, "a", 1), play(1, "a", 1), nothing]),
            play_rows(&[]),
            play_rows(&[play(1, "a", 1)]),
        ],
    )
    .await;
    let sorted = rows(&sink, "SELECT id, name, amount FROM plays ORDER BY id IS NULL").await;
    assert_eq!(sorted, ["1|a|1", "1|a|1", "1|a|1", "NULL|NULL|NULL"]);
}

/// More rows than one statement of `SQLite` takes and more bytes than one message of `PostgreSQL`'s COPY.
pub(crate) async fn a_large_batch_is_stored_whole(home: &impl Home) {
    let sink = prepared(home, vec![plays(Write::Append)]).await;
    let many: Vec<Play> = (0..25_013)
        .map(|id| play(id, "some text that is neither short nor long", 1))
        .collect();
    store(&sink, &[play_rows(&many)]).await;
    let sums = "SELECT count(*), count(DISTINCT id), min(id), max(id), sum(amount), max(name) FROM plays";
    assert_eq!(
        rows(&sink, sums).await,
        ["25013|25013|0|25012|25013|some text that is neither short nor long"]
    );
}

pub(crate) async fn insert_once_keeps_the_first(home: &impl Home) {
    let sink = prepared(home, vec![plays(Write::InsertOnce { key: names(&["id"]) })]).await;
    store(
        &sink,
        &[
            play_rows(&[play(2, "first", 1), play(1, "only", 1), play(2, "second", 2)]),
            play_rows(&[play(2, "third", 3), play(3, "new", 3)]),
        ],
    )
    .await;
    assert_eq!(rows(&sink, ALL_PLAYS).await, ["1|only|1", "2|first|1", "3|new|3"]);
}

pub(crate) async fn upsert_keeps_the_last(home: &impl Home) {
    let sink = prepared(
        home,
        vec![plays(Write::Upsert {
            key: names(&["id"]),
            latest_by: None,
        })],
    )
    .await;
    store(
        &sink,
        &[
            play_rows(&[play(1, "first", 9), play(1, "last", 1), play(2, "only", 1)]),
            play_rows(&[
                (Some(1), None, Some(0)),
                play(3, "a", 1),
                (Some(2), Some("x"), None),
            ]),
        ],
    )
    .await;
    assert_eq!(rows(&sink, ALL_PLAYS).await, ["1|NULL|0", "2|x|NULL", "3|a|1"]);
}

pub(crate) async fn upsert_keeps_the_latest(home: &impl Home) {
    let latest_by = Some("amount".to_owned());
    let sink = prepared(
        home,
        vec![plays(Write::Upsert {
            key: names(&["id"]),
            latest_by,
        })],
    )
    .await;
    let at = |id, name, amount| (Some(id), Some(name), amount);
    store(
        &sink,
        &[
            // Within a batch: the latest, of equally late ones the last, and no time is before every time.
            play_rows(&[
                at(1, "latest", Some(5)),
                at(1, "older", Some(4)),
                at(2, "one", Some(7)),
                at(2, "other", Some(7)),
                at(3, "timed", Some(1)),
                at(3, "untimed", None),
                at(4, "untimed one", None),
                at(4, "untimed other", None),
                at(5, "untimed", None),
                at(6, "stays", Some(6)),
            ]),
            // Over batches: equally late replaces, older and untimed do not.
            play_rows(&[
                at(1, "too old", Some(4)),
                at(2, "as late", Some(7)),
                at(3, "untimed again", None),
                at(4, "timed", Some(0)),
                at(5, "untimed again", None),
                at(7, "new", Some(1)),
            ]),
        ],
    )
    .await;
    assert_eq!(
        rows(&sink, ALL_PLAYS).await,
        [
            "1|latest|5",
            "2|as late|7",
            "3|timed|1",
            "4|timed|0",
            "5|untimed again|NULL",
            "6|stays|6",
            "7|new|1"
        ]
    );
}

/// A key of all columns leaves nothing to replace.
pub(crate) async fn upsert_without_values_keeps_one(home: &impl Home) {
    let write = Write::Upsert {
        key: names(&["id", "name", "amount"]),
        latest_by: None,
    };
    let sink = prepared(home, vec![plays(write)]).await;
    store(
        &sink,
        &[
            play_rows(&[play(1, "a", 1), play(1, "a", 1)]),
            play_rows(&[play(1, "a", 1)]),
        ],
    )
    .await;
    assert_eq!(rows(&sink, ALL_PLAYS).await, ["1|a|1"]);
}

fn merged(functions: &[(&str, MergeFunction)]) -> Write {
    let columns = functions
        .iter()
        .map(|(name, function)| MergeColumn {
            name: (*name).to_owned(),
            function: *function,
        })
        .collect();
    Write::Merge {
        key: names(&["genre"]),
        columns,
    }
}

/// Genre, plays, share, first, last.
type Row = (&'static str, Option<i64>, Option<f64>, Option<i64>, Option<i64>);

pub(crate) async fn merge_adds_up_and_compares(home: &impl Home) {
    let write = merged(&[
        ("plays", MergeFunction::Sum),
        ("share", MergeFunction::Sum),
        ("first", MergeFunction::Min),
        ("last", MergeFunction::Max),
    ]);
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    let fields = [
        ("genre", DataType::Utf8),
        ("plays", DataType::Int64),
        ("share", DataType::Float64),
        ("first", time.clone()),
        ("last", time),
    ];
    let sink = prepared(home, vec![definition("plays", write, &fields)]).await;
    let batch = |rows: &[Row]| {
        let columns: [(&str, ArrayRef); 5] = [
            (
                "genre",
                Arc::new(rows.iter().map(|row| Some(row.0)).collect::<StringArray>()),
            ),
            (
                "plays",
                Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
            ),
            (
                "share",
                Arc::new(rows.iter().map(|row| row.2).collect::<Float64Array>()),
            ),
            (
                "first",
                Arc::new(
                    rows.iter()
                        .map(|row| row.3)
                        .collect::<TimestampMicrosecondArray>(),
                ),
            ),
            (
                "last",
                Arc::new(
                    rows.iter()
                        .map(|row| row.4)
                        .collect::<TimestampMicrosecondArray>(),
                ),
            ),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
    };
    let second = 1_000_000;
    store(
        &sink,
        &[
            batch(&[
                ("pop", Some(1), Some(0.5), Some(2 * second), Some(2 * second)),
                ("pop", None, Some(0.25), Some(second), Some(second)),
                ("jazz", None, None, None, None),
                ("ska", Some(4), None, None, Some(0)),
            ]),
            batch(&[
                ("pop", Some(10), None, None, Some(9 * second)),
                ("jazz", Some(3), None, Some(second), None),
                ("ska", None, None, None, None),
            ]),
        ],
    )
    .await;
    let at = |column: &str| format!("substr(CAST({column} AS text), 18, 2)");
    let sql = format!(
        "SELECT genre, plays, share, {}, {} FROM plays ORDER BY genre",
        at("first"),
        at("last")
    );
    assert_eq!(
        rows(&sink, &sql).await,
        ["jazz|3|NULL|01|NULL", "pop|11|0.75|01|09", "ska|4|NULL|NULL|00"]
    );
}

/// Several parts of one transaction are merged one by one, and one that was undone not at all.
pub(crate) async fn merge_adds_each_part_once(home: &impl Home) {
    let write = Write::Merge {
        key: names(&["id", "name"]),
        columns: vec![MergeColumn {
            name: "amount".to_owned(),
            function: MergeFunction::Sum,
        }],
    };
    let sink = prepared(home, vec![plays(write)]).await;
    let lease = claim(&sink, 0).await.lease;
    let mut transaction = sink.begin(&lease).await.unwrap();
    let part = |amount| [play_rows(&[play(1, "a", amount)])];
    transaction.write(0, &part(1)).await.unwrap();
    transaction.write(0, &part(10)).await.unwrap();
    transaction.savepoint().await.unwrap();
    transaction.write(0, &part(100)).await.unwrap();
    transaction.rollback_to_savepoint().await.unwrap();
    transaction.write(0, &part(1_000)).await.unwrap();
    transaction.savepoint().await.unwrap();
    transaction.write(0, &part(10_000)).await.unwrap();
    transaction.commit(&advance(None, 5)).await.unwrap();
    let mut transaction = sink.begin(&lease).await.unwrap();
    transaction.write(0, &part(100_000)).await.unwrap();
    transaction.commit(&advance(Some(5), 6)).await.unwrap();
    assert_eq!(rows(&sink, ALL_PLAYS).await, ["1|a|111011"]);
}

pub(crate) async fn a_sum_that_overflows_is_the_rows_fault(home: &impl Home) {
    let write = Write::Merge {
        key: names(&["id", "name"]),
        columns: vec![MergeColumn {
            name: "amount".to_owned(),
            function: MergeFunction::Sum,
        }],
    };
    let sink = prepared(home, vec![plays(write)]).await;
    store(&sink, &[play_rows(&[play(1, "a", i64::MAX - 5)])]).await;
    let claim = claim(&sink, 0).await;
    let mut transaction = sink.begin(&claim.lease).await.unwrap();
    let error = transaction
        .write(0, &[play_rows(&[play(1, "a", 100)])])
        .await
        .unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Row, "{error}");
    transaction.rollback_to_savepoint().await.unwrap();
    transaction
        .write(0, &[play_rows(&[play(1, "a", 5)])])
        .await
        .unwrap();
    transaction.commit(&advance(Some(1), 3)).await.unwrap();
    assert_eq!(rows(&sink, ALL_PLAYS).await, [format!("1|a|{}", i64::MAX)]);
}

/// Partitions that merge into the same rows, at the same time and in opposite orders, lose nothing.
pub(crate) async fn partitions_merge_into_the_same_rows(home: &impl Home) {
    const BATCHES: i64 = 12;
    let write = Write::Merge {
        key: names(&["id"]),
        columns: vec![
            MergeColumn {
                name: "name".to_owned(),
                function: MergeFunction::Max,
            },
            MergeColumn {
                name: "amount".to_owned(),
                function: MergeFunction::Sum,
            },
        ],
    };
    let sink = prepared(home, vec![plays(write)]).await;
    let partition = async |number: i32| {
        let lease = claim(&sink, number).await.lease;
        for batch in 0..BATCHES {
            let mut some: Vec<Play> = (0..200).map(|id| play(id, "a", 1)).collect();
            if number % 2 == 0 {
                some.reverse();
            }
            let start = (batch > 0).then_some(batch * 200);
            let mut transaction = sink.begin(&lease).await.unwrap();
            transaction.write(0, &[play_rows(&some)]).await.unwrap();
            transaction
                .commit(&advance(start, (batch + 1) * 200))
                .await
                .unwrap();
        }
    };
    tokio::join!(partition(0), partition(1), partition(2), partition(3));
    let sums = "SELECT count(*), min(amount), max(amount) FROM plays";
    assert_eq!(rows(&sink, sums).await, [format!("200|{0}|{0}", 4 * BATCHES)]);
}
