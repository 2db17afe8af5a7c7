//! How many workers there are to be.

use api::{Pipeline, ScalingMode};

/// The number of workers. `decided` is what the scaler has decided last, if there is one and it has.
///
/// A pinned number goes before every decision; a decision only counts where it may be applied, and within the bounds
/// that stand in the manifest now.
#[must_use]
pub(crate) fn desired_workers(pipeline: &Pipeline, decided: Option<u32>) -> u32 {
    let scaling = &pipeline.scaling;
    if pipeline.paused.workers {
        return 0;
    }
    match (scaling.replicas, decided) {
        (Some(pinned), _) => pinned,
        (None, Some(decided)) if scaling.mode == ScalingMode::Auto => {
            // A window's bounds are the scaler's to know; those that hold always are held to at once.
            if scaling.windows.is_empty() {
                decided.clamp(scaling.min, scaling.max.max(scaling.min))
            } else {
                decided
            }
        }
        (None, _) => scaling.min,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_then_decided_then_least() {
        for (scaling, decided, expected) in [
            ("{min: 2, max: 6}", None, 2),
            ("{min: 2, max: 6}", Some(4), 4),
            ("{min: 2, max: 6}", Some(9), 6),
            ("{min: 2, max: 6}", Some(1), 2),
            ("{min: 2, max: 6, replicas: 3}", Some(5), 3),
            ("{min: 2, max: 6, mode: Recommend}", Some(5), 2),
            ("{min: 2, max: 6, mode: 'Off'}", Some(5), 2),
        ] {
            let pipeline = crate::testing::pipeline(&format!("scaling: {scaling}"));
            assert_eq!(
                desired_workers(&pipeline, decided),
                expected,
                "{scaling} {decided:?}"
            );
        }
    }

    #[test]
    fn paused_workers_are_none() {
        let pipeline = crate::testing::pipeline("scaling: {replicas: 3}\n  paused: {workers: true}");
        assert_eq!(desired_workers(&pipeline, Some(2)), 0);
    }
}
