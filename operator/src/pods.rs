//! What pods say about why they do not work.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use kube::ResourceExt;

use crate::names::CONFIG_HASH;

/// What is wrong with pods of one role, in one line, and whether all of them have done what they were to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PodSummary {
    /// What the newest pod that does not work says.
    pub(crate) failure: Option<String>,
    /// The exit code of that pod's program, if it has ended.
    pub(crate) exit_code: Option<i32>,
    /// How many pods have ended with exit code 0, by the hash of the configuration that they had.
    pub(crate) completed: BTreeMap<String, u32>,
}

/// Longest quotation in a condition, in characters.
const LONGEST: usize = 600;

/// Reads the statuses of pods of one role.
#[must_use]
pub(crate) fn summarize(pods: &[Pod]) -> PodSummary {
    let mut summary = PodSummary::default();
    let mut pods: Vec<&Pod> = pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .collect();
    // The newest pod tells what is wrong now.
    pods.sort_by_key(|pod| std::cmp::Reverse(pod.metadata.creation_timestamp.clone()));
    for pod in pods {
        let container = pod
            .status
            .as_ref()
            .and_then(|status| status.container_statuses.as_ref())
            .and_then(|containers| containers.first());
        if container.is_some_and(completed) {
            let hash = pod.annotations().get(CONFIG_HASH).cloned().unwrap_or_default();
            *summary.completed.entry(hash).or_default() += 1;
            continue;
        }
        if summary.failure.is_none()
            && let Some((failure, exit_code)) =
                container.and_then(container_failure).or_else(|| pod_failure(pod))
        {
            summary.failure = Some(format!("{}: {failure}", pod.name_any()));
            summary.exit_code = exit_code;
        }
    }
    summary
}

/// The last time that the program ran, it ended well.
fn completed(container: &ContainerStatus) -> bool {
    let ended = |state: &Option<ContainerState>| {
        state
            .as_ref()
            .and_then(|state| state.terminated.as_ref())
            .map(|ended| ended.exit_code)
    };
    !container.ready && ended(&container.state).or_else(|| ended(&container.last_state)) == Some(0)
}

fn container_failure(container: &ContainerStatus) -> Option<(String, Option<i32>)> {
    let state = container.state.as_ref()?;
    let ended = [Some(state), container.last_state.as_ref()]
        .into_iter()
        .flatten()
        .find_map(|state| state.terminated.as_ref())
        .filter(|ended| ended.exit_code != 0);
    if let Some(ended) = ended {
        let code = Some(ended.exit_code);
        if ended.reason.as_deref() == Some("OOMKilled") {
            let text = "it was ended for using more memory than its limit; raise resources.limits.memory in spec.pods";
            return Some((text.to_owned(), code));
        }
        let words = ended.message.as_deref().map_or_else(
            || format!("it ended with exit code {}", ended.exit_code),
            last_words,
        );
        return Some((words, code));
    }
    let waiting = state.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().unwrap_or_default();
    let remedy = match reason {
        "ContainerCreating" | "PodInitializing" => return None,
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
            "; check spec.image and spec.pods.imagePullSecrets"
        }
        _ => "",
    };
    let message = waiting.message.as_deref().unwrap_or_default();
    Some((format!("{reason}: {}{remedy}", shortened(message)), None))
}

fn pod_failure(pod: &Pod) -> Option<(String, Option<i32>)> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let unscheduled = conditions
        .iter()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
    let message = unscheduled.message.as_deref().unwrap_or_default();
    Some((format!("no node takes it: {}", shortened(message)), None))
}

/// The error that a program ends with, without the log lines before it.
fn last_words(log: &str) -> String {
    let error = log
        .rfind("error: ")
        .filter(|at| *at == 0 || log[..*at].ends_with('\n'));
    let text = match error {
        Some(at) => log.get(at + "error: ".len()..).unwrap_or(log),
        None => log.trim_end().lines().last().unwrap_or(log),
    };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    shortened(&lines.join(" "))
}

fn shortened(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(yaml: &str) -> PodSummary {
        summarize(&serde_yaml::from_str::<Vec<Pod>>(yaml).unwrap())
    }

    #[test]
    fn the_error_is_quoted_without_the_log() {
        let seen = pods(
            r#"
- metadata: {name: music-prepare-1}
  status:
    containerStatuses:
      - {name: prepare, ready: false, image: i, imageID: i, restartCount: 0, state: {terminated: {exitCode: 2, message: "{\"level\":\"INFO\"}\nerror: spec.tables[0].sql: no such column\n  because: x\n"}}}
"#,
        );
        assert_eq!(
            seen.failure.as_deref(),
            Some("music-prepare-1: spec.tables[0].sql: no such column because: x")
        );
        assert_eq!(seen.exit_code, Some(2));
    }

    #[test]
    fn memory_images_and_nodes_come_with_a_remedy() {
        for (status, expected) in [
            (
                "containerStatuses: [{name: w, ready: false, image: i, imageID: i, restartCount: 1, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 137, reason: OOMKilled}}}]",
                "p: it was ended for using more memory than its limit; raise resources.limits.memory in spec.pods",
            ),
            (
                "containerStatuses: [{name: w, ready: false, image: i, imageID: i, restartCount: 0, state: {waiting: {reason: ErrImagePull, message: not found}}}]",
                "p: ErrImagePull: not found; check spec.image and spec.pods.imagePullSecrets",
            ),
            (
                "conditions: [{type: PodScheduled, status: 'False', message: 0/3 nodes are available}]",
                "p: no node takes it: 0/3 nodes are available",
            ),
        ] {
            let seen = pods(&format!("- metadata: {{name: p}}\n  status: {{{status}}}\n"));
            assert_eq!(seen.failure.as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_starts_or_has_ended_well_is_no_trouble() {
        let seen = pods(
            "
- metadata: {name: a}
  status: {containerStatuses: [{name: w, ready: false, image: i, imageID: i, restartCount: 0, state: {waiting: {reason: ContainerCreating}}}]}
- metadata: {name: b, annotations: {streampipeline.dev/config-hash: h}}
  status: {containerStatuses: [{name: w, ready: false, image: i, imageID: i, restartCount: 3, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 0}}}]}
",
        );
        assert_eq!(seen.failure, None);
        assert_eq!(seen.completed.get("h"), Some(&1));
    }
}
