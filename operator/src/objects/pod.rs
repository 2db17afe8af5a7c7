//! Pods: restricted, with the manifest and secrets as files, and the ports and probes that all programs share.

use std::collections::BTreeMap;

use api::{PodTemplate, SecretRef, TableName};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar,
    EnvVarSource, HTTPGetAction, LocalObjectReference, ObjectFieldSelector, PodSecurityContext, PodSpec,
    PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext,
    TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::config_map::{FILE, config_hash};
use super::desired::Defaults;
use super::service_account;
use crate::names::{CONFIG_HASH, Role, label_selector, labels};
use crate::validate::Valid;

/// The port of /livez, /readyz and /metrics.
pub(crate) const PORT: i32 = 8080;
pub(crate) const PORT_NAME: &str = "http";
const MANIFEST_DIRECTORY: &str = "/etc/streampipeline";
const SECRETS_DIRECTORY: &str = "/etc/streampipeline-secrets";
/// A user without a name, as in images that are made for it; the images need not know it.
const USER: i64 = 65_532;
/// Seconds from SIGTERM to SIGKILL. Workers and generators drain within 20 s; the rest is for a sink that is slow to
/// commit.
const GRACE_SECONDS: i64 = 60;

/// The pod template of `role`, which reads its manifest from the ConfigMap `config`.
pub(crate) fn template(valid: &Valid, defaults: &Defaults, role: Role, config: &str) -> PodTemplateSpec {
    let pods = &valid.pipeline.pods;
    let template = match role {
        Role::Worker => &pods.worker,
        Role::Generator => &pods.generator,
        Role::Prepare => &pods.prepare,
        Role::Model => &pods.model,
    };
    let name = valid.pipeline.name.as_str();
    // Ours come last: they are what objects find each other by.
    let mut pod_labels = template.labels.clone();
    pod_labels.extend(labels(name, Some(role)));
    let mut annotations = template.annotations.clone();
    annotations.insert(CONFIG_HASH.to_owned(), config_hash(valid, role));
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(pod_labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(spec(valid, defaults, role, template, config)),
    }
}

/// The pod template of a model's runs.
pub(crate) fn model_template(
    valid: &Valid,
    defaults: &Defaults,
    model: &TableName,
    config: &str,
) -> PodTemplateSpec {
    let mut template = template(valid, defaults, Role::Model, config);
    let containers = template.spec.iter_mut().flat_map(|spec| &mut spec.containers);
    for args in containers.filter_map(|container| container.args.as_mut()) {
        args.push(model.to_string());
    }
    template
}

fn spec(valid: &Valid, defaults: &Defaults, role: Role, template: &PodTemplate, config: &str) -> PodSpec {
    let secrets: Vec<&str> = valid.secrets_of(role).map(|(name, _)| name).collect();
    let pull_secrets = &valid.pipeline.pods.image_pull_secrets;
    PodSpec {
        service_account_name: Some(service_account::name(valid)),
        // Cloud identities come by their own way; no program talks to the API server.
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        restart_policy: Some(if role.ends() { "Never" } else { "Always" }.to_owned()),
        node_selector: not_empty(template.node_selector.clone()),
        tolerations: (!template.tolerations.is_empty()).then(|| template.tolerations.clone()),
        affinity: template.affinity.clone(),
        priority_class_name: template.priority_class.clone(),
        image_pull_secrets: (!pull_secrets.is_empty()).then(|| {
            pull_secrets
                .iter()
                .map(|SecretRef { name }| LocalObjectReference { name: name.clone() })
                .collect()
        }),
        topology_spread_constraints: (!role.ends()).then(|| spread(valid, role)),
        volumes: Some(volumes(config, &secrets)),
        containers: vec![container(valid, defaults, role, template, &secrets)],
        ..PodSpec::default()
    }
}

