//! Against a real Kafka.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod access;
mod admin;
mod authorizer;
mod fetch;
mod fetch_access;
mod fetch_faults;
mod fetch_support;
mod group;
mod group_faults;
mod group_fencing;
mod group_support;
mod health;
mod lag;
mod lag_faults;
mod produce;
mod produce_access;
mod produce_faults;
mod produce_support;
mod transaction;

use std::time::Duration;

use rdkafka::ClientConfig;
use testbed::Kafka;

/// Long enough for a busy machine; nothing waits for it when all is well.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The broker that tests share: each uses topics and groups of its own names.
async fn shared() -> &'static Kafka {
    Kafka::shared().await.unwrap()
}

fn config(bootstrap: String) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

fn plan(name: &str, partitions: i32) -> kafka::admin::TopicPlan {
    kafka::admin::TopicPlan {
        name: name.to_owned(),
        partitions,
        replication_factor: 1,
        config: std::collections::BTreeMap::new(),
    }
}
