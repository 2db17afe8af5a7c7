//! What is stored together, undone together, and by whom.

use super::*;

pub(crate) async fn a_bad_row_is_undone_alone(home: &impl Home) {
    let tables = vec![
        plays(Write::Append),
        definition(
            "named",
            Write::InsertOnce { key: names(&["id"]) },
            &[("id", DataType::Int32)],
        ),
    ];
    let sink = prepared(home, tables).await;
    let ids = |ids: &[Option<i32>]| {
        let array: ArrayRef = Arc::new(ids.iter().copied().collect::<Int32Array>());
        RecordBatch::try_from_iter_with_nullable([("id", array, true)]).unwrap()
    };
    let claim = claim(&sink, 0).await;
    let mut transaction = sink.begin(&claim.lease).await.unwrap();

    transaction
        .write(0, &[play_rows(&[play(1, "a", 1)])])
        .await
        .unwrap();
    transaction.write(1, &[ids(&[Some(1)])]).await.unwrap();

    transaction.savepoint().await.unwrap();
    transaction
        .write(0, &[play_rows(&[play(2, "b", 2)])])
        .await
        .unwrap();
    let error = transaction.write(1, &[ids(&[Some(2), None])]).await.unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Row, "{error}");
    assert!(error.to_string().starts_with("writing table named: "), "{error}");
    transaction.rollback_to_savepoint().await.unwrap();
    transaction.write(1, &[ids(&[Some(3)])]).await.unwrap();

    transaction.savepoint().await.unwrap();
    transaction
        .write(0, &[play_rows(&[play(4, "d", 4)])])
        .await
        .unwrap();
    transaction.write(1, &[ids(&[Some(4)])]).await.unwrap();
    transaction.rollback_to_savepoint().await.unwrap();
    transaction.rollback_to_savepoint().await.unwrap();
    transaction
        .write(0, &[play_rows(&[play(5, "e", 5)])])
        .await
        .unwrap();
    transaction.write(1, &[ids(&[Some(5)])]).await.unwrap();
    transaction.write(1, &[ids(&[Some(6)])]).await.unwrap();
    transaction.commit(&advance(None, 6)).await.unwrap();

    assert_eq!(rows(&sink, ALL_PLAYS).await, ["1|a|1", "5|e|5"]);
    assert_eq!(
        rows(&sink, "SELECT id FROM named ORDER BY id").await,
        ["1", "3", "5", "6"]
    );
}

fn letter(offset: i64, value: &[u8], error: &str) -> DeadLetter {
    DeadLetter {
        offset,
        timestamp: Some(1_767_225_600_000),
        key: None,
        value: Some(value.to_vec()),
        stage: "decode",
        error: error.to_owned(),
    }
}

async fn store_letters(sink: &Sink, lease: &Lease, letters: &[DeadLetter], from: Option<i64>, to: i64) {
    let mut transaction = sink.begin(lease).await.unwrap();
    transaction.dead_letters(letters).await.unwrap();
    transaction.commit(&advance(from, to)).await.unwrap();
}

