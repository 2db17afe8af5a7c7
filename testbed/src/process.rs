//! A program as a child of the test: its signals, its output, its end.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::time::{Instant, sleep};

use crate::error::Error;
use crate::output::Output;
use crate::watcher::Watcher;

/// How often files and processes are looked at while something is awaited.
pub(crate) const POLL: Duration = Duration::from_millis(10);

/// A running program with its output in files. It is killed and reaped on drop; if the test panics, the tail of
/// its output is printed.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    pid: Pid,
    status: Option<ExitStatus>,
    output_shown: bool,
    _watcher: Watcher,
    output: Output,
}

impl Process {
    /// Starts `program` with `arguments`, and `environment` beside the test's own.
    pub fn spawn<A, E, K, V>(program: impl AsRef<OsStr>, arguments: A, environment: E) -> Result<Self, Error>
    where
        A: IntoIterator<Item: AsRef<OsStr>>,
        E: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        let mut command = Command::new(&program);
        command.args(arguments).envs(environment);
        Self::from_command(command)
    }

    /// Starts a command that the caller has prepared: arguments, environment, directory, user. Input and outputs
    /// are set here; the program leads a process group of its own, so Ctrl-C in the terminal does not reach it.
    pub fn from_command(command: Command) -> Result<Self, Error> {
        let path = Path::new(command.get_program());
        let name = path
            .file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy()
            .into_owned();
        let mut process = Self::server(name, command, "KILL")?;
        process.output_shown = true;
        Ok(process)
    }

    /// A server behind another guard: `name` is for messages, `ending` the signal (without SIG) by which the
    /// watcher ends it.
    pub(crate) fn server(name: impl Into<String>, mut command: Command, ending: &str) -> Result<Self, Error> {
        let name = name.into();
        let output = Output::capture(&mut command)?;
        command.stdin(Stdio::null()).process_group(0);
        let starting = Error::io("starting", Path::new(command.get_program()));
        let mut child = command.spawn().map_err(starting)?;
        // The kernel's process ids are positive i32.
        let Some(pid) = Pid::from_raw(child.id() as i32) else {
            return Err(Error::Misuse(format!("{name} has the process id {}", child.id())));
        };
        let watcher = Watcher::of_process(ending, child.id(), output.directory()).inspect_err(|_| {
            let _ = child.kill();
            let _ = child.wait();
        })?;
        Ok(Self {
            name,
            child,
            pid,
            status: None,
            output_shown: false,
            _watcher: watcher,
            output,
        })
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn status(&mut self) -> Result<Option<ExitStatus>, Error> {
        if self.status.is_none() {
            self.status = self.child.try_wait().map_err(self.failed_to("look after"))?;
        }
        Ok(self.status)
    }

    /// Whether it has not ended yet; a frozen process runs.
    pub fn is_running(&mut self) -> Result<bool, Error> {
        Ok(self.status()?.is_none())
    }

    /// Ends the program and its children by SIGKILL, and waits for it. Nothing happens if it has ended already.
    pub fn kill(&mut self) -> Result<ExitStatus, Error> {
        if let Some(status) = self.status()? {
            return Ok(status);
        }
        kill_process_group(self.pid, Signal::KILL).map_err(|errno| self.failed_to("kill")(errno.into()))?;
        let status = self.child.wait().map_err(self.failed_to("wait for"))?;
        self.status = Some(status);
        Ok(status)
    }

    /// Asks the program to end (SIGTERM), as Kubernetes does; [`Process::wait`] awaits it.
    pub fn terminate(&mut self) -> Result<(), Error> {
        self.signal(Signal::TERM)
    }

    /// Interrupts the program (SIGINT), as Ctrl-C does.
    pub fn interrupt(&mut self) -> Result<(), Error> {
        self.signal(Signal::INT)
    }

    /// Stops the program where it stands (SIGSTOP): it keeps its connections and answers nothing.
    pub fn freeze(&mut self) -> Result<(), Error> {
        self.signal(Signal::STOP)
    }

    /// Lets a frozen program go on (SIGCONT).
    pub fn thaw(&mut self) -> Result<(), Error> {
        self.signal(Signal::CONT)
    }

    /// Sends a signal to the program alone, not to its children.
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<(), Error> {
        if let Some(status) = self.status()? {
            return Err(self.ended(status, &format!("signal {} was sent", signal.as_raw())));
        }
        kill_process(self.pid, signal).map_err(|errno| self.failed_to("signal")(errno.into()))
    }

    /// Waits until the program has ended by itself.
    pub async fn wait(&mut self, timeout: Duration) -> Result<ExitStatus, Error> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.status()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                return Err(self.too_late(timeout, "its end"));
            }
            sleep(POLL).await;
        }
    }

    /// Waits for a line, of either output, that contains `pattern`, and gives that line. A line counts as well if
    /// it was written before the call.
    pub async fn wait_for_line(&mut self, pattern: &str, timeout: Duration) -> Result<String, Error> {
        let expected = || format!("a line with {pattern:?}");
        let deadline = Instant::now() + timeout;
        let mut streams = self.output.follow()?;
        loop {
            // Looked at before the output: what an ended program wrote last is then read in full.
            let status = self.status()?;
            for stream in &mut streams {
                let lines = stream.new_lines(status.is_some())?;
                if let Some(line) = lines.lines().find(|line| line.contains(pattern)) {
                    return Ok(line.to_owned());
                }
            }
            if let Some(status) = status {
                return Err(self.ended(status, &expected()));
            }
            if Instant::now() >= deadline {
                return Err(self.too_late(timeout, &expected()));
            }
            sleep(POLL).await;
        }
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> Result<String, Error> {
        self.output.read("stdout")
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> Result<String, Error> {
        self.output.read("stderr")
    }

    /// Both outputs, standard output first.
    pub fn output(&self) -> Result<String, Error> {
        Ok(self.stdout()? + &self.stderr()?)
    }

    pub(crate) fn ended(&self, status: ExitStatus, expected: &str) -> Error {
        let (process, expected) = (self.describe(), expected.to_owned());
        Error::Ended {
            process,
            status,
            expected,
            output: self.output.tail(&self.name),
        }
    }

    pub(crate) fn too_late(&self, timeout: Duration, expected: &str) -> Error {
        let (process, expected) = (self.describe(), expected.to_owned());
        Error::TooLate {
            process,
            timeout,
            expected,
            output: self.output.tail(&self.name),
        }
    }

    fn failed_to(&self, act: &str) -> impl FnOnce(std::io::Error) -> Error + use<> {
        let what = format!("failed to {act} {}", self.describe());
        move |source| Error::Io { what, source }
    }

    fn describe(&self) -> String {
        format!("{} (process {})", self.name, self.pid())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
        if self.output_shown && std::thread::panicking() {
            eprintln!(
                "{} when the test failed:\n{}",
                self.describe(),
                self.output.tail(&self.name)
            );
        }
    }
}
