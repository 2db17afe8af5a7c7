//! `spec.paused`, `spec.image` and `spec.pods`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, Toleration};
use serde_json::Value;

use super::names::secret;
use super::problem::Report;
use crate::amount::{AmountError, AmountText, parse_amount};
use crate::crd::{
    AmountsSpec, DNS_NAME, IMAGE, LITTLE_MEMORY, MORE_CPU_THAN_LIMIT, MORE_MEMORY_THAN_LIMIT, NO_CPU,
    ONE_SERVICE_ACCOUNT, OWN_PREFIX, PodSpec, PodsSpec, Reserved, ResourcesSpec, RuleText,
    ServiceAccountSpec, StreamPipelineSpec, TOLERATION_KEY, TOLERATION_VALUE, TaintEffect,
    TolerationOperator, TolerationSpec,
};
use crate::{Paused, PodTemplate, Pods, Resources, ServiceAccount};

/// Thousandths of a byte in 32Mi.
const LEAST_MEMORY: u128 = (32 << 20) * 1000;

pub(super) fn paused(spec: &StreamPipelineSpec) -> Paused {
    let paused = spec.paused.clone().unwrap_or_default();
    let generator = spec.generator.as_ref().is_some_and(|generator| generator.paused);
    Paused {
        generator: paused.generator || generator,
        workers: paused.workers,
    }
}

pub(super) fn image(image: Option<&String>, report: &mut Report) -> Option<String> {
    let image = image?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | ':' | '@' | '-');
    let ends = |c: char| c.is_ascii_alphanumeric();
    if !image.starts_with(ends) || !image.ends_with(ends) || !image.chars().all(legal) {
        report.broken("spec.image", IMAGE);
    }
    Some(image.clone())
}

pub(super) fn pods(spec: Option<&PodsSpec>, report: &mut Report) -> Pods {
    let spec = spec.cloned().unwrap_or_default();
    let PodsSpec {
        worker,
        generator,
        prepare,
        model,
        service_account,
        image_pull_secrets,
    } = spec;
    Pods {
        worker: pod(worker, ("250m", "512Mi"), "spec.pods.worker", report),
        generator: pod(generator, ("100m", "256Mi"), "spec.pods.generator", report),
        prepare: pod(prepare, ("100m", "512Mi"), "spec.pods.prepare", report),
        model: pod(model, ("100m", "1Gi"), "spec.pods.model", report),
        service_account: self::service_account(service_account.unwrap_or_default(), report),
        image_pull_secrets: image_pull_secrets
            .iter()
            .enumerate()
            .map(|(index, reference)| {
                secret(reference, &format!("spec.pods.imagePullSecrets[{index}]"), report)
            })
            .collect(),
    }
}

fn pod(spec: PodSpec, default: (&str, &str), path: &str, report: &mut Report) -> PodTemplate {
    let PodSpec {
        labels,
        annotations,
        resources,
        node_selector,
        tolerations,
        affinity,
        priority_class_name,
    } = spec;
    own_keys(&labels, &format!("{path}.labels"), report);
    own_keys(&annotations, &format!("{path}.annotations"), report);
    for (map, member) in [(&labels, "labels"), (&node_selector, "nodeSelector")] {
        keys_and_values(map, &format!("{path}.{member}"), report);
    }
    keys(annotations.keys(), &format!("{path}.annotations"), report);
    if let Some(name) = &priority_class_name {
        dns_name(name, &format!("{path}.priorityClassName"), report);
    }
    PodTemplate {
        labels,
        annotations,
        resources: self::resources(resources, default, &format!("{path}.resources"), report),
        node_selector,
        tolerations: tolerations
            .into_iter()
            .enumerate()
            .map(|(index, toleration)| {
                self::toleration(toleration, &format!("{path}.tolerations[{index}]"), report)
            })
            .collect(),
        affinity: affinity.and_then(|affinity| self::affinity(affinity, &format!("{path}.affinity"), report)),
        priority_class: priority_class_name,
    }
}

fn resources(
    spec: Option<ResourcesSpec>,
    (cpu, memory): (&str, &str),
    path: &str,
    report: &mut Report,
) -> Resources {
    let Some(ResourcesSpec { requests, limits }) = spec else {
        let amounts = |cpu: &str| BTreeMap::from([("cpu", cpu.to_owned()), ("memory", memory.to_owned())]);
        return Resources {
            requests: amounts(cpu),
            limits: amounts("2"),
        };
    };
    let (requests, requested) = amounts(requests.unwrap_or_default(), &format!("{path}.requests"), report);
    let (limits, limited) = amounts(limits.unwrap_or_default(), &format!("{path}.limits"), report);
    let more = |what: &str| {
        requested
            .get(what)
            .zip(limited.get(what))
            .is_some_and(|(request, limit)| request > limit)
    };
    if more("cpu") {
        report.broken(format!("{path}.requests.cpu"), MORE_CPU_THAN_LIMIT);
    }
    if more("memory") {
        report.broken(format!("{path}.requests.memory"), MORE_MEMORY_THAN_LIMIT);
    }
    Resources { requests, limits }
}

