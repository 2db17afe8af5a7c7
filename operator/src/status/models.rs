//! What is told of models: when each ran, and whether one does not.

use api::crd::ModelStatus;

use super::{Observed, Said, Truth};
use crate::objects::{Role, selector_text};
use crate::validate::Valid;
use crate::watch::index::CronJobState;

/// A model with its CronJob, if that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSeen {
    /// The model.
    pub name: String,
    /// How far its CronJob is.
    pub state: Option<CronJobState>,
}

impl ModelSeen {
    /// Its last run has ended and has not ended well.
    fn failed(&self) -> bool {
        self.state.as_ref().is_some_and(|state| {
            let ran = state.last_run.as_ref();
            !state.running
                && ran.is_some_and(|ran| state.last_success.as_ref().is_none_or(|success| success < ran))
        })
    }

    fn succeeded(&self) -> bool {
        self.state
            .as_ref()
            .is_some_and(|state| state.last_success.is_some())
    }
}

pub(super) fn statuses(models: &[ModelSeen]) -> Vec<ModelStatus> {
    models
        .iter()
        .map(|model| ModelStatus {
            name: model.name.clone(),
            last_run: model.state.as_ref().and_then(|state| state.last_run.clone()),
            last_success: model.state.as_ref().and_then(|state| state.last_success.clone()),
        })
        .collect()
}

/// Nothing is said of a pipeline without models.
pub(super) fn said(observed: &Observed<'_>, valid: &Valid) -> Option<Said> {
    let say = |truth, reason, message: String| Some(Said::new("ModelsRun", truth, reason, message));
    let those = |are: fn(&ModelSeen) -> bool| {
        let names = observed.models.iter().filter(|model| are(model));
        names
            .map(|model| model.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    if observed.models.is_empty() {
        return None;
    }
    let failed = those(ModelSeen::failed);
    if !failed.is_empty() {
        let selector = selector_text(valid.pipeline.name.as_str(), Role::Model);
        let message = format!(
            "the last run of {failed} failed; its table has the rows of the run before, and the next run is as scheduled; \
             look at the log: kubectl logs -n {} -l {selector}",
            valid.namespace
        );
        return say(Truth::False, "ModelFailed", message);
    }
    if valid.pipeline.paused.workers {
        let message = "models do not run while spec.paused.workers is true";
        return say(Truth::False, "Paused", message.to_owned());
    }
    let waiting = those(|model| !model.succeeded());
    if !waiting.is_empty() {
        let message = format!("{waiting} will run for the first time as scheduled");
        return say(Truth::Unknown, "NotRunYet", message);
    }
    say(
        Truth::True,
        "AsScheduled",
        "the last run of each model ended well".to_owned(),
    )
}
