//! The catalogue: made from the seed, or read from a file.

use api::CatalogueSource;

use super::catalogue_row::{CatalogueError, CatalogueRow};
use super::csv_file;
use super::generated;

/// The catalogue's rows, from the seed or from the mounted file.
pub(crate) fn load(source: &CatalogueSource, seed: u64) -> Result<Vec<CatalogueRow>, CatalogueError> {
    match source {
        CatalogueSource::Generated { tracks, genres } => Ok(generated::rows(seed, *tracks, *genres)),
        CatalogueSource::Csv(path) => csv_file::read(path),
    }
}
