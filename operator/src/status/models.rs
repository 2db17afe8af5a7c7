//! When each model ran, and whether one does not.

use api::crd::ModelStatus;

use super::condition::{Condition, ConditionStatus};
use super::input::{ObservedModel, StatusInput};
use crate::names::{Role, selector_text};

impl ObservedModel {
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

pub(super) fn statuses(models: &[ObservedModel]) -> Vec<ModelStatus> {
    models
        .iter()
        .map(|model| ModelStatus {
            name: model.name.clone(),
            last_run: model.state.as_ref().and_then(|state| state.last_run.clone()),
            last_success: model.state.as_ref().and_then(|state| state.last_success.clone()),
        })
        .collect()
}

/// `None` for a pipeline without models.
pub(super) fn condition(input: &StatusInput<'_>) -> Option<Condition> {
    let models_run =
        |status, reason, message: String| Some(Condition::new("ModelsRun", status, reason, message));
    let those = |are: fn(&ObservedModel) -> bool| {
        let names = input.models.iter().filter(|model| are(model));
        names
            .map(|model| model.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    if input.models.is_empty() {
        return None;
    }
    let failed = those(ObservedModel::failed);
    if !failed.is_empty() {
        let selector = selector_text(input.valid.pipeline.name.as_str(), Some(Role::Model));
        let message = format!(
            "the last run of {failed} failed; its table has the rows of the run before, and the next run is as scheduled; \
             look at the log: kubectl logs -n {} -l {selector}",
            input.valid.namespace
        );
        return models_run(ConditionStatus::False, "ModelFailed", message);
    }
    if input.valid.pipeline.paused.workers {
        let message = "models do not run while spec.paused.workers is true";
        return models_run(ConditionStatus::False, "Paused", message.to_owned());
    }
    let waiting = those(|model| !model.succeeded());
    if !waiting.is_empty() {
        let message = format!("{waiting} will run for the first time as scheduled");
        return models_run(ConditionStatus::Unknown, "NotRunYet", message);
    }
    models_run(
        ConditionStatus::True,
        "AsScheduled",
        "the last run of each model ended well".to_owned(),
    )
}
