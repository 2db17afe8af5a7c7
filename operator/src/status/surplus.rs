//! Workers that a manifest asks for and that can have nothing to do.

use api::Scaling;

/// What is said of them after "n of m worker(s) ready"; empty where each can have a partition. The scaler never decides on
/// so many by itself.
pub(super) fn surplus(workers: u32, partitions: u32, scaling: &Scaling) -> String {
    // None are known before Kafka has answered.
    if partitions == 0 || workers <= partitions {
        return String::new();
    }
    let path = if scaling.replicas.is_some() {
        "spec.scaling.replicas"
    } else if workers == scaling.min {
        "spec.scaling.min"
    } else {
        "spec.scaling.windows"
    };
    format!(
        ", {} more than the {partitions} partition(s) keep busy; lower {path}, or raise the partitions of a topic",
        workers - partitions
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_has_nothing_to_do_without_a_partition() {
        for (scaling, workers, partitions, expected) in [
            ("{replicas: 4}", 4, 4, ""),
            ("{replicas: 4}", 4, 0, ""),
            (
                "{replicas: 9}",
                9,
                4,
                ", 5 more than the 4 partition(s) keep busy; lower spec.scaling.replicas, or raise the partitions of a topic",
            ),
            (
                "{min: 5}",
                5,
                4,
                ", 1 more than the 4 partition(s) keep busy; lower spec.scaling.min, or raise the partitions of a topic",
            ),
            (
                "{windows: [{schedule: '0 18 * * *', duration: 5h, min: 6}]}",
                6,
                4,
                ", 2 more than the 4 partition(s) keep busy; lower spec.scaling.windows, or raise the partitions of a topic",
            ),
        ] {
            let scaling = crate::testing::pipeline(&format!("scaling: {scaling}")).scaling;
            assert_eq!(surplus(workers, partitions, &scaling), expected);
        }
    }
}
