//! Workers follow the lag.

use testbed::eventually;

use crate::bed::{Bed, PATIENCE};

/// Workers follow the lag: a backlog brings more of them, and when it is gone they go. The decision stands in the status,
/// with its reason, and as an event; nothing is lost or doubled on the way.
#[tokio::test(flavor = "multi_thread")]
async fn workers_follow_the_lag_and_the_status_says_why() {
    let bed = Bed::new(1).await;
    let calm = "{min: 1, max: 4, drainWithin: 10s, patience: 20s}";
    bed.apply_with(200, calm, "").await;
    bed.stored(500).await;
    assert_eq!(bed.workers().await, "1");

    // More than one worker of this build can do for long: what a worker can do is measured.
    bed.apply_with(60_000, calm, "").await;
    let more = async || {
        let workers = bed.workers().await;
        if workers == "1" {
            Err(bed.decision().await)
        } else {
            Ok(workers)
        }
    };
    let workers = eventually(PATIENCE, more).await.unwrap();
    println!("{workers} workers: {}", bed.decision().await);

    bed.apply_with(200, calm, "").await;
    let fewer = async || {
        let workers = bed.workers().await;
        if workers == "1" {
            Ok(())
        } else {
            Err(bed.decision().await)
        }
    };
    eventually(PATIENCE * 2, fewer).await.unwrap();
    println!("{}", bed.decision().await);
    let events = bed
        .kubectl("get events --field-selector involvedObject.name=music")
        .await
        .unwrap();
    assert!(events.contains("workers"), "{events}");
    bed.assert_audited().await;
}
