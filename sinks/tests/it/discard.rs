//! The sink that keeps nothing: it fences as the others do, and says what it cannot do.

use std::sync::Arc;

use api::Write;
use sinks::{DeadLetter, Sink, SinkErrorKind, discard};

use crate::promises::{advance, claim, partition, pipeline, play, play_rows, plays, store};

/// Each test has a pipeline of its own: the memory is the process's.
fn open(name: &str) -> Sink {
    let tables = [plays(Write::Append)];
    Sink::Discard(Arc::new(
        discard::Discard::open(&pipeline(name), &tables).unwrap(),
    ))
}

#[tokio::test]
async fn positions_are_the_processs() {
    let sink = open("positions");
    assert!(sink.prepare().await.unwrap().is_empty());
    store(&sink, &[play_rows(&[play(1, "a", 1), play(2, "b", 2)])]).await;
    let again = open("positions");
    let claim = claim(&again, 0).await;
    assert_eq!((claim.next_offset, claim.lease.epoch), (Some(2), 2));
    assert_eq!(claim.state.as_deref(), Some(r#"{"end": 2}"#));
    assert_eq!(
        again.position(&partition(0)).await.unwrap().unwrap().next_offset,
        Some(2)
    );
    assert!(open("another").positions().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_older_lease_and_a_batch_from_elsewhere_cannot_commit() {
    let sink = open("fenced");
    let old = claim(&sink, 0).await.lease;
    let new = claim(&sink, 0).await.lease;
    for (lease, start, committed) in [
        (&old, None, false),
        (&new, Some(0), false),
        (&new, None, true),
        (&new, None, false),
        (&new, Some(4), false),
        (&new, Some(5), true),
    ] {
        let mut transaction = sink.begin(lease).await.unwrap();
        transaction
            .write(0, &[play_rows(&[play(1, "a", 1)])])
            .await
            .unwrap();
        let end = if start == Some(5) { 6 } else { 5 };
        let result = transaction.commit(&advance(start, end)).await;
        match result {
            Ok(()) => assert!(committed, "{start:?}"),
            Err(error) => {
                assert!(!committed, "{error}");
                assert_eq!(error.kind, SinkErrorKind::Fenced, "{error}");
            }
        }
    }
    drop(sink.begin(&new).await.unwrap());
    assert_eq!(
        sink.position(&partition(0)).await.unwrap().unwrap().next_offset,
        Some(6)
    );
}

#[tokio::test]
async fn what_it_cannot_do_is_refused_and_dead_letters_are_not_kept() {
    let sink = open("refused");
    let lease = claim(&sink, 0).await.lease;
    let mut transaction = sink.begin(&lease).await.unwrap();
    let letter = DeadLetter {
        offset: 0,
        timestamp: None,
        key: None,
        value: None,
        stage: "decode",
        error: "bad".to_owned(),
    };
    transaction.dead_letters(&[letter]).await.unwrap();
    let error = transaction.write(1, &[]).await.unwrap_err();
    assert_eq!(error.kind, SinkErrorKind::Refused, "{error}");
    transaction.commit(&advance(None, 1)).await.unwrap();
    assert!(sink.newest_dead_letters(9).await.unwrap().is_empty());
    for error in [
        sink.query("SELECT 1", &[]).await.unwrap_err(),
        sink.run_model("totals", "SELECT 1").await.unwrap_err(),
    ] {
        assert_eq!(error.kind, SinkErrorKind::Refused, "{error}");
        assert!(error.to_string().contains("keeps no rows"), "{error}");
    }
}
