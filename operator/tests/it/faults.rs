//! What an operator must survive, in the manner of Sieve: crashes between any two writes, views that are old, events
//! that are missed, calls that fail or only seem to. The end is the same as without.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::sync::Notify;

use memory_apiserver::{Fault, play};

use crate::support::{World, assert_same, minutes, pipeline, undisturbed};

/// The operator dies before, or right after, each of its writes.
#[tokio::test(start_paused = true)]
async fn a_crash_between_any_two_writes_changes_nothing_in_the_end() {
    let reference = undisturbed().await;
    let (objects, counts) = (reference.objects(), reference.counts());
    let writes = reference.writes();
    assert!(writes > 12, "{writes}");
    for crash_at in 0..writes {
        for fault in [Fault::Vanish, Fault::DoneButVanish] {
            let mut world = World::new();
            let (crashed, count) = (Arc::new(Notify::new()), AtomicUsize::new(0));
            let told = Arc::clone(&crashed);
            world.api.on_call(move |call| {
                if !call.writes() || count.fetch_add(1, Ordering::Relaxed) != crash_at {
                    return Fault::None;
                }
                told.notify_one();
                fault
            });
            world.start();
            world.apply(&pipeline("music"));
            // The run may be shorter than the reference by a write of status.
            let reached = tokio::time::timeout(Duration::from_mins(10), crashed.notified()).await;
            // A write that is answered never has been done before the crash.
            tokio::time::sleep(Duration::from_millis(1)).await;
            world.crash().await;
            assert!(
                reached.is_ok() || crash_at + 3 > writes,
                "write {crash_at} of {writes} never came"
            );
            world.start();
            world.ready("music").await;
            world.settle().await;
            let context = format!("{fault:?} at write {crash_at}");
            assert_same(&objects, &world.objects(), &context);
            assert_eq!(counts, world.counts(), "{context}");
        }
    }
}

/// The next leader's view of the pipelines is old: it shows a manifest that had no generator yet.
#[tokio::test(start_paused = true)]
async fn an_old_view_deletes_and_recreates_nothing() {
    for only in [Some("streampipelines"), None] {
        let mut world = World::new();
        let mut without = pipeline("music");
        without["spec"].as_object_mut().unwrap().remove("generator");
        world.start();
        world.apply(&without);
        world.ready("music").await;
        world.settle().await;
        let old = world.api.lock().store.version;
        world.apply(&pipeline("music"));
        world
            .until("a generator", |world| {
                world.condition("music", "Generating") == "True Producing"
            })
            .await;
        world.settle().await;
        let (objects, counts) = (world.objects(), world.counts());
        world.crash().await;

        world.api.freeze(old, only);
        world.start();
        minutes(10).await;
        assert_eq!(world.counts(), counts, "{only:?}");
        world.api.thaw();
        world.ready("music").await;
        world.settle().await;
        assert_same(&objects, &world.objects(), "after the view has caught up");
        assert_eq!(world.counts(), counts, "{only:?}");
    }
}

/// Watches end, and what happened meanwhile is only seen in its last state.
#[tokio::test(start_paused = true)]
async fn missed_events_are_made_up_for() {
    let reference = undisturbed().await.objects();
    for seed in 0..20 {
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let mut world = World::new();
        world.start();
        world.apply(&pipeline("music"));
        for edit in 0..10 {
            let pause = random.random_range(0..20_000);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            if random.random_bool(0.5) {
                let version = world.api.lock().store.version;
                world.api.freeze(version, None);
            }
            let mut edited = pipeline("music");
            match random.random_range(0..3) {
                0 => edited["spec"]["generator"]["rate"] = json!(200.5 + f64::from(edit)),
                1 => drop(edited["spec"].as_object_mut().unwrap().remove("generator")),
                _ => edited["spec"]["scaling"] = json!({"mode": "Off", "replicas": 3}),
            }
            world.apply(&edited);
            if random.random_bool(0.5) {
                world.apply(&pipeline("music"));
            }
            world.api.break_watches(random.random_bool(0.7));
            world.api.thaw();
        }
        world.apply(&pipeline("music"));
        world.settle().await;
        world.ready("music").await;
        assert_same(&reference, &world.objects(), &format!("seed {seed}"));
    }
}

/// For a lease period two operators believe that they lead.
#[tokio::test(start_paused = true)]
async fn two_leaders_do_not_fight() {
    let reference = undisturbed().await;
    let mut world = World::new();
    world.start();
    world.start();
    world.apply(&pipeline("music"));
    world.ready("music").await;
    minutes(1).await;
    let generation =
        |world: &World, name: &str| world.get("deployments", name).unwrap()["metadata"]["generation"].clone();
    assert_eq!(
        (
            generation(&world, "music-worker"),
            generation(&world, "music-generator")
        ),
        (json!(1), json!(1))
    );
    let changes = |world: &World| world.api.lock().store.version;
    let before = changes(&world);
    minutes(30).await;
    assert_eq!(changes(&world), before, "two leaders that agree write nothing");
    assert_same(&reference.objects(), &world.objects(), "two leaders");
    assert_eq!(reference.counts(), world.counts());
}

/// Pauses are measured by what does not jump, or bear it.
#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_neither_hurries_nor_stops_anything() {
    for jump in [3600, -3600] {
        let mut world = World::playing(play::failing_jobs);
        let mut settings = world.settings();
        let (clock, offset) = (settings.clock, Arc::new(AtomicI64::new(0)));
        let jumped = Arc::clone(&offset);
        settings.clock =
            Arc::new(move || clock() + SignedDuration::from_secs(jumped.load(Ordering::Relaxed)));
        world.start_with(settings);
        world.apply(&pipeline("music"));
        world
            .until("failed", |world| {
                world.condition("music", "Prepared") == "False PrepareFailed"
            })
            .await;
        offset.store(jump, Ordering::Relaxed);
        let deleted = |world: &World| {
            world
                .counts()
                .1
                .iter()
                .filter(|(key, _)| key.1 == "jobs")
                .map(|(_, count)| *count)
                .sum::<u32>()
        };
        minutes(30).await;
        let attempts = deleted(&world);
        assert!(
            (3..2000).contains(&attempts),
            "{jump}: {attempts} attempts in half an hour"
        );
        world.api.lock().play = play::well;
        world.ready("music").await;
    }
}

/// An object that this version cannot read.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_told_and_others_go_on() {
    let mut world = World::new();
    let mut strange = pipeline("strange");
    strange["spec"]["topics"] = json!("all of them");
    world.apply(&strange);
    world.start();
    world.apply(&pipeline("music"));
    world.ready("music").await;
    world
        .until("told", |world| {
            world.condition("strange", "Ready") == "False InvalidManifest"
        })
        .await;
    let writes = world.writes();
    minutes(30).await;
    assert!(world.writes() - writes < 5);
    world.apply(&pipeline("strange"));
    world.ready("strange").await;
}
