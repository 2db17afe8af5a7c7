//! Nodes that pods may run on.

use k8s_openapi::api::core::v1::{Affinity, Toleration};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::problem::Collector;
use crate::rule::RuleText;
use crate::schema::Reserved;

const TOLERATION_VALUE: RuleText = RuleText {
    problem: "the operator Exists takes any value",
    remedy: "remove value, or use the operator Equal",
};
const TOLERATION_KEY: RuleText = RuleText {
    problem: "the operator Equal needs a key",
    remedy: "set key, or use the operator Exists",
};

/// A taint of nodes that is put up with.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.value) || !has(self.operator) || self.operator != 'Exists'").message(TOLERATION_VALUE).field_path(".value"))]
#[x_kube(validation = Rule::new("has(self.key) || (has(self.operator) && self.operator == 'Exists')").message(TOLERATION_KEY))]
pub struct TolerationSpec {
    /// The taint's key. Absent, with the operator `Exists`: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 316))]
    pub key: Option<String>,
    /// How the taint's value is compared: `Equal` (to `value`; the default) or `Exists` (any will do).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<TolerationOperator>,
    /// The taint's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub value: Option<String>,
    /// The taint's effect: `NoSchedule`, `PreferNoSchedule` or `NoExecute`. Absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// Seconds that a pod stays on a node which gets a taint with the effect `NoExecute`. Absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800))]
    pub toleration_seconds: Option<i64>,
}

/// How a taint's value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum TolerationOperator {
    /// The value has to be the same.
    Equal,
    /// Any value will do.
    Exists,
}

/// What a taint does to pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum TaintEffect {
    /// None comes.
    NoSchedule,
    /// None comes if there is another node.
    PreferNoSchedule,
    /// None comes, and those that are there go.
    NoExecute,
}

pub(super) fn toleration(spec: TolerationSpec, path: &str, problems: &mut Collector) -> Toleration {
    let exists = spec.operator == Some(TolerationOperator::Exists);
    if exists && spec.value.is_some() {
        problems.broken(format!("{path}.value"), TOLERATION_VALUE);
    }
    if !exists && spec.key.is_none() {
        problems.broken(path, TOLERATION_KEY);
    }
    Toleration {
        key: spec.key,
        operator: spec.operator.map(|operator| match operator {
            TolerationOperator::Equal => "Equal".to_owned(),
            TolerationOperator::Exists => "Exists".to_owned(),
        }),
        value: spec.value,
        effect: spec.effect.map(|effect| match effect {
            TaintEffect::NoSchedule => "NoSchedule".to_owned(),
            TaintEffect::PreferNoSchedule => "PreferNoSchedule".to_owned(),
            TaintEffect::NoExecute => "NoExecute".to_owned(),
        }),
        toleration_seconds: spec.toleration_seconds,
    }
}

/// The schema takes any object, so that the definition stays small: here it is held to Kubernetes' own type.
pub(super) fn affinity(
    Reserved(members): Reserved,
    path: &str,
    problems: &mut Collector,
) -> Option<Affinity> {
    const REMEDY: &str = "see kubectl explain pod.spec.affinity";
    let written = Value::Object(members);
    let affinity: Affinity = match serde_json::from_value(written.clone()) {
        Ok(affinity) => affinity,
        Err(error) => {
            problems.add(path, format!("this is not an affinity: {error}"), REMEDY);
            return None;
        }
    };
    let understood = serde_json::to_value(&affinity).unwrap_or_default();
    if let Some(unknown) = not_in(&written, &understood) {
        problems.add(
            format!("{path}{unknown}"),
            "an affinity has no such member",
            REMEDY,
        );
    }
    Some(affinity)
}

/// The path of the first member of `written` that `understood` does not have.
fn not_in(written: &Value, understood: &Value) -> Option<String> {
    match (written, understood) {
        (Value::Object(written), Value::Object(understood)) => {
            written
                .iter()
                .find_map(|(name, value)| match understood.get(name) {
                    Some(same) => not_in(value, same).map(|rest| format!(".{name}{rest}")),
                    None => Some(format!(".{name}")),
                })
        }
        (Value::Array(written), Value::Array(understood)) => written
            .iter()
            .zip(understood)
            .enumerate()
            .find_map(|(index, (value, same))| not_in(value, same).map(|rest| format!("[{index}]{rest}"))),
        _ => None,
    }
}
