//! Text for a terminal: its width and colours, and columns that fit it.

pub mod style;
pub mod table;
