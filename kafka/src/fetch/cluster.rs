//! Asking the cluster where its topics are.

use std::sync::Arc;

use kafka_protocol::messages::MetadataResponse;

use super::chunk::Fetched;
use super::shared::Shared;
use crate::broker::{ConnectionError, about_topics};

/// Asks one broker about `topics`, takes the answer in, and tells of what it means. `anew` asks another broker than
/// the last time. A failure is reported.
pub(super) async fn ask(
    shared: &Shared,
    topics: &[Arc<str>],
    anew: bool,
) -> Result<MetadataResponse, ConnectionError> {
    let answer = {
        let mut anyone = shared.anyone.lock().await;
        if anew {
            anyone.forget();
        }
        let learned = || shared.assignment().brokers().cloned().collect();
        let request = about_topics(topics.iter().map(AsRef::as_ref));
        anyone.ask(&shared.access, learned, &request, i16::MAX).await
    };
    match answer {
        Ok(answer) => {
            learn(shared, &answer);
            Ok(answer)
        }
        Err((address, error)) => {
            shared.report_connection(&address, &error);
            Err(error)
        }
    }
}

fn learn(shared: &Shared, answer: &MetadataResponse) {
    let learned = shared.assignment().learn(answer);
    shared.works();
    for (code, text) in &learned.problems {
        shared.report(*code, text);
    }
    for trouble in learned.troubles {
        shared.hand_over(Fetched::Trouble(trouble));
    }
    shared.notify();
}