pub(crate) async fn dead_letters_are_stored_once_with_their_bytes(home: &impl Home) {
    let sink = prepared(home, vec![plays(Write::Append)]).await;
    let lease = claim(&sink, 0).await.lease;
    let bytes = [0_u8, 255, b'{', b'\'', 0];
    let letters = [
        letter(3, &bytes, "not JSON:\0 '\\"),
        DeadLetter {
            timestamp: None,
            value: None,
            ..letter(4, b"", "empty")
        },
    ];
    store_letters(&sink, &lease, &letters, None, 5).await;
    // The same letter again, and another record at an offset of a topic that was made again.
    store_letters(
        &sink,
        &lease,
        &[letters[0].clone(), letter(4, b"other", "new")],
        Some(5),
        6,
    )
    .await;

    let stored = sink.newest_dead_letters(10).await.unwrap();
    let found: Vec<_> = stored
        .iter()
        .map(|letter| (letter.id.offset, letter.error.as_str()))
        .collect();
    assert_eq!(found, [(4, "new"), (4, "empty"), (3, "not JSON:\u{fffd} '\\")]);
    assert_eq!(stored[2].value.as_deref(), Some(bytes.as_slice()));
    assert_eq!(stored[2].id.partition, partition(0));
    assert_eq!(
        (stored[2].timestamp, stored[1].timestamp),
        (Some(1_767_225_600_000), None)
    );
    assert_eq!(
        (&stored[1].key, &stored[1].value, stored[1].stage.as_str()),
        (&None, &None, "decode")
    );
    assert!(
        stored[0].stored_at.parse::<jiff::Timestamp>().is_ok(),
        "{}",
        stored[0].stored_at
    );

    sink.mark_replayed(&[stored[1].id.clone()]).await.unwrap();
    let marked = sink.newest_dead_letters(2).await.unwrap();
    assert_eq!(marked.len(), 2);
    assert_eq!(marked[0].replayed_at, None);
    let replayed_at = marked[1].replayed_at.as_deref().unwrap();
    assert!(replayed_at.parse::<jiff::Timestamp>().is_ok(), "{replayed_at}");
}

pub(crate) async fn many_dead_letters_are_stored(home: &impl Home) {
    let sink = prepared(home, vec![plays(Write::Append)]).await;
    let lease = claim(&sink, 0).await.lease;
    let letters: Vec<DeadLetter> = (0..1_201).map(|offset| letter(offset, b"x", "bad")).collect();
    store_letters(&sink, &lease, &letters, None, 1_201).await;
    let count = "SELECT count(*), count(DISTINCT \"offset\") FROM streampipeline_dead_letters";
    assert_eq!(rows(&sink, count).await, ["1201|1201"]);
    assert_eq!(sink.newest_dead_letters(1).await.unwrap()[0].id.offset, 1_200);
}

pub(crate) async fn dead_letters_go_with_their_transaction(home: &impl Home) {
    let sink = prepared(home, vec![plays(Write::Append)]).await;
    let old = claim(&sink, 0).await.lease;
    let mut transaction = sink.begin(&old).await.unwrap();
    transaction.dead_letters(&[letter(1, b"x", "bad")]).await.unwrap();
    drop(transaction);
    assert!(sink.newest_dead_letters(10).await.unwrap().is_empty());
}

pub(crate) async fn a_claim_finds_what_was_stored(home: &impl Home) {
    let sink = prepared(home, vec![plays(Write::Append)]).await;
    let first = claim(&sink, 0).await;
    assert_eq!((first.next_offset, first.state.as_deref()), (None, None));
    let mut transaction = sink.begin(&first.lease).await.unwrap();
    transaction
        .write(0, &[play_rows(&[play(1, "a", 1)])])
        .await
        .unwrap();
    transaction.commit(&advance(None, 7)).await.unwrap();

    let second = claim(&sink, 0).await;
    assert_eq!(second.next_offset, Some(7));
    assert_eq!(second.lease.epoch, first.lease.epoch + 1);
    let state: serde_json::Value = serde_json::from_str(&second.state.unwrap()).unwrap();
    assert_eq!(state, serde_json::json!({"end": 7}));

    let position = sink.position(&partition(0)).await.unwrap().unwrap();
    assert_eq!(
        (position.next_offset, position.epoch),
        (Some(7), second.lease.epoch)
    );
    assert_eq!(sink.position(&partition(1)).await.unwrap(), None);
}

async fn commit_one(sink: &Sink, lease: &Lease, advance: &Advance) -> Result<(), SinkError> {
    let mut transaction = sink.begin(lease).await.unwrap();
    transaction
        .write(0, &[play_rows(&[play(9, "fenced", 9)])])
        .await
        .unwrap();
    transaction
        .dead_letters(&[letter(9, b"", "fenced")])
        .await
        .unwrap();
    transaction.commit(advance).await
}

