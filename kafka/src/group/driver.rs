//! Joins, beats, and asks, on behalf of a member.

use std::collections::BTreeSet;
use std::time::Duration;

use kafka_protocol::protocol::StrBytes;
use runtime::backoff::Backoff;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::answers::StepError;
use super::assignor::Claim;
use super::error::Meaning;
use super::member::{Command, Question};
use super::requests::{self, Identity, OFFSETS_OF_ONE, REBALANCE};
use super::state::Event;
use super::{GroupError, Settings};
use crate::broker::{Access, Cluster, Coordinator, CoordinatorKind};
use crate::error_code::ErrorCode;
use crate::health::ErrorReporter;

/// How long the coordinator may take to answer what it knows.
const PATIENCE: Duration = Duration::from_secs(3);

/// Between two signs of life. Rebalances are noticed by them, and nobody writes before all have noticed.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// The answer to a question that the coordinator answers to all members at once.
const ROUND: Duration = REBALANCE.saturating_add(Duration::from_secs(5));

/// For leaving: the session ends by itself otherwise.
const LEAVE: Duration = Duration::from_secs(2);

const BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(100),
    max: Duration::from_secs(1),
};

/// The work behind a [`Member`](super::Member).
#[must_use = "nobody joins before run()"]
pub struct Driver {
    pub(super) identity: Identity,
    pub(super) cluster: Cluster,
    pub(super) coordinator: Coordinator,
    pub(super) reporter: ErrorReporter,
    events: UnboundedSender<Result<Event, GroupError>>,
    commands: UnboundedReceiver<Command>,
    left: CancellationToken,
    /// What was assigned last, and in which generation.
    claim: Claim,
    /// Questions in a row that were not answered.
    pub(super) failures: u32,
}

impl Driver {
    pub(super) fn new(
        settings: Settings,
        access: Access,
        reporter: ErrorReporter,
        events: UnboundedSender<Result<Event, GroupError>>,
        commands: UnboundedReceiver<Command>,
        left: CancellationToken,
    ) -> Self {
        Self {
            cluster: Cluster::new(access),
            coordinator: Coordinator::new(CoordinatorKind::Group, &settings.group),
            identity: Identity {
                settings,
                member_id: StrBytes::default(),
                generation: -1,
            },
            reporter,
            events,
            commands,
            left,
            claim: nothing(),
            failures: 0,
        }
    }

    /// Takes part until the member is dropped, and leaves then; or until it learns that it cannot take part.
    pub async fn run(mut self) {
        let left = self.left.clone();
        if let Some(Err(error)) = left.run_until_cancelled(self.take_part()).await {
            self.tell(Err(error));
        }
        self.leave().await;
    }

    async fn take_part(&mut self) -> Result<(), GroupError> {
        loop {
            self.join().await?;
            self.stay().await?;
        }
    }

    async fn join(&mut self) -> Result<(), GroupError> {
        let mut attempts = 0;
        loop {
            match self.try_to_join().await {
                Ok(()) => return Ok(()),
                Err(StepError::Failed(error)) => return Err(error),
                Err(StepError::Again) => {}
                Err(error @ (StepError::Lost | StepError::Later)) => {
                    if matches!(error, StepError::Lost) {
                        self.lose();
                    }
                    sleep(BACKOFF.delay(attempts, rand::random())).await;
                    attempts += 1;
                }
            }
        }
    }

    async fn try_to_join(&mut self) -> Result<(), StepError> {
        let request = self.identity.join(self.claim.clone());
        let request = request.map_err(|error| self.refused(error.to_string()))?;
        let answer = self.ask(&request, i16::MAX, ROUND).await?;
        if ErrorCode::from_number(answer.error_code) == Some(ErrorCode::MemberIdRequired) {
            self.identity.member_id = answer.member_id;
            return Err(StepError::Again);
        }
        self.check(answer.error_code)?;
        self.identity.member_id = answer.member_id.clone();
        self.identity.generation = answer.generation_id;

        let assignments = self.identity.assignments(answer);
        let assignments = assignments.map_err(|error| self.refused(error.to_string()))?;
        let request = self.identity.sync(assignments);
        let answer = self.ask(&request, i16::MAX, ROUND).await?;
        self.check(answer.error_code)?;
        let assigned = self.identity.assigned(answer.assignment);
        let assigned = assigned.map_err(|error| self.refused(error.to_string()))?;

        self.claim = Claim {
            generation: self.identity.generation,
            partitions: assigned.partitions.clone(),
        };
        if assigned.count < self.identity.settings.partitions {
            // A member under a name of its own has come back with newer settings, and was given what it had. The others
            // learn of the new partitions when it joins again, with this claim.
            return Err(StepError::Later);
        }
        let partitions: BTreeSet<i32> = assigned.partitions.into_iter().collect();
        let membership = self.identity.membership();
        tracing::debug!(?membership, ?partitions, "joined");
        self.tell(Ok(Event::Joined(membership, partitions)));
        Ok(())
    }

