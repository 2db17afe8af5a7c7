//! What cleans up when the test process itself is killed and no destructor runs.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::error::Error;
use crate::tools::SH;

/// Waits for the end of its standard input, which is a pipe that only the test process holds. Then ends process
/// group $2 (0: none), gently with signal $1 and after 10 s by force, and removes directory $3; again and again,
/// because a dying server may still write there.
const SCRIPT: &str = r#"
read -r _
if [ "$2" != 0 ]; then
  kill -s "$1" "$2"
  tries=0
  while kill -s 0 "$2" && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
  kill -s KILL -- "-$2"
fi
tries=0
until rm -rf -- "$3" || [ $tries -ge 100 ]; do sleep 0.1; tries=$((tries + 1)); done
"#;

/// A shell that outlives the test process for a moment. It is a child that reads a pipe, not a parent-death
/// signal: that one follows the *thread* that started the process, and each test has a thread of its own.
#[derive(Debug)]
pub(crate) struct Watcher(Child);

impl Watcher {
    /// Removes `directory` when the test process dies.
    pub(crate) fn of_directory(directory: &Path) -> Result<Self, Error> {
        Self::start("KILL", 0, directory)
    }

    /// Ends the process group `pid` with `signal` (its name without SIG) when the test process dies, then
    /// removes `directory`.
    pub(crate) fn of_process(signal: &str, pid: u32, directory: &Path) -> Result<Self, Error> {
        Self::start(signal, pid, directory)
    }

    fn start(signal: &str, pid: u32, directory: &Path) -> Result<Self, Error> {
        let pid = pid.to_string();
        let child = Command::new("sh")
            .arg("-c")
            .arg(SCRIPT)
            .arg("testbed-watcher")
            .args([OsStr::new(signal), OsStr::new(&pid), directory.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Out of the terminal's group: Ctrl-C is to end the test process, and then the watcher does its work.
            .process_group(0)
            .spawn()
            .map_err(SH.missing("starting a watcher"))?;
        Ok(Self(child))
    }
}

impl Drop for Watcher {
    /// The guard has cleaned up itself: the watcher goes before its pipe closes, and so does nothing.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
