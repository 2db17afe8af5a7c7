//! Processor time and memory of pods.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::amount::{AmountError, AmountText, parse_amount};
use crate::problem::Collector;
use crate::rule::RuleText;

const MORE_CPU_THAN_LIMIT: RuleText = RuleText {
    problem: "more processor time is requested than the limit allows",
    remedy: "lower requests.cpu or raise limits.cpu",
};
const MORE_MEMORY_THAN_LIMIT: RuleText = RuleText {
    problem: "more memory is requested than the limit allows",
    remedy: "lower requests.memory or raise limits.memory",
};
const NO_CPU: RuleText = RuleText {
    problem: "no program runs without processor time",
    remedy: "set at least 1m",
};
const LITTLE_MEMORY: RuleText = RuleText {
    problem: "no program of the pipeline runs in so little memory",
    remedy: "set at least 32Mi",
};

/// Thousandths of a byte in 32Mi.
const LEAST_MEMORY: u128 = (32 << 20) * 1000;

/// Processor time and memory of one pod.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(
    "!has(self.requests) || !has(self.limits) || !has(self.requests.cpu) || !has(self.limits.cpu) \
     || quantity(self.requests.cpu).compareTo(quantity(self.limits.cpu)) <= 0"
).message(MORE_CPU_THAN_LIMIT).field_path(".requests"))]
#[x_kube(validation = Rule::new(
    "!has(self.requests) || !has(self.limits) || !has(self.requests.memory) || !has(self.limits.memory) \
     || quantity(self.requests.memory).compareTo(quantity(self.limits.memory)) <= 0"
).message(MORE_MEMORY_THAN_LIMIT).field_path(".requests"))]
pub struct ResourcesSpec {
    /// What a node has to have left for the pod. Absent: as much as the limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<AmountsSpec>,
    /// What the pod may use at most: more processor time is not given, and more memory ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<AmountsSpec>,
}

/// Amounts of processor time and memory.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AmountsSpec {
    /// Processors, in quotes where it is a mere number. Examples: `500m` (half a processor), `"2"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("quantity(self).compareTo(quantity('1m')) >= 0").message(NO_CPU))]
    pub cpu: Option<AmountText>,
    /// Memory, at least `32Mi`. Examples: `512Mi`, `2Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("quantity(self).compareTo(quantity('32Mi')) >= 0").message(LITTLE_MEMORY))]
    pub memory: Option<AmountText>,
}

/// Processor time and memory of a pod, as Kubernetes writes them, by `cpu` and `memory`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resources {
    /// What a node has to have left.
    pub requests: BTreeMap<&'static str, String>,
    /// What the pod may use at most.
    pub limits: BTreeMap<&'static str, String>,
}

pub(super) fn resources(
    spec: Option<ResourcesSpec>,
    (cpu, memory): (&str, &str),
    path: &str,
    problems: &mut Collector,
) -> Resources {
    let Some(ResourcesSpec { requests, limits }) = spec else {
        let amounts = |cpu: &str| BTreeMap::from([("cpu", cpu.to_owned()), ("memory", memory.to_owned())]);
        return Resources {
            requests: amounts(cpu),
            limits: amounts("2"),
        };
    };
    let (requests, requested) = amounts(
        requests.unwrap_or_default(),
        &format!("{path}.requests"),
        problems,
    );
    let (limits, limited) = amounts(limits.unwrap_or_default(), &format!("{path}.limits"), problems);
    let more = |what: &str| {
        requested
            .get(what)
            .zip(limited.get(what))
            .is_some_and(|(request, limit)| request > limit)
    };
    if more("cpu") {
        problems.broken(format!("{path}.requests.cpu"), MORE_CPU_THAN_LIMIT);
    }
    if more("memory") {
        problems.broken(format!("{path}.requests.memory"), MORE_MEMORY_THAN_LIMIT);
    }
    Resources { requests, limits }
}

/// What was written, and the same in thousandths.
fn amounts(
    spec: AmountsSpec,
    path: &str,
    problems: &mut Collector,
) -> (BTreeMap<&'static str, String>, BTreeMap<&'static str, u128>) {
    let AmountsSpec { cpu, memory } = spec;
    let (mut texts, mut numbers) = (BTreeMap::new(), BTreeMap::new());
    let bounds: [(&'static str, Option<AmountText>, u128, RuleText); 2] = [
        ("cpu", cpu, 1, NO_CPU),
        ("memory", memory, LEAST_MEMORY, LITTLE_MEMORY),
    ];
    for (what, amount, least, rule) in bounds {
        let Some(AmountText(text)) = amount else { continue };
        match parse_amount(&text) {
            Ok(number) if number < least => problems.broken(format!("{path}.{what}"), rule),
            Ok(number) => drop(numbers.insert(what, number)),
            Err(error) => problems.add(format!("{path}.{what}"), error.to_string(), AmountError::REMEDY),
        }
        texts.insert(what, text);
    }
    (texts, numbers)
}
