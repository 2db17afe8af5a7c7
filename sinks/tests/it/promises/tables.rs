//! Tables and references: made, extended, left alone.

use super::*;

pub(crate) async fn preparing_again_does_nothing(home: &impl Home) {
    let mut table = plays(Write::Append);
    table.table.indexes = vec![names(&["name", "amount"])];
    let sink = home.sink("music", vec![table]).await;
    let done = sink.prepare().await.unwrap();
    assert!(done.contains(&"created table plays".to_owned()), "{done:?}");
    assert!(
        done.contains(&"created index plays__name__amount_idx on table plays".to_owned()),
        "{done:?}"
    );
    assert!(sink.prepare().await.unwrap().is_empty());
}

pub(crate) async fn a_new_column_is_added(home: &impl Home) {
    let fields = [("id", DataType::Int32), ("name", DataType::Utf8)];
    let before = prepared(home, vec![definition("plays", Write::Append, &fields)]).await;
    let ids: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["before"]));
    store(
        &before,
        &[RecordBatch::try_from_iter([("id", ids), ("name", texts)]).unwrap()],
    )
    .await;

    let after = home.sink("music", vec![plays(Write::Append)]).await;
    let done = after.prepare().await.unwrap();
    assert_eq!(done.len(), 1);
    assert!(
        done[0].starts_with("added column amount ") && done[0].ends_with(" to table plays"),
        "{done:?}"
    );
    store(&after, &[play_rows(&[play(2, "after", 2)])]).await;
    assert_eq!(rows(&after, ALL_PLAYS).await, ["1|before|NULL", "2|after|2"]);
}

pub(crate) async fn what_would_change_stored_rows_is_refused(home: &impl Home) {
    let keyed = |key: &[&str]| plays(Write::InsertOnce { key: names(key) });
    prepared(home, vec![keyed(&["id"])]).await;
    let text = ("amount", DataType::Utf8);
    let retyped = definition(
        "plays",
        Write::InsertOnce { key: names(&["id"]) },
        &[("id", DataType::Int32), ("name", DataType::Utf8), text],
    );
    home.by_hand("CREATE VIEW seen AS SELECT 1 AS id").await;
    let view = definition("seen", Write::Append, &[("id", DataType::Int32)]);
    home.by_hand("CREATE TABLE strict_one (id integer, reason text NOT NULL)")
        .await;
    let required = definition("strict_one", Write::Append, &[("id", DataType::Int32)]);
    for (table, expected) in [
        (
            keyed(&["id", "name"]),
            "table plays: its primary key is (id), the manifest's key is (id, name): write to",
        ),
        (
            plays(Write::Append),
            "table plays: its primary key is (id), the manifest's key is none: write to",
        ),
        (retyped, "table plays: column amount is "),
        (view, "table seen: is there already, but it is not a table"),
        (
            required,
            "table strict_one: column reason must have a value, but the pipeline's SQL does not give it",
        ),
    ] {
        // What comes before the refused table is undone with it.
        let fresh = definition("fresh", Write::Append, &[("id", DataType::Int32)]);
        let sink = home.sink("music", vec![fresh, table]).await;
        let error = sink.prepare().await.unwrap_err();
        assert_eq!(error.kind, SinkErrorKind::Refused, "{error}");
        assert!(error.to_string().starts_with(expected), "{error}");
        assert_eq!(
            sink.query("SELECT * FROM fresh", &[]).await.unwrap_err().kind,
            SinkErrorKind::Refused
        );
    }
}

pub(crate) async fn an_unprepared_table_is_refused(home: &impl Home) {
    let sink = home.sink("music", vec![plays(Write::Append)]).await;
    let error = sink.claim(&partition(0), "test").await.unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("run prepare again"), "{error}");
    sink.prepare().await.unwrap();
    home.by_hand("DROP TABLE plays").await;
    let lease = claim(&sink, 0).await.lease;
    let mut transaction = sink.begin(&lease).await.unwrap();
    let error = transaction
        .write(0, &[play_rows(&[play(1, "a", 1)])])
        .await
        .unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Refused, "{error}");
}

fn tracks(fingerprint: &str) -> ReferenceDefinition {
    let fields = vec![
        Field::new("id", DataType::Int32, false),
        Field::new("name", DataType::Utf8, true),
    ];
    ReferenceDefinition {
        name: TableName::new("tracks").unwrap(),
        key: names(&["id"]),
        schema: Arc::new(Schema::new(fields)),
        fingerprint: fingerprint.to_owned(),
    }
}

fn track_rows(rows: &[(i32, &str)]) -> RecordBatch {
    let ids: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int32Array>());
    let texts: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.1)).collect::<StringArray>());
    RecordBatch::try_from_iter([("id", ids), ("name", texts)]).unwrap()
}

async fn load(sink: &Sink, fingerprint: &str, rows: &[(i32, &str)]) -> Result<Option<u64>, SinkError> {
    let (one, other) = rows.split_at(rows.len() / 2);
    let chunks = [track_rows(one), track_rows(other)];
    sink.load_reference(&tracks(fingerprint), chunks.into_iter().map(Ok))
        .await
}

pub(crate) async fn a_reference_is_loaded_when_it_changes(home: &impl Home) {
    let sink = prepared(home, vec![]).await;
    let all = "SELECT id, name FROM tracks ORDER BY id";
    assert_eq!(
        load(&sink, "one", &[(1, "a"), (2, "b"), (3, "c")]).await.unwrap(),
        Some(3)
    );
    assert_eq!(load(&sink, "one", &[(9, "not read")]).await.unwrap(), None);
    assert_eq!(rows(&sink, all).await, ["1|a", "2|b", "3|c"]);
    assert_eq!(load(&sink, "two", &[(2, "B"), (4, "d")]).await.unwrap(), Some(2));
    assert_eq!(rows(&sink, all).await, ["2|B", "4|d"]);
    // Someone dropped the table: the fingerprint alone is not the rows.
    home.by_hand("DROP TABLE tracks").await;
    assert_eq!(load(&sink, "two", &[(2, "B"), (4, "d")]).await.unwrap(), Some(2));
    assert_eq!(rows(&sink, all).await, ["2|B", "4|d"]);
}

pub(crate) async fn a_reference_that_cannot_be_loaded_stays_as_it_was(home: &impl Home) {
    let sink = prepared(home, vec![]).await;
    load(&sink, "one", &[(1, "a"), (2, "b")]).await.unwrap();
    let unchanged = async |error: SinkError, expected: &str| {
        assert_eq!(error.kind, SinkErrorKind::Refused, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(
            rows(&sink, "SELECT id, name FROM tracks ORDER BY id").await,
            ["1|a", "2|b"]
        );
    };
    unchanged(
        load(&sink, "two", &[(5, "x"), (5, "twice")]).await.unwrap_err(),
        "",
    )
    .await;
    let unreadable: RowsError = "line 7 is cut off".into();
    let chunks = [Ok(track_rows(&[(7, "x")])), Err(unreadable)];
    let error = sink
        .load_reference(&tracks("two"), chunks.into_iter())
        .await
        .unwrap_err();
    assert_eq!(
        std::error::Error::source(&error).unwrap().to_string(),
        "line 7 is cut off"
    );
    unchanged(error, "loading table tracks: its rows cannot be read").await;
    let other = home.sink("other", vec![]).await;
    let error = load(&other, "one", &[(1, "a"), (2, "b")]).await.unwrap_err();
    unchanged(error, "holds rows that this pipeline did not load").await;
    assert_eq!(load(&sink, "one", &[]).await.unwrap(), None);
}
