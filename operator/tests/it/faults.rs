//! What an operator must survive, in the manner of Sieve: crashes between any two writes, views that are old, events
//! that are missed, calls that fail or only seem to. The end is the same as without.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::Notify;

use memory_apiserver::{Fault, merge, play};

use crate::support::{World, assert_same, key, pipeline};

/// Minutes, so that nothing that is due in a minute is missed.
async fn minutes(number: u64) {
    tokio::time::sleep(Duration::from_mins(number)).await;
}

/// What a run without faults ends in.
async fn undisturbed() -> World {
    let mut world = World::new();
    world.start();
    world.apply(&pipeline("music"));
    world.ready("music").await;
    world.settle().await;
    world.stop().await;
    world
}

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

/// Calls fail, or succeed and seem to fail.
#[tokio::test(start_paused = true)]
async fn calls_that_fail_or_seem_to_are_repeated_with_patience() {
    let reference = undisturbed().await;
    let (objects, counts) = (reference.objects(), reference.counts());
    for seed in 0..20 {
        println!("seed {seed}");
        let mut world = World::new();
        let mut random = StdRng::seed_from_u64(seed);
        let mut faults = 40;
        world.api.on_call(move |_| {
            if faults == 0 || random.random_bool(0.6) {
                return Fault::None;
            }
            faults -= 1;
            let code = [409, 429, 500, 503, 504][random.random_range(0..5)];
            if random.random_bool(0.4) {
                Fault::DoneBut(code)
            } else {
                Fault::Refuse(code)
            }
        });
        world.start();
        world.apply(&pipeline("music"));
        world.ready("music").await;
        world.settle().await;
        assert_same(&objects, &world.objects(), &format!("seed {seed}"));
        assert_eq!(counts, world.counts(), "seed {seed}");
    }
}

/// An API server that only refuses is not asked without a pause.
#[tokio::test(start_paused = true)]
async fn a_refusal_that_lasts_is_no_storm() {
    let mut world = World::new();
    world.api.on_call(|call| {
        if call.writes() {
            Fault::Refuse(500)
        } else {
            Fault::None
        }
    });
    world.start();
    world.apply(&pipeline("music"));
    minutes(60).await;
    let tried = world.writes();
    // At most one a minute, each of an object and of the status.
    assert!((20..200).contains(&tried), "{tried} writes tried in an hour");
    world.api.on_call(|_| Fault::None);
    world.ready("music").await;
}

