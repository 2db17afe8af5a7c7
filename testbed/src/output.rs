//! What a process writes, in files: nothing has to be read for it to go on, and nothing is lost when it dies.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::error::Error;
use crate::scratch::temporary;

/// How many lines of each stream an error or a failed test shows.
const TAIL_LINES: usize = 40;

/// The two files of one process. Removed on drop.
#[derive(Debug)]
pub(crate) struct Output {
    directory: TempDir,
}

impl Output {
    /// Files for `command`, which is not started yet.
    pub(crate) fn capture(command: &mut Command) -> Result<Self, Error> {
        let output = Self {
            directory: temporary("output")?,
        };
        let create = |stream| {
            let path = output.directory().join(stream);
            File::create(&path).map_err(Error::io("creating", &path))
        };
        command.stdout(create("stdout")?).stderr(create("stderr")?);
        Ok(output)
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// All that was written to `stdout` or `stderr`.
    pub(crate) fn read(&self, stream: &str) -> Result<String, Error> {
        let path = self.directory().join(stream);
        let bytes = std::fs::read(&path).map_err(Error::io("reading", &path))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The last lines of both, marked with the process's name.
    pub(crate) fn tail(&self, process: &str) -> String {
        let mut shown = String::new();
        for stream in ["stdout", "stderr"] {
            let text = self.read(stream).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let from = lines.len().saturating_sub(TAIL_LINES);
            for line in lines.get(from..).unwrap_or_default() {
                let _ = writeln!(shown, "  {process} {stream}| {line}");
            }
        }
        shown
    }

    /// Both streams from their beginning on.
    pub(crate) fn follow(&self) -> Result<[Follower; 2], Error> {
        Ok([self.follow_one("stdout")?, self.follow_one("stderr")?])
    }

    fn follow_one(&self, stream: &str) -> Result<Follower, Error> {
        let path = self.directory().join(stream);
        let file = File::open(&path).map_err(Error::io("opening", &path))?;
        Ok(Follower {
            file,
            unfinished: Vec::new(),
        })
    }
}

/// A place in a file that grows.
#[derive(Debug)]
pub(crate) struct Follower {
    file: File,
    unfinished: Vec<u8>,
}

impl Follower {
    /// The whole lines that were written since the last call; with `ended`, an unfinished one too.
    pub(crate) fn new_lines(&mut self, ended: bool) -> Result<String, Error> {
        let read = self.file.read_to_end(&mut self.unfinished);
        read.map_err(Error::io("reading", Path::new("the output of a process")))?;
        let whole = if ended {
            self.unfinished.len()
        } else {
            let newline = self.unfinished.iter().rposition(|byte| *byte == b'\n');
            newline.map_or(0, |newline| newline + 1)
        };
        let lines: Vec<u8> = self.unfinished.drain(..whole).collect();
        Ok(String::from_utf8_lossy(&lines).into_owned())
    }
}
