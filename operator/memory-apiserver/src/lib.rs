//! An API server in memory, for tests and measurements of the operator: get, list, watch, server-side apply, patch,
//! create and delete, with versions and conflicts, faults between any two calls, and what Kubernetes' own controllers
//! would do.
//!
//! It is a service that a `kube::Client` talks to within the process, in which time can stand still; and a server of HTTP
//! for the real operator. It is no room of the test bed, whose servers are real and know nothing of the product.

// A request that nobody should send is a failed test, not an error to handle.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc
)]

mod answer;
mod call;
pub mod play;
mod server;
mod snapshot;
mod store;

pub use call::Call;
pub use server::{ApiServer, Fault, Server};
pub use store::{Key, Refused, Store, merge};