fn container(
    valid: &Valid,
    defaults: &Defaults,
    role: Role,
    template: &PodTemplate,
    secrets: &[&str],
) -> Container {
    let program = match role {
        Role::Generator => "streampipeline-generator",
        Role::Worker | Role::Prepare | Role::Model => "streampipeline-worker",
    };
    let mut args: Vec<String> = match role {
        Role::Generator => vec![],
        Role::Worker => vec!["run".to_owned()],
        Role::Prepare => vec!["prepare".to_owned()],
        Role::Model => vec!["model".to_owned()],
    };
    args.extend([
        "--file".to_owned(),
        format!("{MANIFEST_DIRECTORY}/{FILE}"),
        "--secrets".to_owned(),
        SECRETS_DIRECTORY.to_owned(),
    ]);
    let serves = !role.ends();
    if serves {
        args.extend(["--listen".to_owned(), format!("0.0.0.0:{PORT}")]);
    }
    let mut mounts = vec![
        mount("manifest", MANIFEST_DIRECTORY, true),
        mount("tmp", "/tmp", false),
    ];
    for (index, name) in secrets.iter().enumerate() {
        mounts.push(mount(
            &format!("secret-{index}"),
            &format!("{SECRETS_DIRECTORY}/{name}"),
            true,
        ));
    }
    Container {
        name: role.as_str().to_owned(),
        image: Some(
            valid
                .pipeline
                .image
                .clone()
                .unwrap_or_else(|| defaults.image.clone()),
        ),
        image_pull_policy: Some(
            valid
                .pipeline
                .pull_policy
                .unwrap_or(defaults.pull_policy)
                .as_str()
                .to_owned(),
        ),
        command: Some(vec![program.to_owned()]),
        args: Some(args),
        env: Some(vec![own_name()]),
        ports: serves.then(|| {
            vec![ContainerPort {
                name: Some(PORT_NAME.to_owned()),
                container_port: PORT,
                protocol: Some("TCP".to_owned()),
                ..ContainerPort::default()
            }]
        }),
        resources: Some(ResourceRequirements {
            requests: not_empty(quantities(&template.resources.requests)),
            limits: not_empty(quantities(&template.resources.limits)),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            ..SecurityContext::default()
        }),
        // A catalogue of the largest size takes a minute to make.
        startup_probe: serves.then(|| probe("/livez", 1, 180)),
        liveness_probe: serves.then(|| probe("/livez", 10, 3)),
        readiness_probe: serves.then(|| probe("/readyz", 2, 2)),
        // The last words of a program that failed are its error: they get into the pipeline's conditions so.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

/// Programs tell themselves apart by the pod's name.
fn own_name() -> EnvVar {
    EnvVar {
        name: "HOSTNAME".to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".to_owned()),
                field_path: "metadata.name".to_owned(),
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

fn probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(PORT_NAME.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(period_seconds.clamp(1, 5)),
        failure_threshold: Some(failure_threshold),
        ..Probe::default()
    }
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

fn volumes(config: &str, secrets: &[&str]) -> Vec<Volume> {
    let mut volumes = vec![
        Volume {
            name: "manifest".to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: config.to_owned(),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: "tmp".to_owned(),
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: Some(Quantity("256Mi".to_owned())),
                ..EmptyDirVolumeSource::default()
            }),
            ..Volume::default()
        },
    ];
    // Volumes are numbered: a secret's name may be longer than a volume's.
    volumes.extend(secrets.iter().enumerate().map(|(index, name)| Volume {
        name: format!("secret-{index}"),
        secret: Some(SecretVolumeSource {
            secret_name: Some((*name).to_owned()),
            default_mode: Some(0o440),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }));
    volumes
}

/// A node or zone that fails should take few pods with it; none waits for a better place.
fn spread(valid: &Valid, role: Role) -> Vec<TopologySpreadConstraint> {
    ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        .map(|key| TopologySpreadConstraint {
            max_skew: 1,
            topology_key: key.to_owned(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            label_selector: Some(label_selector(valid.pipeline.name.as_str(), Some(role))),
            ..TopologySpreadConstraint::default()
        })
        .to_vec()
}

fn quantities(amounts: &BTreeMap<&'static str, String>) -> BTreeMap<String, Quantity> {
    amounts
        .iter()
        .map(|(name, amount)| ((*name).to_owned(), Quantity(amount.clone())))
        .collect()
}

fn not_empty<K, V>(map: BTreeMap<K, V>) -> Option<BTreeMap<K, V>> {
    (!map.is_empty()).then_some(map)
}
