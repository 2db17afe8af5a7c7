//! An API server that fails, refuses or is away.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use memory_apiserver::Fault;

use crate::support::{World, assert_same, minutes, pipeline, undisturbed};

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