    /// Beats until the member is to join again.
    async fn stay(&mut self) -> Result<(), GroupError> {
        let mut attempts = 0;
        let mut is_told = false;
        let mut beat = Instant::now() + HEARTBEAT;
        loop {
            tokio::select! {
                biased;
                () = sleep_until(beat) => {
                    let failed = self.beat().await;
                    attempts = if matches!(failed, Err(StepError::Later)) { attempts + 1 } else { 0 };
                    beat = Instant::now() + match attempts {
                        0 => HEARTBEAT,
                        attempts => BACKOFF.delay(attempts, rand::random()),
                    };
                    match failed {
                        Ok(()) | Err(StepError::Later) => {}
                        Err(StepError::Again) => {
                            if !std::mem::replace(&mut is_told, true) {
                                self.tell(Ok(Event::Rebalance));
                            }
                        }
                        Err(StepError::Lost) => {
                            self.lose();
                            self.wait_for_consent().await;
                            return Ok(());
                        }
                        Err(StepError::Failed(error)) => return Err(error),
                    }
                }
                command = next(&mut self.commands) => match command {
                    Command::Rejoin => return Ok(()),
                    Command::Offsets(question) => self.answer(question).await,
                }
            }
        }
    }

    async fn beat(&mut self) -> Result<(), StepError> {
        let answer = self.ask(&self.identity.heartbeat(), i16::MAX, PATIENCE).await?;
        self.check(answer.error_code)
    }

    /// A thread that does not come back must not get anything again.
    async fn wait_for_consent(&mut self) {
        while !matches!(next(&mut self.commands).await, Command::Rejoin) {}
    }

    /// A question that is dropped is not answered.
    async fn answer(&mut self, question: Question) {
        let request = self.identity.offsets(&question.partitions);
        let answer = match self.ask(&request, OFFSETS_OF_ONE, PATIENCE).await {
            Ok(answer) => answer,
            Err(StepError::Failed(error)) => return drop(question.answer.try_send(Err(error))),
            Err(_) => return,
        };
        let answer = match requests::committed(answer) {
            Ok(committed) => Ok(committed),
            Err(code) => match Meaning::of(code) {
                Meaning::Lasting => Err(self.lasting(code)),
                meaning => {
                    tracing::debug!(%code, "offsets cannot be read yet");
                    if meaning == Meaning::Moved {
                        self.coordinator.forget();
                    }
                    return;
                }
            },
        };
        drop(question.answer.try_send(answer));
    }

    async fn leave(&mut self) {
        if self.identity.settings.instance_id.is_none() && !self.identity.member_id.is_empty() {
            let request = self.identity.leave();
            let left = self.coordinator.ask(&self.cluster, &request, i16::MAX, LEAVE);
            let left = timeout(LEAVE, left).await;
            tracing::debug!(done = matches!(left, Ok(Ok(_))), "left the group");
        }
    }

    /// Others may have what this member had.
    fn lose(&mut self) {
        self.claim = nothing();
        self.tell(Ok(Event::Lost));
    }

    /// When nobody listens any more, the driver is about to end.
    fn tell(&self, event: Result<Event, GroupError>) {
        drop(self.events.send(event));
    }
}

fn nothing() -> Claim {
    Claim {
        generation: -1,
        partitions: Vec::new(),
    }
}

/// The next command. When there will be none any more, the driver is about to end.
async fn next(commands: &mut UnboundedReceiver<Command>) -> Command {
    match commands.recv().await {
        Some(command) => command,
        None => std::future::pending().await,
    }
}
