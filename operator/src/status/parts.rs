//! A condition for each part of a pipeline, and from these one for the whole.

use super::condition::{Condition, ConditionStatus};
use super::input::StatusInput;
use super::{generation, preparation, processing};

pub(super) struct Parts {
    ready: Condition,
    topics: Condition,
    prepared: Condition,
    sink: Condition,
    processing: Condition,
    generating: Condition,
    audited: Condition,
}

impl Parts {
    pub(super) fn new(input: &StatusInput<'_>) -> Self {
        let topics = preparation::topics(input);
        let prepared = preparation::prepared(input, &topics);
        let processing = processing::processing(input, &prepared);
        let sink = preparation::sink(&prepared, &processing);
        let generating = generation::generating(input, &processing);
        let audited = generation::audited(input);
        let ready = ready(input, [&topics, &prepared, &processing, &generating]);
        Self {
            ready,
            topics,
            prepared,
            sink,
            processing,
            generating,
            audited,
        }
    }

    /// In the order in which things happen.
    pub(super) fn conditions(self) -> Vec<Condition> {
        vec![
            self.ready,
            self.topics,
            self.prepared,
            self.sink,
            self.processing,
            self.generating,
            self.audited,
        ]
    }

    /// One word for people.
    pub(super) fn phase(&self, input: &StatusInput<'_>) -> &'static str {
        let paused = input.valid.pipeline.paused;
        let nothing_generated = paused.generator || input.valid.pipeline.generator.is_none();
        let ready = self.ready.status == ConditionStatus::True;
        let has_topics = self.topics.status == ConditionStatus::True;
        let blocker = input.blocker.as_ref().map(|blocker| blocker.reason);
        match (blocker, self.ready.reason) {
            (Some("Deleting"), _) => "Deleting",
            (Some(_), _) => "Blocked",
            _ if paused.workers && nothing_generated => "Paused",
            (_, "Complete") if ready => "Complete",
            _ if ready && paused.generator => "Paused",
            _ if ready => "Running",
            _ if !has_topics && input.worker.state.is_none() => "Pending",
            (_, "Preparing" | "WaitingForTopics") => "Preparing",
            (_, "Starting" | "Updating" | "WaitingForWorkers") => "Starting",
            (_, "Paused") => "Paused",
            _ => "Failing",
        }
    }
}

/// Ready means that rows flow, by the manifest as it is now.
fn ready(input: &StatusInput<'_>, [topics, prepared, processing, generating]: [&Condition; 4]) -> Condition {
    if let Some(blocker) = &input.blocker {
        return Condition::new(
            "Ready",
            ConditionStatus::False,
            blocker.reason,
            blocker.message.clone(),
        );
    }
    let rests = matches!(generating.reason, "NotConfigured" | "Complete" | "Paused");
    let first = [topics, prepared, processing]
        .into_iter()
        .find(|condition| condition.status != ConditionStatus::True)
        .or_else(|| (generating.status != ConditionStatus::True && !rests).then_some(generating));
    match first {
        Some(first) => {
            // Not known is not ready.
            Condition::new(
                "Ready",
                ConditionStatus::False,
                first.reason,
                first.message.clone(),
            )
        }
        None if generating.reason == "Complete" && processing.reason == "UpToDate" => Condition::new(
            "Ready",
            ConditionStatus::True,
            "Complete",
            "everything has been produced and stored",
        ),
        None => Condition::new(
            "Ready",
            ConditionStatus::True,
            "RowsFlow",
            processing.message.clone(),
        ),
    }
}
