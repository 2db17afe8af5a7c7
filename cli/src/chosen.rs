//! Parts of a manifest that are chosen by their names.

use crate::error::CliError;

/// Those of `all` that are named, in the order in which they are; all of them if none is. `noun` is what one is called;
/// the manifest has them under `spec`, by the plural.
pub(crate) fn chosen<'a, T>(
    noun: &str,
    all: &'a [T],
    name_of: impl Fn(&T) -> &str,
    names: &[String],
) -> Result<Vec<&'a T>, CliError> {
    if all.is_empty() {
        return Err(CliError::Usage(format!(
            "the manifest has no {noun}s; add some to spec.{noun}s"
        )));
    }
    if names.is_empty() {
        return Ok(all.iter().collect());
    }
    let find = |name: &String| {
        all.iter().find(|one| name_of(one) == name).ok_or_else(|| {
            let known: Vec<&str> = all.iter().map(&name_of).collect();
            CliError::Usage(format!(
                "there is no {noun} {name}; name one of {}",
                known.join(", ")
            ))
        })
    };
    names.iter().map(find).collect()
}
