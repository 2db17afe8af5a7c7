//! The server's process and data directory, from its first start to its removal.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::time::{Instant, sleep};

use super::account::Account;
use super::install::Installed;
use super::{literal, processes};
use crate::error::{Error, write_file};
use crate::ports::Port;
use crate::process::{POLL, Process};
use crate::scratch::Scratch;
use crate::tools::IPCRM;

/// Recovery after a kill included.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// `PostgreSQL` ends its own children by force after 5 s; this is longer.
const END_TIMEOUT: Duration = Duration::from_secs(8);

/// A server that runs, or is down and can run again.
#[derive(Debug)]
pub(crate) struct Server {
    program: PathBuf,
    account: Account,
    preload: Option<PathBuf>,
    port: Port,
    process: Option<Process>,
    /// The first process's children, while they stand still.
    frozen: Vec<Pid>,
    // After the process: it ends before its files go.
    scratch: Scratch,
}

impl Server {
    /// Copies the template and writes the settings.
    pub(crate) fn create(
        scratch: Scratch,
        installed: &Installed,
        account: Account,
        preload: Option<PathBuf>,
        port: Port,
        mut settings: BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        settings.insert("port".to_owned(), port.number().to_string());
        let program = installed.server.clone();
        let server = Self {
            program,
            account,
            preload,
            port,
            process: None,
            frozen: Vec::new(),
            scratch,
        };
        copy_tree(&installed.template, &server.data(), &server.account)?;
        let path = server.data().join("postgresql.conf");
        let ours = settings
            .iter()
            .map(|(name, value)| format!("{name} = {}\n", literal(value)));
        // The last line of a name counts.
        append(&path, &ours.collect::<String>())?;
        // Pods have addresses of their own; who may connect at all is a matter of where it listens.
        append(
            &server.data().join("pg_hba.conf"),
            "host all all all scram-sha-256\n",
        )?;
        Ok(server)
    }

    /// A standby of `primary`, which must be stopped: a copy of its files that follows it from there on.
    pub(crate) fn standby(primary: &Self, password: &str, scratch: Scratch) -> Result<Self, Error> {
        let server = Self {
            program: primary.program.clone(),
            account: primary.account.clone(),
            preload: None,
            port: Port::reserve(primary.port.ip())?,
            process: None,
            frozen: Vec::new(),
            scratch,
        };
        server.account.own(server.scratch.path())?;
        copy_tree(&primary.data(), &server.data(), &server.account)?;
        let primary = format!(
            "host={} port={} user=postgres password={password}",
            primary.port.ip(),
            primary.port.number()
        );
        // The last line of a name counts.
        let ours = format!(
            "port = {}\nprimary_conninfo = {}\n",
            server.port.number(),
            literal(&primary)
        );
        append(&server.data().join("postgresql.conf"), &ours)?;
        let signal = server.data().join("standby.signal");
        write_file(&signal, String::new())?;
        server.account.own(&signal)?;
        Ok(server)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.number()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    /// Starts the process and does not wait for it.
    pub(crate) fn launch(&mut self) -> Result<(), Error> {
        if let Some(process) = &mut self.process
            && process.is_running()?
        {
            return Err(Error::Misuse("PostgreSQL is running already".to_owned()));
        }
        let mut command = Command::new(&self.program);
        command
            .arg("-D")
            .arg(self.data())
            .current_dir(self.scratch.path());
        if let Some(library) = &self.preload {
            command.env("LD_PRELOAD", library);
        }
        self.account.apply(&mut command);
        self.process = Some(Process::server("postgres", command, "QUIT")?);
        Ok(())
    }

    /// Waits until the server accepts connections: it says so in its lock file, line 8, where line 1 is its
    /// process; a killed one's file may still be there.
    pub(crate) async fn ready(&mut self) -> Result<(), Error> {
        let path = self.data().join("postmaster.pid");
        let process = self.process()?;
        let pid = process.pid().to_string();
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let mut lines = text.lines().map(str::trim);
            if lines.next() == Some(&pid) && lines.nth(6) == Some("ready") {
                return Ok(());
            }
            let expected = "it accepted connections";
            if let Some(status) = process.status()? {
                return Err(process.ended(status, expected));
            }
            if Instant::now() >= deadline {
                return Err(process.too_late(START_TIMEOUT, expected));
            }
            sleep(POLL).await;
        }
    }

    /// The process, running or ended.
    pub(crate) fn process(&mut self) -> Result<&mut Process, Error> {
        self.process
            .as_mut()
            .ok_or_else(|| Error::Misuse("PostgreSQL was never started".to_owned()))
    }

    /// Kills all processes and removes the piece of shared memory that the first one cannot remove any more.
    pub(crate) async fn kill(&mut self) -> Result<(), Error> {
        processes::kill(self.process()?).await?;
        self.frozen.clear();
        let path = self.data().join("postmaster.pid");
        let text = std::fs::read_to_string(&path).map_err(Error::io("reading", &path))?;
        // Line 7: its key and its id.
        if let Some(id) = text
            .lines()
            .nth(6)
            .and_then(|line| line.split_whitespace().nth(1))
        {
            IPCRM
                .run("removing shared memory", IPCRM.command().args(["-m", id]))
                .await?;
        }
        Ok(())
    }

    pub(crate) async fn freeze(&mut self) -> Result<(), Error> {
        self.frozen = processes::freeze(self.process()?).await?;
        Ok(())
    }

    pub(crate) fn thaw(&mut self) -> Result<(), Error> {
        let frozen = std::mem::take(&mut self.frozen);
        processes::thaw(self.process()?, &frozen)
    }

    pub(crate) fn set_disk_full(&mut self, full: bool) -> Result<(), Error> {
        if self.preload.is_none() {
            return Err(Error::Misuse(
                "this disk cannot be filled: build with fillable_disk()".to_owned(),
            ));
        }
        let marker = self.data().join("DISK_IS_FULL");
        if full {
            File::create(&marker)
                .map(drop)
                .map_err(Error::io("creating", &marker))
        } else if marker.exists() {
            std::fs::remove_file(&marker).map_err(Error::io("removing", &marker))
        } else {
            Ok(())
        }
    }
}

impl Drop for Server {
    /// Ends the server at once but by its own hand (SIGQUIT), so that it removes its shared memory.
    fn drop(&mut self) {
        let _ = self.thaw();
        let Some(process) = &mut self.process else { return };
        let _ = process.signal(Signal::QUIT);
        let deadline = std::time::Instant::now() + END_TIMEOUT;
        while matches!(process.is_running(), Ok(true)) && std::time::Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
    }
}

fn append(path: &Path, text: &str) -> Result<(), Error> {
    let before = std::fs::read_to_string(path).map_err(Error::io("reading", path))?;
    write_file(path, before + text)
}

/// Copies a directory with all that is in it, for `account`.
fn copy_tree(from: &Path, to: &Path, account: &Account) -> Result<(), Error> {
    std::fs::create_dir(to).map_err(Error::io("creating", to))?;
    std::fs::set_permissions(to, Permissions::from_mode(0o700))
        .map_err(Error::io("changing the mode of", to))?;
    for entry in std::fs::read_dir(from).map_err(Error::io("reading", from))? {
        let entry = entry.map_err(Error::io("reading", from))?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_tree(&from, &to, account)?;
        } else {
            std::fs::copy(&from, &to).map_err(Error::io("copying", &from))?;
            account.own(&to)?;
        }
    }
    account.own(to)
}
