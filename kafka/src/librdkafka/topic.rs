//! A topic as it should be, and what is to be done about it: decisions only.

use std::collections::BTreeMap;

/// A topic as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlan {
    /// As in `spec.topics[].name`.
    pub name: String,
    /// Partitions that it should have at least.
    pub partitions: i32,
    /// Replicas of each partition; only used when it is created.
    pub replication_factor: i16,
    /// Kafka topic configuration; only used when it is created.
    pub config: BTreeMap<String, String>,
}

/// What was done about a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicOutcome {
    /// It was not there.
    Created {
        /// Partitions that it has now.
        partitions: i32,
    },
    /// It had too few partitions.
    Raised {
        /// Partitions that it had.
        from: i32,
        /// Partitions that it has now.
        to: i32,
    },
    /// It had enough partitions, possibly more than planned.
    Unchanged {
        /// Partitions that it has.
        partitions: i32,
    },
}

impl From<&api::Topic> for TopicPlan {
    fn from(topic: &api::Topic) -> Self {
        Self {
            name: topic.name.as_str().to_owned(),
            partitions: topic.partitions,
            replication_factor: topic.replication_factor,
            config: topic.config.clone(),
        }
    }
}

/// What is to be done about a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Create,
    Raise,
    Nothing,
}

pub(super) fn step(plan: &TopicPlan, partitions: Option<i32>) -> Step {
    match partitions {
        None => Step::Create,
        Some(partitions) if partitions < plan.partitions => Step::Raise,
        Some(_) => Step::Nothing,
    }
}

/// What must have been done, by whomever, to come from `before` to `now`.
pub(super) fn outcome(before: Option<i32>, now: Option<i32>) -> TopicOutcome {
    let now = now.unwrap_or(0);
    match before {
        None => TopicOutcome::Created { partitions: now },
        Some(before) if before < now => TopicOutcome::Raised {
            from: before,
            to: now,
        },
        Some(_) => TopicOutcome::Unchanged { partitions: now },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_created_and_raised_and_never_lowered() {
        let plan = TopicPlan {
            name: "t".to_owned(),
            partitions: 12,
            replication_factor: 1,
            config: BTreeMap::new(),
        };
        for (partitions, expected) in [
            (None, Step::Create),
            (Some(4), Step::Raise),
            (Some(12), Step::Nothing),
            (Some(20), Step::Nothing),
        ] {
            assert_eq!(step(&plan, partitions), expected, "{partitions:?}");
        }
        assert_eq!(outcome(None, Some(12)), TopicOutcome::Created { partitions: 12 });
        assert_eq!(
            outcome(Some(4), Some(12)),
            TopicOutcome::Raised { from: 4, to: 12 }
        );
        assert_eq!(
            outcome(Some(20), Some(20)),
            TopicOutcome::Unchanged { partitions: 20 }
        );
    }
}
