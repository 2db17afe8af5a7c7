//! How rows with the same key become one.

use api::{MergeFunction, Write};
use arrow::array::{Array, ArrayRef};
use arrow::compute::kernels::cmp::{gt, lt};
use arrow::compute::kernels::numeric::add;
use arrow::error::ArrowError;

use crate::shape::cast::cast;
use crate::shape::layout::Layout;

/// A keyed table's way to write, by places of columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fold {
    /// The first row stays.
    First,
    /// The last row counts; with a column, the row with the largest value in it, and of equal ones the last.
    Last(Option<usize>),
    /// Column by column; `None` for those of the key.
    Merge(Vec<Option<MergeFunction>>),
}

impl Fold {
    /// `None` for tables without a key.
    pub(super) fn of(table: &Layout) -> Option<Self> {
        let place = |name: &str| table.names().position(|column| column == name);
        match table.write.as_ref()? {
            Write::Append => None,
            Write::InsertOnce { .. } => Some(Self::First),
            Write::Upsert { latest_by, .. } => Some(Self::Last(latest_by.as_deref().and_then(place))),
            Write::Merge { columns, .. } => {
                let function = |name: &str| columns.iter().find(|column| column.name == name);
                let functions = table
                    .names()
                    .map(|name| function(name).map(|column| column.function));
                Some(Self::Merge(functions.collect()))
            }
        }
    }

    /// What is there after `new` has come to `stored`; `None` if nothing changes. Values are arrays of one element.
    pub(super) fn apply(
        &self,
        stored: &[ArrayRef],
        new: &[ArrayRef],
    ) -> Result<Option<Vec<ArrayRef>>, ArrowError> {
        match self {
            Self::First => Ok(None),
            Self::Last(None) => Ok(Some(new.to_vec())),
            Self::Last(Some(column)) => match (stored.get(*column), new.get(*column)) {
                (Some(before), Some(now)) if is_later(before, now)? => Ok(Some(new.to_vec())),
                _ => Ok(None),
            },
            Self::Merge(functions) => {
                let columns = stored.iter().zip(new).zip(functions);
                let merged = columns.map(|((stored, new), function)| match function {
                    Some(function) => merge(*function, stored, new),
                    None => Ok(ArrayRef::clone(stored)),
                });
                merged.collect::<Result<_, _>>().map(Some)
            }
        }
    }
}

/// Whether a row with `now` replaces one with `before`: NULL is before every time, and as late as itself.
fn is_later(before: &ArrayRef, now: &ArrayRef) -> Result<bool, ArrowError> {
    if now.is_null(0) || before.is_null(0) {
        return Ok(before.is_null(0));
    }
    Ok(!lt(now, before)?.value(0))
}

fn merge(function: MergeFunction, stored: &ArrayRef, new: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if stored.is_null(0) || new.is_null(0) {
        return Ok(ArrayRef::clone(if stored.is_null(0) { new } else { stored }));
    }
    let takes_new = match function {
        // A sum of decimals has one digit more than its parts.
        MergeFunction::Sum => return cast(&add(stored, new)?, stored.data_type()),
        MergeFunction::Min => lt(new, stored)?,
        MergeFunction::Max => gt(new, stored)?,
    };
    Ok(ArrayRef::clone(if takes_new.value(0) { new } else { stored }))
}
