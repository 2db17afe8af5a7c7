//! The condition about models.

use super::*;

fn model(name: &str, ran: Option<i64>, succeeded: Option<i64>, running: bool) -> ObservedModel {
    let time = |second: i64| Time(Timestamp::from_second(second).unwrap());
    ObservedModel {
        name: name.to_owned(),
        state: Some(CronJobState {
            last_run: ran.map(time),
            last_success: succeeded.map(time),
            running,
        }),
    }
}

#[test]
fn a_model_that_does_not_run_is_told() {
    let well = || model("well", Some(60), Some(65), false);
    for (other, expected) in [
        (well(), "ModelsRun=True AsScheduled"),
        (
            model("other", Some(120), Some(65), true),
            "ModelsRun=True AsScheduled",
        ),
        (
            model("other", Some(120), Some(65), false),
            "ModelsRun=False ModelFailed",
        ),
        (
            model("other", Some(60), None, false),
            "ModelsRun=False ModelFailed",
        ),
        (
            model("other", Some(60), None, true),
            "ModelsRun=Unknown NotRunYet",
        ),
        (model("other", None, None, false), "ModelsRun=Unknown NotRunYet"),
        (
            ObservedModel {
                name: "other".to_owned(),
                state: None,
            },
            "ModelsRun=Unknown NotRunYet",
        ),
    ] {
        let mut situation = at_work("");
        situation.models = vec![well(), other.clone()];
        assert_eq!(
            situation.conditions(&["ModelsRun", "Ready"]),
            [expected, "Ready=True RowsFlow"],
            "{other:?}"
        );
        let models = situation.status().models;
        assert_eq!(models.len(), 2);
        assert_eq!(
            models[1].last_success,
            other.state.and_then(|state| state.last_success)
        );
        let message = situation.message("ModelsRun");
        assert!(!message.contains("well,"), "{message}");
    }
    let situation = at_work("");
    assert!(
        situation
            .status()
            .conditions
            .iter()
            .all(|condition| condition.type_ != "ModelsRun"),
        "there is none"
    );
    let mut paused = at_work("paused: {workers: true}");
    paused.models = vec![model("other", None, None, false)];
    assert_eq!(paused.conditions(&["ModelsRun"]), ["ModelsRun=False Paused"]);
}
