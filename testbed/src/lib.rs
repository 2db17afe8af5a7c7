//! Real servers for tests, as guards: a test starts the Apache Kafka or `PostgreSQL` that it needs, hurts it as
//! it likes, and finds nothing left of it afterwards.
//!
//! | guard | is |
//! |---|---|
//! | [`Kafka`] | one or more brokers of Apache Kafka, which can be stopped, killed and frozen one by one |
//! | [`ControlPlane`] | Kubernetes without nodes, for any user |
//! | [`Cluster`] | Kubernetes whose nodes run pods, for root |
//! | [`Postgres`] | a `PostgreSQL` server, whose disk can be full as well |
//! | [`Proxy`] | a TCP connection that can be cut, blocked and slowed, in front of any server |
//! | [`Process`] | a program of the product, run as its users run it |
//!
//! Every guard ends its processes and removes its files when it is dropped, after a panic too, and a small
//! watcher does the same if the test process is killed. Servers listen on loopback only, or where pods reach
//! them. What the servers are
//! made of is fetched once, see the README.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod cache;
mod certificates;
mod cluster;
mod error;
mod eventually;
mod kafka;
mod memory;
mod output;
mod ports;
mod postgres;
mod process;
mod proxy;
mod scratch;
mod tools;
mod watcher;

pub use certificates::Certificates;
pub use cluster::{Cluster, ClusterBuilder, ControlPlane, Kubernetes, Part};
pub use error::Error;
pub use eventually::{Outcome, eventually};
pub use kafka::{KAFKA_PASSWORD, KAFKA_USER, Kafka, KafkaBuilder};
pub use memory::within_memory;
pub use postgres::{Postgres, PostgresBuilder};
pub use process::Process;
pub use proxy::{Cut, Direction, Proxy};
