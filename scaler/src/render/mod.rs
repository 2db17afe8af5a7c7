//! Reports, as text that is the caller's to write.

mod comparison;
mod csv;
mod markdown;
mod panel;
mod plot;
mod table;

pub use comparison::{Comparison, compare};
pub use csv::csv;
pub use markdown::markdown;
pub use plot::svg;
pub use table::table;
