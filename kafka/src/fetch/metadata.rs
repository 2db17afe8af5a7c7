//! Asking the cluster where its topics are.

use std::sync::Arc;

use kafka_protocol::messages::MetadataResponse;

use super::chunk::Fetched;
use super::shared::Shared;
use crate::broker::Unanswered;

/// Asks one broker about `topics`, takes the answer in, and tells of what it means. `anew` asks another broker than
/// the last time. A failure is reported.
pub(super) async fn ask(
    shared: &Shared,
    topics: &[Arc<str>],
    anew: bool,
) -> Result<MetadataResponse, Unanswered> {
    if anew {
        shared.cluster.skip_broker();
    }
    match shared.cluster.describe(topics.iter().map(AsRef::as_ref)).await {
        Ok(answer) => {
            learn(shared, &answer);
            Ok(answer)
        }
        Err(error) => {
            shared.cluster.report(&error, &shared.reporter);
            Err(error)
        }
    }
}

fn learn(shared: &Shared, answer: &MetadataResponse) {
    let learned = shared.assignment().learn(answer);
    shared.works();
    for issue in learned.issues {
        shared.reporter.issue(issue);
    }
    for error in learned.errors {
        shared.hand_over(Fetched::Error(error));
    }
    shared.notify();
}
