//! What is said about each part of a pipeline, and from that about the whole.

use std::time::Duration;

use ::kafka::formats::commit_metadata::AuditCounts;

use super::surplus::surplus;
use super::{Observed, Said, Truth, Workload};
use crate::build::{Role, selector_text};
use crate::kafka::Reading;
use crate::validate::Valid;

/// Records wait and nothing is stored for so long: something is wrong.
const STALLED: Duration = Duration::from_mins(1);

/// What is said about each part.
pub(super) struct Parts {
    ready: Said,
    topics: Said,
    prepared: Said,
    sink: Said,
    processing: Said,
    generating: Said,
    audited: Said,
}

impl Parts {
    /// In the order in which things happen.
    pub(super) fn said(self) -> Vec<Said> {
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
    pub(super) fn phase(&self, observed: &Observed<'_>, valid: &Valid) -> &'static str {
        let paused = valid.pipeline.paused;
        let nothing_generated = paused.generator || valid.pipeline.generator.is_none();
        match (
            &self.ready,
            observed.obstacle.as_ref().map(|obstacle| obstacle.reason),
        ) {
            (_, Some("Deleting")) => "Deleting",
            (_, Some(_)) => "Blocked",
            _ if paused.workers && nothing_generated => "Paused",
            (
                Said {
                    truth: Truth::True,
                    reason: "Complete",
                    ..
                },
                _,
            ) => "Complete",
            (
                Said {
                    truth: Truth::True, ..
                },
                _,
            ) if paused.generator => "Paused",
            (
                Said {
                    truth: Truth::True, ..
                },
                _,
            ) => "Running",
            _ if self.topics.truth != Truth::True && observed.worker.state.is_none() => "Pending",
            (
                Said {
                    reason: "Preparing" | "WaitingForTopics",
                    ..
                },
                _,
            ) => "Preparing",
            (
                Said {
                    reason: "Starting" | "Updating" | "WaitingForWorkers",
                    ..
                },
                _,
            ) => "Starting",
            (Said { reason: "Paused", .. }, _) => "Paused",
            _ => "Failing",
        }
    }
}

/// The last look at Kafka, if it is not older than two looks may take.
pub(super) fn fresh<'a>(observed: &'a Observed<'_>) -> Option<&'a Reading> {
    let last = observed.kafka.history.last()?;
    let age = observed.now.saturating_duration_since(last.at);
    (age <= observed.interval * 3 + Duration::from_secs(5)).then_some(last)
}

pub(super) fn parts(observed: &Observed<'_>, valid: &Valid) -> Parts {
    let topics = topics(observed, valid);
    let prepared = prepared(observed, &topics);
    let processing = processing(observed, valid, &prepared);
    let sink = sink(&prepared, &processing);
    let generating = generating(observed, valid, &processing);
    let audited = audited(observed, valid);
    let ready = ready(observed, [&topics, &prepared, &processing, &generating]);
    Parts {
        ready,
        topics,
        prepared,
        sink,
        processing,
        generating,
        audited,
    }
}

fn topics(observed: &Observed<'_>, valid: &Valid) -> Said {
    let say = |truth, reason, message: String| Said::new("TopicsReady", truth, reason, message);
    match (&observed.kafka.topics, &observed.kafka.problem) {
        (Some(Err(problem)), _) => say(Truth::False, problem.kind.as_str(), problem.message.clone()),
        (_, Some(problem)) => say(Truth::Unknown, problem.kind.as_str(), problem.message.clone()),
        (None, None) => say(
            Truth::Unknown,
            "Connecting",
            "Kafka has not answered yet".to_owned(),
        ),
        (Some(Ok(partitions)), None) => {
            let topics: Vec<String> = valid
                .pipeline
                .topics
                .iter()
                .zip(partitions)
                .map(|(topic, partitions)| format!("{} has {partitions} partition(s)", topic.name))
                .collect();
            say(Truth::True, "AsDeclared", topics.join(", "))
        }
    }
}

fn prepared(observed: &Observed<'_>, topics: &Said) -> Said {
    let say = |truth, reason, message: String| Said::new("Prepared", truth, reason, message);
    let trouble = observed.job_pods.trouble.as_deref();
    match &observed.job {
        Some(job) if job.complete => say(
            Truth::True,
            "Complete",
            "the tables are there and references are loaded".to_owned(),
        ),
        Some(job) if job.failed => {
            let again = match observed.retry_in {
                Some(pause) => format!(
                    "it is tried again in at most {} s",
                    pause.as_secs().next_multiple_of(20).max(20)
                ),
                None => "it is tried again".to_owned(),
            };
            let trouble = trouble.unwrap_or("the program failed; look at the log of its pod");
            say(Truth::False, "PrepareFailed", format!("{trouble}; {again}"))
        }
        Some(_) => match trouble {
            Some(trouble) => say(Truth::False, "PrepareHindered", trouble.to_owned()),
            None => say(
                Truth::False,
                "Preparing",
                "tables are created and references are loaded".to_owned(),
            ),
        },
        None if topics.truth == Truth::True => say(
            Truth::False,
            "Preparing",
            "the Job that creates tables is being started".to_owned(),
        ),
        None => say(
            Truth::False,
            "WaitingForTopics",
            "tables are created once the topics are there".to_owned(),
        ),
    }
}

/// The operator does not talk to sinks: it tells what the programs that do have shown.
fn sink(prepared: &Said, processing: &Said) -> Said {
    let say = |truth, reason, message: &str| Said::new("SinkReady", truth, reason, message);
    match (prepared, processing) {
        (
            _,
            Said {
                truth: Truth::True, ..
            },
        ) => say(Truth::True, "Stored", "the workers reach the sink"),
        (
            Said {
                reason: "PrepareFailed",
                message,
                ..
            },
            _,
        ) => say(Truth::False, "PrepareFailed", message),
        (
            _,
            Said {
                reason: "WorkersFailing" | "Stalled",
                message,
                ..
            },
        ) => say(Truth::Unknown, "WorkersFailing", message),
        (
            Said {
                truth: Truth::True, ..
            },
            _,
        ) => say(
            Truth::True,
            "Prepared",
            "the tables could be created; no worker has used them since",
        ),
        _ => say(
            Truth::Unknown,
            "NotReached",
            "nothing has been done with the sink yet",
        ),
    }
}

fn processing(observed: &Observed<'_>, valid: &Valid, prepared: &Said) -> Said {
    let say = |truth, reason, message: String| Said::new("Processing", truth, reason, message);
    let worker = &observed.worker;
    if valid.pipeline.paused.workers {
        let message = "spec.paused.workers is true: nothing is stored; set it to false to go on";
        return say(Truth::False, "Paused", message.to_owned());
    }
    if worker.state.is_none() {
        return say(
            Truth::False,
            "WaitingForPrepare",
            "workers are started once the tables are there".to_owned(),
        );
    }
    if !worker.current && prepared.truth != Truth::True {
        let message = format!(
            "{} worker(s) go on with the previous manifest until the tables of the new one are there",
            worker.available()
        );
        return say(Truth::False, "WaitingForPrepare", message);
    }
    // Scaled to zero: that is as it should be as long as nothing waits.
    let idle = worker.wanted == 0 && worker.current;
    if idle && fresh(observed).and_then(Reading::lag) == Some(0) {
        let message = "everything is stored; workers are started when records come";
        return say(Truth::True, "Idle", message.to_owned());
    }
    if !worker.serves() {
        return coming(worker, "Processing", "worker", "WorkersFailing");
    }
    let Some(reading) = fresh(observed) else {
        let why = observed
            .kafka
            .problem
            .as_ref()
            .map_or("Kafka has not been looked at yet", |it| it.message.as_str());
        let reason = observed
            .kafka
            .problem
            .as_ref()
            .map_or("Connecting", |problem| problem.kind.as_str());
        return say(
            Truth::Unknown,
            reason,
            format!("whether records are stored is not known: {why}"),
        );
    };
    let workers = format!(
        "{} of {} worker(s) ready{}",
        worker.available(),
        worker.wanted,
        surplus(worker.wanted, partitions(observed), &valid.pipeline.scaling)
    );
    let rate = observed.kafka.history.rate();
    match (reading.lag(), rate) {
        (Some(0), _) => say(
            Truth::True,
            "UpToDate",
            format!("everything is stored; {workers}"),
        ),
        (None, _) => {
            let message = "some partition has no leader, so its lag is not known; look at the brokers";
            say(Truth::Unknown, "PartitionWithoutLeader", message.to_owned())
        }
        (Some(_), Some(rate)) if rate > 0.0 => say(
            Truth::True,
            "Storing",
            format!("records are being stored; {workers}"),
        ),
        (Some(lag), _) => {
            let history = &observed.kafka.history;
            let idle = history
                .progress()
                .map(|progress| observed.now.saturating_duration_since(progress));
            if idle.is_some_and(|idle| idle < STALLED) {
                say(
                    Truth::True,
                    "Storing",
                    format!("records are being stored; {workers}"),
                )
            } else if idle.is_none() && history.seen_for(observed.now) < STALLED {
                say(
                    Truth::Unknown,
                    "Starting",
                    format!("no record has been stored yet; {workers}"),
                )
            } else {
                stalled(valid, lag)
            }
        }
    }
}

/// Of all topics together; 0 before they are known.
fn partitions(observed: &Observed<'_>) -> u32 {
    let topics = observed
        .kafka
        .topics
        .as_ref()
        .and_then(|topics| topics.as_ref().ok());
    let known = topics.into_iter().flatten();
    known
        .filter_map(|partitions| u32::try_from(*partitions).ok())
        .sum()
}

fn stalled(valid: &Valid, lag: u64) -> Said {
    let selector = selector_text(valid.pipeline.name.as_str(), Role::Worker);
    let message = format!(
        "{lag} record(s) wait and none has been stored for a minute; look at the workers: kubectl logs -n {} -l {selector}",
        valid.namespace
    );
    Said::new("Processing", Truth::False, "Stalled", message)
}

/// A Deployment none of whose new pods works yet.
fn coming(workload: &Workload<'_>, kind: &'static str, noun: &str, failing: &'static str) -> Said {
    if let Some(trouble) = &workload.pods.trouble {
        return Said::new(kind, Truth::False, failing, trouble.clone());
    }
    let ready = workload.available();
    let wanted = workload.wanted;
    Said::new(
        kind,
        Truth::False,
        "Starting",
        format!("{ready} of {wanted} {noun}(s) ready"),
    )
}

fn generating(observed: &Observed<'_>, valid: &Valid, processing: &Said) -> Said {
    let say = |truth, reason, message: String| Said::new("Generating", truth, reason, message);
    let Some(generator) = &valid.pipeline.generator else {
        return say(
            Truth::False,
            "NotConfigured",
            "there is no spec.generator: others fill the topics".to_owned(),
        );
    };
    if generator.paused {
        let message =
            "the generator is paused; set spec.paused.generator and spec.generator.paused to false to go on";
        return say(Truth::False, "Paused", message.to_owned());
    }
    if observed.complete {
        let message = "spec.generator.limit is reached; everything has been produced";
        return say(Truth::False, "Complete", message.to_owned());
    }
    let workload = &observed.generator;
    if workload.state.is_none() || !workload.current {
        let message = format!(
            "the generator starts when workers store; they are {}",
            processing.reason
        );
        return say(Truth::False, "WaitingForWorkers", message);
    }
    if !workload.serves() {
        return coming(workload, "Generating", "generator", "GeneratorFailing");
    }
    let message = format!("{} event(s) a second into {}", generator.rate, generator.topic);
    let reason = if workload.rolled_out() {
        "Producing"
    } else {
        "Updating"
    };
    say(Truth::True, reason, message)
}

fn audited(observed: &Observed<'_>, valid: &Valid) -> Said {
    let say = |truth, reason, message: String| Said::new("Audited", truth, reason, message);
    if valid.pipeline.generator.is_none() {
        let message = "only generated records are numbered, so nothing can be told about these";
        return say(Truth::Unknown, "NotNumbered", message.to_owned());
    }
    match observed
        .kafka
        .history
        .last()
        .filter(|reading| reading.reports > 0)
    {
        None => say(
            Truth::Unknown,
            "NothingStored",
            "nothing has been stored yet".to_owned(),
        ),
        Some(reading) if reading.audit.missing == 0 && reading.audit.doubled == 0 => say(
            Truth::True,
            "Exact",
            "no record is missing and none is doubled".to_owned(),
        ),
        Some(reading) => {
            let message = format!(
                "{}; `streampipeline audit` names the records",
                audit_text(&reading.audit)
            );
            say(Truth::False, "Inexact", message)
        }
    }
}

pub(super) fn audit_text(audit: &AuditCounts) -> String {
    format!("missing {}, doubled {}", audit.missing, audit.doubled)
}

/// Ready means that rows flow, by the manifest as it is now.
fn ready(observed: &Observed<'_>, [topics, prepared, processing, generating]: [&Said; 4]) -> Said {
    if let Some(obstacle) = &observed.obstacle {
        return Said::new("Ready", Truth::False, obstacle.reason, obstacle.message.clone());
    }
    let rests = matches!(generating.reason, "NotConfigured" | "Complete" | "Paused");
    let first = [topics, prepared, processing]
        .into_iter()
        .find(|said| said.truth != Truth::True)
        .or_else(|| (generating.truth != Truth::True && !rests).then_some(generating));
    match first {
        Some(said) => {
            // Not known is not ready.
            Said::new("Ready", Truth::False, said.reason, said.message.clone())
        }
        None if generating.reason == "Complete" && processing.reason == "UpToDate" => Said::new(
            "Ready",
            Truth::True,
            "Complete",
            "everything has been produced and stored",
        ),
        None => Said::new("Ready", Truth::True, "RowsFlow", processing.message.clone()),
    }
}
