//! What the thread that writes has of its membership.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio_util::sync::DropGuard;

use super::state::{Changes, Event, MemberState};
use super::{GroupError, Membership, Settings};

/// A transaction that was just ended may change offsets for a moment; they are asked for again so soon and so long.
const UNSETTLED_RETRY: Duration = Duration::from_millis(20);
const SETTLING: Duration = Duration::from_millis(200);

/// A member of a group, for one thread. Dropping it leaves the group, unless the member has a name of its own: then its
/// partitions wait for its return until the session is over.
#[derive(Debug)]
pub struct Member {
    group: String,
    events: UnboundedReceiver<Result<Event, GroupError>>,
    commands: UnboundedSender<Command>,
    state: MemberState,
    _left: DropGuard,
}

/// What is committed for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// A number of the [`Settings::topic`](super::Settings::topic)'s.
    pub partition: i32,
    /// Its offset, and the text beside it; none if there never was one.
    pub offset: Option<(i64, String)>,
}

/// What the driver is to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Join again: nothing is under way.
    Rejoin,
    /// Read offsets.
    Offsets(Question),
}

/// A question for committed offsets; not answered when they cannot be had.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) partitions: Vec<i32>,
    pub(super) answer: SyncSender<Result<Vec<Committed>, GroupError>>,
}

impl Member {
    pub(super) fn new(
        settings: &Settings,
        events: UnboundedReceiver<Result<Event, GroupError>>,
        commands: UnboundedSender<Command>,
        left: DropGuard,
    ) -> Self {
        Self {
            group: settings.group.clone(),
            events,
            commands,
            state: MemberState::default(),
            _left: left,
        }
    }

    /// Takes part in the group's life, and tells what has changed. Never waits. By calling it the thread says that no
    /// transaction is under way, which has to happen some times a second: the whole group waits for it.
    pub fn poll(&mut self) -> Result<Changes, GroupError> {
        let mut changes = Changes::default();
        let now = Instant::now();
        loop {
            match self.events.try_recv() {
                Ok(event) => {
                    if self.state.take(event?, now, &mut changes) {
                        // Without a driver the next turn of the loop tells.
                        drop(self.commands.send(Command::Rejoin));
                    }
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err(self.ended()),
            }
        }
        self.state.tick(now);
        Ok(changes)
    }

    /// Whether [`poll`](Self::poll) would tell something. Then the group may be waiting for it.
    #[must_use]
    pub fn has_news(&self) -> bool {
        !self.events.is_empty()
    }

    /// Under which transactions may be begun; it changes in [`poll`](Self::poll) only.
    #[must_use]
    pub fn membership(&self) -> Option<&Membership> {
        self.state.membership()
    }

    /// Committed offsets of partitions. Those that an open transaction may still change are left out; all are when
    /// nobody answers within `patience`, and at once while the group shares its partitions anew. Blocks.
    pub fn committed(&self, partitions: &[i32], patience: Duration) -> Result<Vec<Committed>, GroupError> {
        let begun = Instant::now();
        let mut committed = Vec::new();
        while self.state.is_joined() {
            let (answer, answered) = sync_channel(1);
            let question = Question {
                partitions: partitions.to_vec(),
                answer,
            };
            self.commands
                .send(Command::Offsets(question))
                .map_err(|_| self.ended())?;
            match answered.recv_timeout(patience.saturating_sub(begun.elapsed())) {
                Ok(answer) => committed = answer?,
                Err(_) => break,
            }
            if committed.len() == partitions.len() || begun.elapsed() >= SETTLING.min(patience) {
                break;
            }
            std::thread::sleep(UNSETTLED_RETRY);
        }
        Ok(committed)
    }

    fn ended(&self) -> GroupError {
        GroupError::Ended {
            group: self.group.clone(),
        }
    }
}
