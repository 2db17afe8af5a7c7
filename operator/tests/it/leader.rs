//! One leader at a time.

use std::time::Duration;

use operator::leader::{LeaderConfig, Leadership, lead};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use memory_apiserver::Key;

use crate::support::World;

fn config(identity: &str) -> LeaderConfig {
    LeaderConfig {
        lease: "streampipeline-operator".to_owned(),
        namespace: "operators".to_owned(),
        identity: identity.to_owned(),
        duration: Duration::from_secs(30),
    }
}

fn lease() -> Key {
    (
        "coordination.k8s.io".to_owned(),
        "leases".to_owned(),
        "operators".to_owned(),
        "streampipeline-operator".to_owned(),
    )
}

async fn leads(world: &World, identity: &str) -> Leadership {
    let (client, config, shutdown) = (world.client(), config(identity), CancellationToken::new());
    let won = lead(&client, &config, &shutdown);
    tokio::time::timeout(Duration::from_mins(5), won)
        .await
        .unwrap()
        .unwrap()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_next_leads_when_the_first_has_let_go() {
    let world = World::new();
    let first = leads(&world, "first").await;
    let client = world.client();
    let waiting =
        tokio::spawn(async move { lead(&client, &config("second"), &CancellationToken::new()).await });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!waiting.is_finished());
    assert_eq!(
        world.api.lock().store.get(&lease()).unwrap()["spec"]["holderIdentity"],
        "first"
    );
    first.release().await;
    let spec = world.api.lock().store.get(&lease()).unwrap()["spec"].clone();
    assert!(
        spec["holderIdentity"].is_null() || spec["holderIdentity"] == "second",
        "{spec}"
    );
    waiting.abort();
}

/// A leader that cannot renew stops before anybody else may lead.
#[tokio::test(start_paused = true)]
async fn a_leader_without_an_api_server_gives_up_in_time() {
    let world = World::new();
    let mut leadership = leads(&world, "first").await;
    assert!(
        tokio::time::timeout(Duration::from_secs(10), leadership.lost())
            .await
            .is_err(),
        "all is well"
    );
    world.api.lock().away = true;
    let lost = tokio::time::timeout(Duration::from_secs(30), leadership.lost()).await;
    assert!(lost.is_ok(), "somebody else may lead after 30 s");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_replaced_gives_up_at_once() {
    let world = World::new();
    let mut leadership = leads(&world, "first").await;
    world.api.change(|store| {
        let taken = json!({"spec": {"holderIdentity": "second"}});
        store.merge_patch(lease(), &taken, false).unwrap();
    });
    let lost = tokio::time::timeout(Duration::from_secs(5), leadership.lost()).await;
    assert!(lost.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_is_stopped_while_waiting_does_not_lead() {
    let world = World::new();
    let _first = leads(&world, "first").await;
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    let second = lead(&world.client(), &config("second"), &shutdown).await.unwrap();
    assert!(second.is_none());
    assert_eq!(
        world.api.lock().store.get(&lease()).unwrap()["spec"]["holderIdentity"],
        "first"
    );
}
