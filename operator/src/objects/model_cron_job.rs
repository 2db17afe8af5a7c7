//! The CronJob of a model.

use api::{Model, TableName};
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, JobTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::desired::Defaults;
use super::metadata::metadata;
use super::{job, pod};
use crate::hash;
use crate::names::{Role, labels, role_name};
use crate::validate::Valid;

/// Longest name of a CronJob: its Jobs' names add eleven characters to it, and a label holds 63.
const LONGEST_NAME: usize = 52;
/// Characters of a hash that stand for the end of a longer name.
const HASH: usize = 8;
/// A run that could not be started for so long waits for the next time.
const DEADLINE_SECONDS: i64 = 300;

pub(crate) fn build(valid: &Valid, defaults: &Defaults, model: &Model) -> CronJob {
    let template = pod::model_template(
        valid,
        defaults,
        &model.name,
        &role_name(valid.pipeline.name.as_str(), Role::Model),
    );
    let name = valid.pipeline.name.as_str();
    CronJob {
        metadata: metadata(valid, self::name(name, &model.name), Some(Role::Model)),
        spec: Some(CronJobSpec {
            schedule: model.schedule.to_string(),
            time_zone: Some("Etc/UTC".to_owned()),
            // A run that takes longer than it is to the next replaces the same rows.
            concurrency_policy: Some("Forbid".to_owned()),
            starting_deadline_seconds: Some(DEADLINE_SECONDS),
            // Nothing new is stored meanwhile, and whoever pauses workers may want the database for himself.
            suspend: Some(valid.pipeline.paused.workers),
            // One of each, for its log.
            successful_jobs_history_limit: Some(1),
            failed_jobs_history_limit: Some(1),
            job_template: JobTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels(name, Some(Role::Model))),
                    ..ObjectMeta::default()
                }),
                spec: Some(job::spec(template)),
            },
        }),
        ..CronJob::default()
    }
}

/// `<pipeline>-model-<model>`. Kubernetes' names have `-` where tables have `_`, and less room.
pub(crate) fn name(pipeline: &str, model: &TableName) -> String {
    let whole = format!("{pipeline}-model-{}", model.as_str().replace('_', "-"));
    if whole.len() <= LONGEST_NAME && !whole.ends_with('-') {
        return whole;
    }
    let hash: String = hash::of(&model.as_str().into()).chars().take(HASH).collect();
    let begin: String = whole.chars().take(LONGEST_NAME - HASH - 1).collect();
    format!("{}-{hash}", begin.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_differ() {
        let name = |pipeline: &str, model: &str| name(pipeline, &TableName::new(model).unwrap());
        assert_eq!(name("music", "recommendations"), "music-model-recommendations");
        assert_eq!(name("music", "top_tracks"), "music-model-top-tracks");
        let pipeline = "p".repeat(40);
        let long = "t".repeat(47);
        let names = [
            name(&pipeline, &format!("{long}a")),
            name(&pipeline, &format!("{long}b")),
            name(&pipeline, "a"),
            name("music", "a_"),
            name("music", "a__"),
            name("music", "a"),
        ];
        for (index, name) in names.iter().enumerate() {
            assert!(name.len() <= LONGEST_NAME && !name.ends_with('-'), "{name}");
            assert!(!names[..index].contains(name), "{name}");
        }
    }
}
