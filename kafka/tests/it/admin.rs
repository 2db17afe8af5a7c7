//! Topics are made as planned, by several at once, and a refusal says the remedy.

use kafka::admin::TopicOutcome::{Created, Raised, Unchanged};
use kafka::admin::{TopicPlan, delete_topics, ensure_topics, partition_counts};

use crate::{TIMEOUT, config, plan, shared};

#[tokio::test]
async fn topics_are_created_raised_and_left_alone() {
    let config = config(shared().await.bootstrap());
    let plans = [plan("admin.events", 4), plan("admin.shards", 64)];
    let created = [Created { partitions: 4 }, Created { partitions: 64 }];
    assert_eq!(ensure_topics(&config, &plans, TIMEOUT).await.unwrap(), created);

    let plans = [plan("admin.events", 6), plan("admin.shards", 16)];
    let raised = [Raised { from: 4, to: 6 }, Unchanged { partitions: 64 }];
    assert_eq!(ensure_topics(&config, &plans, TIMEOUT).await.unwrap(), raised);

    let names = ["admin.shards", "admin.missing", "admin.events"];
    assert_eq!(
        partition_counts(&config, &names, TIMEOUT).await.unwrap(),
        [Some(64), None, Some(6)]
    );
    delete_topics(&config, &names, TIMEOUT).await.unwrap();
    assert_eq!(
        partition_counts(&config, &names, TIMEOUT).await.unwrap(),
        [None, None, None]
    );
}

/// Also with different plans, as two versions have them during an upgrade: the larger one holds.
#[tokio::test]
async fn several_may_ensure_the_same_topic_at_once() {
    let config = config(shared().await.bootstrap());
    for round in 0..5 {
        let topic = format!("admin.race.{round}");
        let (few, many) = ([plan(&topic, 3)], [plan(&topic, 7)]);
        let (one, two, three) = tokio::join!(
            ensure_topics(&config, &few, TIMEOUT),
            ensure_topics(&config, &many, TIMEOUT),
            ensure_topics(&config, &many, TIMEOUT),
        );
        for (result, least) in [(one, 3), (two, 7), (three, 7)] {
            let (Created { partitions } | Raised { to: partitions, .. } | Unchanged { partitions }) =
                result.unwrap()[0];
            assert!(partitions >= least, "{partitions} instead of {least}");
        }
        assert_eq!(
            partition_counts(&config, &[&topic], TIMEOUT).await.unwrap(),
            [Some(7)]
        );
    }
}

#[tokio::test]
async fn a_refusal_says_what_is_wrong_with_the_plan() {
    let config = config(shared().await.bootstrap());
    let many = TopicPlan {
        replication_factor: 3,
        ..plan("admin.replicas", 1)
    };
    let setting = ("retention.ms".to_owned(), "soon".to_owned());
    let wrong = TopicPlan {
        config: [setting].into(),
        ..plan("admin.config", 1)
    };
    for (plan, expected) in [
        (
            many,
            "cannot create the topic admin.replicas: InvalidReplicationFactor",
        ),
        (wrong, "cannot create the topic admin.config: InvalidConfig"),
    ] {
        let error = ensure_topics(&config, std::slice::from_ref(&plan), TIMEOUT)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(expected), "{error}");
        let remedy = if plan.replication_factor == 3 {
            "1 broker(s)"
        } else {
            "spec.topics[].config: retention.ms=soon"
        };
        assert!(error.contains(remedy), "{error}");
    }
}

/// A look at a topic must not create it, though the broker would let a producer do so.
#[tokio::test]
async fn looking_does_not_create() {
    let config = config(shared().await.bootstrap());
    for _ in 0..2 {
        assert_eq!(
            partition_counts(&config, &["admin.looked-at"], TIMEOUT)
                .await
                .unwrap(),
            [None]
        );
    }
}