/// What was written, and the same in thousandths.
fn amounts(
    spec: AmountsSpec,
    path: &str,
    report: &mut Report,
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
            Ok(number) if number < least => report.broken(format!("{path}.{what}"), rule),
            Ok(number) => drop(numbers.insert(what, number)),
            Err(error) => report.add(format!("{path}.{what}"), error.to_string(), AmountError::REMEDY),
        }
        texts.insert(what, text);
    }
    (texts, numbers)
}

fn toleration(spec: TolerationSpec, path: &str, report: &mut Report) -> Toleration {
    let exists = spec.operator == Some(TolerationOperator::Exists);
    if exists && spec.value.is_some() {
        report.broken(format!("{path}.value"), TOLERATION_VALUE);
    }
    if !exists && spec.key.is_none() {
        report.broken(path, TOLERATION_KEY);
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
fn affinity(Reserved(members): Reserved, path: &str, report: &mut Report) -> Option<Affinity> {
    const REMEDY: &str = "see kubectl explain pod.spec.affinity";
    let written = Value::Object(members);
    let affinity: Affinity = match serde_json::from_value(written.clone()) {
        Ok(affinity) => affinity,
        Err(error) => {
            report.add(path, format!("this is not an affinity: {error}"), REMEDY);
            return None;
        }
    };
    let understood = serde_json::to_value(&affinity).unwrap_or_default();
    if let Some(unknown) = not_in(&written, &understood) {
        report.add(
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

fn service_account(spec: ServiceAccountSpec, report: &mut Report) -> ServiceAccount {
    let path = "spec.pods.serviceAccount";
    let ServiceAccountSpec { name, annotations } = spec;
    if let Some(annotations) = &annotations {
        own_keys(annotations, &format!("{path}.annotations"), report);
        keys(annotations.keys(), &format!("{path}.annotations"), report);
    }
    if name.is_some() && annotations.is_some() {
        report.broken(path, ONE_SERVICE_ACCOUNT);
    }
    match name {
        Some(name) => {
            dns_name(&name, &format!("{path}.name"), report);
            ServiceAccount::Existing(name)
        }
        None => ServiceAccount::Own(annotations.unwrap_or_default()),
    }
}

fn own_keys(map: &BTreeMap<String, String>, path: &str, report: &mut Report) {
    let own = |key: &String| key.starts_with("app.kubernetes.io/") || key.starts_with("streampipeline.dev/");
    if map.keys().any(own) {
        report.broken(path, OWN_PREFIX);
    }
}

fn keys_and_values(map: &BTreeMap<String, String>, path: &str, report: &mut Report) {
    keys(map.keys(), path, report);
    for (key, value) in map
        .iter()
        .filter(|(_, value)| !value.is_empty() && !is_label(value))
    {
        report.add(
            format!("{path}.{key}"),
            format!("{value:?} is not a label's value"),
            "use at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit",
        );
    }
}

fn keys<'a>(keys: impl Iterator<Item = &'a String>, path: &str, report: &mut Report) {
    for key in keys {
        let (prefix, name) = key
            .split_once('/')
            .map_or((None, key.as_str()), |(prefix, name)| (Some(prefix), name));
        let prefix_fits = prefix.is_none_or(|prefix| prefix.len() <= 253 && is_dns_name(prefix));
        if !prefix_fits || !is_label(name) {
            report.add(
                path,
                format!("{key:?} is not a label's or annotation's key"),
                "use name or domain/name, the name of at most 63 letters, digits, '-', '_' and '.'",
            );
        }
    }
}

/// What a label's value, and the name of its key, may be.
fn is_label(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 63
        && text.starts_with(ends)
        && text.ends_with(ends)
        && text.chars().all(|c| ends(c) || matches!(c, '-' | '_' | '.'))
}

fn is_dns_name(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(ends) && text.ends_with(ends) && text.chars().all(|c| ends(c) || matches!(c, '-' | '.'))
}

fn dns_name(name: &str, path: &str, report: &mut Report) {
    if !is_dns_name(name) {
        report.broken(path, DNS_NAME);
    }
}
