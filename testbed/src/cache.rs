//! What is fetched and built once and used by all tests: jars, binaries, formatted disks.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use crate::error::{Error, create_dir};

/// Where everything is kept: `STREAMPIPELINE_TESTBED_CACHE`, or `testbed` in Cargo's target directory.
pub(crate) fn root() -> PathBuf {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("STREAMPIPELINE_TESTBED_CACHE").unwrap_or_else(|| {
        let target = set("CARGO_TARGET_DIR");
        let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target"));
        target.join("testbed")
    })
}

/// The directory `<name>-<hash of inputs>` of the cache, built by `build` where it is not there yet.
///
/// Test processes start at the same time: one builds under a file lock, the others wait for it. `build` is given
/// an empty directory, which gets its final name only when `build` succeeds, so that what is found is whole.
pub(crate) async fn provide<F>(
    name: &str,
    inputs: impl Hash,
    build: impl FnOnce(PathBuf) -> F,
) -> Result<PathBuf, Error>
where
    F: Future<Output = Result<(), Error>>,
{
    let mut hasher = DefaultHasher::new();
    inputs.hash(&mut hasher);
    let unit = format!("{name}-{:016x}", hasher.finish());
    let root = create_dir(root())?;
    let whole = root.join(&unit);
    if whole.is_dir() {
        return Ok(whole);
    }
    let _lock = lock(root.join(format!("{unit}.lock"))).await?;
    if whole.is_dir() {
        return Ok(whole);
    }
    let partial = root.join(format!("{unit}.partial"));
    if partial.exists() {
        // Left by a test process that was killed while it held the lock.
        std::fs::remove_dir_all(&partial).map_err(Error::io("removing", &partial))?;
    }
    build(create_dir(partial.clone())?).await?;
    std::fs::rename(&partial, &whole).map_err(Error::io("renaming", &partial))?;
    Ok(whole)
}

/// Holds the lock until the file is dropped or the process dies.
async fn lock(path: PathBuf) -> Result<File, Error> {
    let locking = move || {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        file.and_then(|file| file.lock().map(|()| file))
            .map_err(Error::io("locking", &path))
    };
    tokio::task::spawn_blocking(locking)
        .await
        .map_err(|source| Error::Io {
            what: "waiting for a file lock".to_owned(),
            source: source.into(),
        })?
}

/// One line to the terminal about something that takes long; tests' own output is captured, this is not.
pub(crate) fn announce(what: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "testbed: {what}");
}
