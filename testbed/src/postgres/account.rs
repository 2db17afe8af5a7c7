//! Whom `PostgreSQL` runs as: it refuses to run as root, which test machines often are.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::error::Error;

/// In this order.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// The account of the server's processes and files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Account {
    Own,
    /// Another, because the test runs as root.
    Other {
        uid: u32,
        gid: u32,
    },
}

impl Account {
    /// The account to use for this test process.
    pub(crate) fn choose() -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let path = Path::new("/etc/passwd");
        let users = std::fs::read_to_string(path).map_err(Error::io("reading", path))?;
        CANDIDATES
            .iter()
            .find_map(|name| find(&users, name))
            .ok_or(Error::NoUser)
    }

    /// Makes `command` run as this account.
    pub(crate) fn apply(&self, command: &mut Command) {
        if let Self::Other { uid, gid } = self {
            command.uid(*uid).gid(*gid);
        }
    }

    /// Gives `path` to this account.
    pub(crate) fn own(&self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid } => {
                chown(path, Some(*uid), Some(*gid)).map_err(Error::io("changing the owner of", path))
            }
        }
    }

    /// Something that differs between accounts, for the names of what they own.
    pub(crate) fn key(&self) -> u32 {
        match self {
            Self::Own => rustix::process::geteuid().as_raw(),
            Self::Other { uid, .. } => *uid,
        }
    }
}

fn find(users: &str, name: &str) -> Option<Account> {
    users
        .lines()
        .find_map(|line| match line.split(':').collect::<Vec<_>>()[..] {
            [user, _, uid, gid, ..] if user == name => Some(Account::Other {
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
            }),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_their_whole_name() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\npostgres2:x:5:5::/:\npostgres:x:101:104:,,,:/var/lib:/bin/sh\n";
        assert_eq!(
            find(users, "postgres"),
            Some(Account::Other { uid: 101, gid: 104 })
        );
        assert_eq!(find(users, "nobody"), None);
    }
}
