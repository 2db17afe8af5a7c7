//! Whether events are produced, and whether what was produced is stored exactly.

use ::kafka::formats::commit_metadata::AuditCounts;

use super::condition::{Condition, ConditionStatus};
use super::input::StatusInput;
use super::processing::coming;

pub(super) fn generating(input: &StatusInput<'_>, processing: &Condition) -> Condition {
    let condition = |status, reason, message: String| Condition::new("Generating", status, reason, message);
    let Some(generator) = &input.valid.pipeline.generator else {
        return condition(
            ConditionStatus::False,
            "NotConfigured",
            "there is no spec.generator: others fill the topics".to_owned(),
        );
    };
    if generator.paused {
        let message =
            "the generator is paused; set spec.paused.generator and spec.generator.paused to false to go on";
        return condition(ConditionStatus::False, "Paused", message.to_owned());
    }
    if input.complete {
        let message = "spec.generator.limit is reached; everything has been produced";
        return condition(ConditionStatus::False, "Complete", message.to_owned());
    }
    let workload = &input.generator;
    if workload.state.is_none() || !workload.current {
        let message = format!(
            "the generator starts when workers store; they are {}",
            processing.reason
        );
        return condition(ConditionStatus::False, "WaitingForWorkers", message);
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
    condition(ConditionStatus::True, reason, message)
}

pub(super) fn audited(input: &StatusInput<'_>) -> Condition {
    let condition = |status, reason, message: String| Condition::new("Audited", status, reason, message);
    if input.valid.pipeline.generator.is_none() {
        let message = "only generated records are numbered, so nothing can be told about these";
        return condition(ConditionStatus::Unknown, "NotNumbered", message.to_owned());
    }
    match input.kafka.history.last().filter(|reading| reading.reports > 0) {
        None => condition(
            ConditionStatus::Unknown,
            "NothingStored",
            "nothing has been stored yet".to_owned(),
        ),
        Some(reading) if reading.audit.missing == 0 && reading.audit.doubled == 0 => condition(
            ConditionStatus::True,
            "Exact",
            "no record is missing and none is doubled".to_owned(),
        ),
        Some(reading) => {
            let message = format!(
                "{}; `streampipeline audit` names the records",
                audit_text(&reading.audit)
            );
            condition(ConditionStatus::False, "Inexact", message)
        }
    }
}

pub(super) fn audit_text(audit: &AuditCounts) -> String {
    format!("missing {}, doubled {}", audit.missing, audit.doubled)
}
