//! Free TCP ports that stay reserved while their server is down.

use std::fs::{File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use crate::cache;
use crate::error::{Error, create_dir};

/// Below the ranges from which operating systems take the ports of outgoing connections (Linux: 32768 and up),
/// so that no client's connection sits on the port of a server that is to start again; and below the node ports
/// of Kubernetes (30000 and up).
const RANGE: std::ops::Range<u16> = 20_000..30_000;

/// Where servers listen that only the machine's own processes are to reach.
pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A port that belongs to one guard until it is dropped, on all of this machine's addresses, among all test
/// processes that share a cache directory: its lock file is held.
#[derive(Debug)]
pub(crate) struct Port {
    address: SocketAddr,
    _reservation: File,
}

impl Port {
    /// Reserves a port of this address on which nothing listens.
    pub(crate) fn reserve(ip: IpAddr) -> Result<Self, Error> {
        let directory = create_dir(cache::root().join("ports"))?;
        let start = (random() % RANGE.len() as u64) as usize;
        for number in RANGE.cycle().skip(start).take(RANGE.len()) {
            let path = directory.join(number.to_string());
            // A file of another user cannot be opened: that port is not ours to take.
            let Ok(file) = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
            else {
                continue;
            };
            match file.try_lock() {
                Ok(()) if TcpListener::bind((ip, number)).is_ok() => {
                    return Ok(Self {
                        address: SocketAddr::new(ip, number),
                        _reservation: file,
                    });
                }
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(Error::io("locking", &path)(source)),
            }
        }
        Err(Error::Misuse(format!(
            "no free port of {ip} in {RANGE:?}; lock files are in {}",
            directory.display()
        )))
    }

    pub(crate) fn number(&self) -> u16 {
        self.address.port()
    }

    /// The address without the port.
    pub(crate) fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// `<address>:<port>`.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }
}

/// A number that differs between processes and calls. The standard library seeds its hash maps from the
/// operating system: enough to spread ports and to tell test passwords apart.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_port_is_given_twice_while_it_is_held() {
        let held: Vec<Port> = (0..50).map(|_| Port::reserve(LOOPBACK).unwrap()).collect();
        let numbers: HashSet<u16> = held.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), held.len());
    }
}
