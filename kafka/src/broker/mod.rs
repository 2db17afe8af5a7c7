//! Connections of our own to brokers: who may come in, frames, and one question after the other. What
//! [`fetch`](crate::fetch) and others ask through them is theirs.

mod access;
mod anyone;
mod bounded;
mod connection;
mod pool;
mod sasl;
mod scram;
mod wire;

pub(crate) use self::access::Address;
pub use self::access::{Access, AccessError};
pub(crate) use self::anyone::{Anyone, about_topics};
pub(crate) use self::bounded::decode as decode_bounded;
pub(crate) use self::connection::{Connection, ConnectionError};
pub(crate) use self::pool::Pool;
pub(crate) use self::wire::Api;
