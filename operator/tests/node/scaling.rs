//! Workers follow the lag.

use std::time::{Duration, Instant};

use testbed::eventually;

use crate::bed::{Bed, PATIENCE};

const SCALING: &str = "{min: 1, max: 4, drainWithin: 30s, patience: 20s}";
/// What a worker can do is limited by its own processor time, and not by what else runs on the machine. So slow a worker is
/// to have small batches: what it has begun it finishes before it hands a partition over.
const LIMITED: &str = "  batch: {maxRecords: 5000}
  pods: {worker: {resources: {requests: {cpu: 100m}, limits: {cpu: 150m, memory: 512Mi}}}}";
/// One worker of this build and with this limit does about 24,000 a second.
const NEEDS_FOUR: u32 = 52_000;
/// A change is to be followed within this.
const PROMPT: Duration = Duration::from_mins(1);

/// A load that needs four workers where one was enough, and then one again: their number follows, the status says why, the
/// lag goes, it is measured for how long partitions stand still, and nothing is lost or doubled on the way.
#[tokio::test(flavor = "multi_thread")]
async fn workers_follow_the_lag_and_the_status_says_why() {
    let bed = Bed::new(1).await;
    bed.apply_with(200, SCALING, LIMITED).await;
    bed.stored(500).await;
    assert_eq!(bed.workers().await, "1");

    bed.apply_with(NEEDS_FOUR, SCALING, LIMITED).await;
    let took = until_workers(&bed, "4").await;
    assert!(took < PROMPT, "{took:?}");
    let steps: Vec<String> = steps(&bed).await;
    assert!((1..=2).contains(&steps.len()), "{steps:?}");
    bed.kubectl("rollout status deployment/music-worker --timeout=180s")
        .await
        .unwrap();
    let began = Instant::now();
    eventually(PATIENCE, async || drained(&bed).await).await.unwrap();
    println!(
        "the lag was gone {:.1?} after the workers were ready",
        began.elapsed()
    );

    bed.apply_with(200, SCALING, LIMITED).await;
    let took = until_workers(&bed, "1").await;
    let patience = seconds(&bed, "patienceSeconds").await;
    let pause = seconds(&bed, "rebalancePauseSeconds").await;
    println!("partitions stood still for {pause} s; patience {patience} s");
    assert!(took < PROMPT + Duration::from_secs_f64(patience), "{took:?}");
    let handovers = bed
        .kubectl("logs -l app.kubernetes.io/component=worker --tail=-1")
        .await
        .unwrap();
    assert!(handovers.contains("taken over"), "{handovers}");
    bed.assert_audited().await;
}

/// Waits until the Deployment is to have so many workers, and tells after how long.
async fn until_workers(bed: &Bed, workers: &str) -> Duration {
    let began = Instant::now();
    let there = async || {
        if bed.workers().await == workers {
            Ok(())
        } else {
            Err(bed.decision().await)
        }
    };
    eventually(PATIENCE * 2, there).await.unwrap();
    let took = began.elapsed();
    println!("{workers} workers after {took:.1?}: {}", bed.decision().await);
    took
}

/// What the events say of changes of the number.
async fn steps(bed: &Bed) -> Vec<String> {
    let told = async || {
        let events = bed
            .kubectl("get events --field-selector=involvedObject.name=music --no-headers -o=custom-columns=MESSAGE:.message")
            .await?;
        let steps = events.lines().filter(|line| line.contains(" → "));
        let steps: Vec<String> = steps.map(str::to_owned).collect();
        // Events are written after what they are about.
        if steps.iter().any(|step| step.contains("→ 4 workers")) {
            Ok(steps)
        } else {
            Err(testbed::Error::Misuse(events))
        }
    };
    eventually(PATIENCE, told).await.unwrap()
}

async fn drained(bed: &Bed) -> Result<(), String> {
    let lag = bed.status("lagSeconds").await;
    match lag.parse::<f64>() {
        Ok(seconds) if seconds < 5.0 => Ok(()),
        _ => Err(format!("{lag} s behind; {}", bed.decision().await)),
    }
}

/// A term of the decision.
async fn seconds(bed: &Bed, term: &str) -> f64 {
    let text = bed.status(&format!("scaling.terms.{term}")).await;
    text.parse()
        .unwrap_or_else(|error| panic!("{term} is {text:?}: {error}"))
}
