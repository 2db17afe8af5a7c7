//! The processes of one `PostgreSQL`: the first one, and those that it forked, which are not in its group.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::error::Error;
use crate::eventually::eventually;
use crate::process::Process;
use crate::tools::PS;

/// Killed processes go at once, unless they wait for a disk.
const GONE_TIMEOUT: Duration = Duration::from_secs(30);

/// Freezes all, and gives the first one's children. The first process goes first: while it stands still it forks no
/// others, and none of its children can vanish and leave its number to a stranger, because it does not reap them.
pub(crate) async fn freeze(first: &mut Process) -> Result<Vec<Pid>, Error> {
    first.freeze()?;
    let children = children(first.pid()).await?;
    for child in &children {
        send(*child, Signal::STOP)?;
    }
    Ok(children)
}

/// Lets all go on, the first one last: it is to find its children alive.
pub(crate) fn thaw(first: &mut Process, children: &[Pid]) -> Result<(), Error> {
    for child in children {
        send(*child, Signal::CONT)?;
    }
    first.thaw()
}

/// Kills all (SIGKILL), as a node's end does, and waits until they are gone: a new server refuses a data directory
/// whose shared memory is still in use.
pub(crate) async fn kill(first: &mut Process) -> Result<(), Error> {
    let children = freeze(first).await?;
    for child in &children {
        send(*child, Signal::KILL)?;
    }
    first.kill()?;
    eventually(GONE_TIMEOUT, async || {
        let all = list().await.map_err(|error| format!("{error:?}"))?;
        let alive = living(&all, &children);
        if alive.is_empty() {
            Ok(())
        } else {
            Err(format!("killed processes of PostgreSQL are alive: {alive:?}"))
        }
    })
    .await
}

fn send(pid: Pid, signal: Signal) -> Result<(), Error> {
    match kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(errno) => Err(Error::Io {
            what: format!("signalling process {pid:?}"),
            source: errno.into(),
        }),
    }
}

/// The processes of the machine, one a line: id, parent, state.
async fn list() -> Result<String, Error> {
    PS.run(
        "listing processes",
        PS.command().args(["-A", "-o", "pid=,ppid=,stat="]),
    )
    .await
}

async fn children(parent: u32) -> Result<Vec<Pid>, Error> {
    Ok(parse(&list().await?)
        .filter(|row| row.parent == parent)
        .map(|row| row.pid)
        .collect())
}

/// Those of `pids` that exist and are no zombies: these wait for a parent and hold nothing.
fn living(list: &str, pids: &[Pid]) -> Vec<Pid> {
    parse(list)
        .filter(|row| pids.contains(&row.pid) && !row.zombie)
        .map(|row| row.pid)
        .collect()
}

struct Row {
    pid: Pid,
    parent: u32,
    zombie: bool,
}

fn parse(list: &str) -> impl Iterator<Item = Row> {
    list.lines().filter_map(|line| {
        let mut columns = line.split_whitespace();
        let pid = Pid::from_raw(columns.next()?.parse().ok()?)?;
        Some(Row {
            pid,
            parent: columns.next()?.parse().ok()?,
            zombie: columns.next()?.starts_with('Z'),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zombies_do_not_count_as_alive() {
        let list = "    7     1 Ss\n    8     7 S<\n    9     7 Z+\n  garbage\n";
        let pids = [8, 9, 10].map(|pid| Pid::from_raw(pid).unwrap());
        assert_eq!(living(list, &pids), [Pid::from_raw(8).unwrap()]);
        assert_eq!(parse(list).filter(|row| row.parent == 7).count(), 2);
    }
}