pub(crate) async fn an_older_lease_cannot_commit(home: &impl Home) {
    let sink = prepared(home, vec![plays(Write::Append)]).await;
    let old = claim(&sink, 0).await.lease;
    let new = claim(&sink, 0).await.lease;
    let error = commit_one(&sink, &old, &advance(None, 1)).await.unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Fenced, "{error}");
    assert_eq!(
        error.to_string(),
        format!(
            "committing plays/0 up to 1: the stored position is not none with epoch {}: another worker claimed or \
             moved the partition",
            old.epoch
        )
    );
    assert!(rows(&sink, ALL_PLAYS).await.is_empty());
    assert!(sink.newest_dead_letters(9).await.unwrap().is_empty());
    commit_one(&sink, &new, &advance(None, 1)).await.unwrap();
    assert_eq!(rows(&sink, ALL_PLAYS).await, ["9|fenced|9"]);
}

pub(crate) async fn a_batch_that_begins_elsewhere_cannot_commit(home: &impl Home) {
    let sink = prepared(home, vec![plays(Write::Append)]).await;
    let lease = claim(&sink, 0).await.lease;
    let fenced = async |start, end| {
        let error = commit_one(&sink, &lease, &advance(start, end)).await.unwrap_err();
        assert_eq!(error.kind, SinkErrorKind::Fenced, "{error}");
    };
    fenced(Some(0), 1).await;
    commit_one(&sink, &lease, &advance(None, 5)).await.unwrap();
    fenced(None, 1).await;
    fenced(Some(4), 6).await;
    fenced(Some(6), 7).await;
    commit_one(&sink, &lease, &advance(Some(5), 6)).await.unwrap();
    assert_eq!(rows(&sink, ALL_PLAYS).await.len(), 2);
}

pub(crate) async fn a_dropped_transaction_leaves_nothing(home: &impl Home) {
    let sink = prepared(home, vec![plays(Write::Append)]).await;
    let lease = claim(&sink, 0).await.lease;
    for _ in 0..5 {
        let mut transaction = sink.begin(&lease).await.unwrap();
        transaction
            .write(0, &[play_rows(&[play(1, "a", 1)])])
            .await
            .unwrap();
    }
    assert!(rows(&sink, ALL_PLAYS).await.is_empty());
    commit_one(&sink, &lease, &advance(None, 1)).await.unwrap();
    assert_eq!(rows(&sink, ALL_PLAYS).await, ["9|fenced|9"]);
}

pub(crate) async fn pipelines_do_not_disturb_each_other(home: &impl Home) {
    let music = prepared(home, vec![plays(Write::Append)]).await;
    let other = home.sink("other", vec![plays(Write::Append)]).await;
    other.prepare().await.unwrap();
    let lease = claim(&music, 0).await.lease;
    commit_one(&music, &lease, &advance(None, 10)).await.unwrap();
    let mut transaction = music.begin(&lease).await.unwrap();
    transaction
        .write(0, &[play_rows(&[play(1, "a", 1)])])
        .await
        .unwrap();
    transaction.commit(&advance(Some(10), 11)).await.unwrap();

    assert_eq!(claim(&other, 0).await.next_offset, None);
    assert_eq!(claim(&other, 10).await.next_offset, None);
    assert_eq!(claim(&other, 2).await.next_offset, None);
    assert!(other.newest_dead_letters(9).await.unwrap().is_empty());
    let numbers: Vec<i32> = other
        .positions()
        .await
        .unwrap()
        .iter()
        .map(|position| position.partition.number)
        .collect();
    assert_eq!(numbers, [0, 2, 10]);
    assert_eq!(music.positions().await.unwrap().len(), 1);
    commit_one(&music, &lease, &advance(Some(11), 12)).await.unwrap();
}