/// What the API server refuses for good stands in the pipeline's status.
#[tokio::test(start_paused = true)]
async fn a_refusal_for_good_is_told() {
    let mut world = World::new();
    world
        .api
        .on_call(|call| match (call.verb, call.resource.as_str()) {
            ("patch", "networkpolicies") => Fault::Refuse(403),
            _ => Fault::None,
        });
    world.start();
    world.apply(&pipeline("music"));
    world
        .until("told", |world| {
            world.condition("music", "Ready") == "False ApplyRefused"
        })
        .await;
    assert_eq!(
        world.message("music", "Ready"),
        "cannot apply NetworkPolicy music: injected"
    );
    world.api.on_call(|_| Fault::None);
    world.ready("music").await;
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

/// The API server is away.
#[tokio::test(start_paused = true)]
async fn while_the_api_server_is_away_all_runs_on_and_then_catches_up() {
    let mut world = World::new();
    world.start();
    world.apply(&pipeline("music"));
    world.ready("music").await;
    world.settle().await;
    let before = world.objects();
    world.api.lock().away = true;
    world.api.break_watches(true);
    minutes(10).await;
    assert_same(&before, &world.objects(), "away");
    let mut edited = pipeline("music");
    edited["spec"]["scaling"] = json!({"mode": "Off", "replicas": 2});
    world.apply(&edited);
    world.api.lock().away = false;
    world
        .until("caught up", |world| world.status("music")["workers"] == 2)
        .await;
    world.ready("music").await;
    // And the same for an operator that starts while it is away.
    world.crash().await;
    world.api.lock().away = true;
    world.start();
    minutes(10).await;
    world.api.lock().away = false;
    world.apply(&pipeline("music"));
    world
        .until("caught up again", |world| world.status("music")["workers"] == 1)
        .await;
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
    let _: Value = world.status("strange");
}

/// A Deployment's number of pods that somebody else keeps changing is put back, and the two are told apart.
#[tokio::test(start_paused = true)]
async fn another_writer_of_replicas_is_named() {
    let mut world = World::new();
    world.start();
    world.apply(&pipeline("music"));
    world.ready("music").await;
    let mut contested = false;
    for _ in 0..20 {
        world.api.change(|store| {
            let edit = json!({
                "spec": {"replicas": 5},
                "metadata": {"managedFields": [{
                    "manager": "kube-controller-manager", "operation": "Update", "subresource": "scale",
                    "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}},
                }]},
            });
            store.merge_patch(key("deployments", "music-worker"), &edit, false).unwrap();
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        contested |= world
            .api
            .lock()
            .store
            .objects
            .iter()
            .any(|(key, event)| key.1 == "events" && event["reason"] == "ReplicasContested");
    }
    assert!(contested);
    world.settle().await;
    assert_eq!(
        world.get("deployments", "music-worker").unwrap()["spec"]["replicas"],
        1
    );
}

/// A hand that changes the number of workers at the moment of a look at Kafka: the scaler, which may see nothing to change,
/// must not take the number over.
#[tokio::test(start_paused = true)]
async fn replicas_set_by_hand_are_not_taken_for_a_decision() {
    let mut world = World::new();
    world.start();
    let mut music = pipeline("music");
    music["spec"]["scaling"] = json!({"min": 1, "max": 8});
    world.apply(&music);
    world.ready("music").await;
    let reads = |world: &World| world.kafka.0.lock().unwrap().reads;
    let before = reads(&world);
    // Sooner than the reconcile that the look brings about.
    while reads(&world) == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.api.change(|store| {
        let edit = json!({"spec": {"replicas": 5}});
        store
            .merge_patch(key("deployments", "music-worker"), &edit, false)
            .unwrap();
    });
    tokio::time::sleep(Duration::from_secs(10)).await;
    let worker = world.get("deployments", "music-worker").unwrap();
    assert_eq!(worker["spec"]["replicas"], 1, "{:#}", world.status("music"));
}

/// What a field may be changed to, and what the operator then has to do is of no interest here: only that it leaves no
/// trace once the change is taken back, and that the way to a manifest does not matter.
const EDITS: [(&str, &str); 14] = [
    ("replicas", r#"{"scaling": {"mode": "Off", "replicas": 3}}"#),
    ("bounds", r#"{"scaling": {"mode": "Off", "min": 2, "max": 4}}"#),
    ("rate", r#"{"generator": {"rate": 5.5}}"#),
    ("no generator", r#"{"generator": null}"#),
    ("seed", r#"{"generator": {"seed": 7}}"#),
    (
        "table",
        r#"{"tables": [{"name": "other", "sql": "SELECT track_id FROM music_plays"}]}"#,
    ),
    ("batch", r#"{"batch": {"maxWait": "2s"}}"#),
    ("image", r#"{"image": "other:2", "imagePullPolicy": "Always"}"#),
    (
        "pods",
        r#"{"pods": {"worker": {"labels": {"a": "b"}, "nodeSelector": {"c": "d"}}}}"#,
    ),
    ("account", r#"{"pods": {"serviceAccount": {"name": "own"}}}"#),
    (
        "annotations",
        r#"{"pods": {"serviceAccount": {"annotations": {"a": "b"}}}}"#,
    ),
    ("paused", r#"{"paused": {"workers": true}}"#),
    ("brokers", r#"{"kafka": {"bootstrapServers": "other:9093"}}"#),
    ("policy", r#"{"deletionPolicy": "Delete"}"#),
];

fn edited(edit: &str) -> Value {
    let mut manifest = pipeline("music");
    merge(&mut manifest["spec"], &serde_json::from_str(edit).unwrap());
    manifest
}

/// A, then B, then A is A; and A, then B is B from the beginning.
#[tokio::test(start_paused = true)]
async fn the_way_to_a_manifest_leaves_no_trace() {
    let reference = undisturbed().await.objects();
    for (name, edit) in EDITS {
        let mut fresh = World::new();
        fresh.start();
        fresh.apply(&edited(edit));
        fresh.settle().await;
        fresh.stop().await;

        let mut world = World::new();
        world.start();
        world.apply(&pipeline("music"));
        world.ready("music").await;
        world.settle().await;
        world.apply(&edited(edit));
        world.settle().await;
        let (mut there, mut from_the_beginning) = (world.objects(), fresh.objects());
        if name == "paused" {
            // Paused from the beginning, the generator never waited for workers; what is told is the same in the end.
            there.retain(|key, _| key.1 != "streampipelines");
            from_the_beginning.retain(|key, _| key.1 != "streampipelines");
        }
        assert_same(
            &from_the_beginning,
            &there,
            &format!("{name}, from nothing and from another"),
        );
        world.apply(&pipeline("music"));
        world.settle().await;
        assert_same(&reference, &world.objects(), &format!("{name}, and back"));
    }
}
