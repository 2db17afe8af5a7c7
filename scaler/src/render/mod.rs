//! Reports, as text that is the caller's to write.

mod csv;
mod markdown;
mod panel;
mod plot;
mod table;
mod verdict;

pub use csv::csv;
pub use markdown::markdown;
pub use plot::svg;
pub use table::table;
pub use verdict::{Verdict, verdict};
