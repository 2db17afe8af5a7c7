//! Connections of our own to brokers: who may come in, frames, one question after the other, and where in the cluster to
//! ask. What [`fetch`](crate::fetch) and others ask through them is theirs.

mod access;
mod bounded;
mod cluster;
mod connection;
mod connection_error;
mod coordinator;
mod leader;
mod sasl;
mod scram;
mod wire;

pub(crate) use self::access::Address;
pub use self::access::{Access, AccessError};
pub(crate) use self::bounded::decode as decode_bounded;
pub(crate) use self::cluster::{Cluster, Unanswered, addresses};
pub(crate) use self::connection_error::ConnectionError;
pub(crate) use self::coordinator::{Coordinator, CoordinatorError, CoordinatorKind};
pub(crate) use self::leader::{LeaderConnection, LeaderLoop, LeaderLoops, ask_leader};
pub(crate) use self::wire::Api;
