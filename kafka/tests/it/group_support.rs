//! What the tests of groups share: members that take part while a test looks at them.

use std::collections::BTreeSet;
use std::time::Duration;

use kafka::broker::Access;
use kafka::group::{self, Changes, Committed, GroupError, Member, Membership, Settings};
use kafka::health::ErrorReporter;
use runtime::secrets::Secrets;
use testbed::eventually;
use tokio::task::JoinHandle;

use crate::TIMEOUT;
use crate::fetch_support::plaintext;

pub(crate) const PARTITIONS: i32 = 8;

/// A member whose work runs as a task.
pub(crate) struct Peer {
    /// Absent once it has left.
    member: Option<Member>,
    work: JoinHandle<()>,
    pub(crate) reporter: ErrorReporter,
    /// What it holds, by what it was told.
    pub(crate) held: BTreeSet<i32>,
    /// Everything that it was told since this was looked at last.
    pub(crate) told: Changes,
}

pub(crate) fn settings(group: &str, instance: Option<&str>) -> Settings {
    Settings {
        group: group.to_owned(),
        topic: format!("{group}.shards"),
        partitions: PARTITIONS,
        instance_id: instance.map(str::to_owned),
    }
}

impl Peer {
    pub(crate) fn join(bootstrap: &str, group: &str, instance: Option<&str>) -> Self {
        Self::join_with(bootstrap, settings(group, instance))
    }

    pub(crate) fn join_with(bootstrap: &str, settings: Settings) -> Self {
        let secrets = Secrets::new(None, |_| None);
        let access = Access::new(&plaintext(bootstrap), &secrets, "group-test");
        Self::join_through(access.unwrap(), settings)
    }

    pub(crate) fn join_through(access: Access, settings: Settings) -> Self {
        let reporter = ErrorReporter::new("group-test");
        let (member, driver) = group::join(settings, access, reporter.clone());
        Self {
            member: Some(member),
            work: tokio::spawn(driver.run()),
            reporter,
            held: BTreeSet::new(),
            told: Changes::default(),
        }
    }

    pub(crate) fn poll(&mut self) -> Result<(), GroupError> {
        let changes = self.member.as_mut().unwrap().poll()?;
        for given in &changes.given {
            self.held.remove(given);
        }
        for gained in &changes.gained {
            assert!(self.held.insert(*gained), "{gained} is held");
        }
        self.told.gained.extend(changes.gained);
        self.told.given.extend(changes.given);
        Ok(())
    }

    pub(crate) fn membership(&self) -> Option<&Membership> {
        self.member.as_ref().unwrap().membership()
    }

    pub(crate) fn generation(&self) -> i32 {
        self.membership().unwrap().generation
    }

    pub(crate) fn committed(
        &self,
        partitions: &[i32],
        patience: Duration,
    ) -> Result<Vec<Committed>, GroupError> {
        // As the generator does, from a thread that may wait.
        tokio::task::block_in_place(|| self.member.as_ref().unwrap().committed(partitions, patience))
    }

    /// In order.
    pub(crate) async fn leave(mut self) {
        self.member = None;
        tokio::time::timeout(TIMEOUT, self.work).await.unwrap().unwrap();
    }

    /// As a process that is killed: nobody hears of it.
    pub(crate) async fn die(self) {
        self.work.abort();
        assert!(self.work.await.unwrap_err().is_cancelled());
    }

    pub(crate) async fn failure(&mut self) -> GroupError {
        eventually(TIMEOUT, async || self.poll().err()).await.unwrap()
    }
}

/// Polls all until each partition is held by one of them, in shares that differ by one at most.
pub(crate) async fn settle(peers: &mut [&mut Peer]) {
    let settled = async || {
        for peer in &mut *peers {
            peer.poll().unwrap();
        }
        let mut all: Vec<i32> = peers.iter().flat_map(|peer| peer.held.clone()).collect();
        all.sort_unstable();
        let sizes = || peers.iter().map(|peer| peer.held.len());
        let generations: BTreeSet<Option<i32>> = peers
            .iter()
            .map(|peer| peer.membership().map(|membership| membership.generation))
            .collect();
        if all == (0..PARTITIONS).collect::<Vec<_>>()
            && sizes().max().unwrap() - sizes().min().unwrap() <= 1
            && generations.len() == 1
            && !generations.contains(&None)
        {
            Ok(())
        } else {
            Err(format!(
                "{all:?} {:?} {generations:?}",
                sizes().collect::<Vec<_>>()
            ))
        }
    };
    eventually(TIMEOUT, settled).await.unwrap();
}
