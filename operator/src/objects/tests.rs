//! What follows from manifests: which objects, what is in them, and what makes other pods.

use serde_json::Value;

use super::*;
use crate::names::{CONFIG_HASH, OPERATOR};
use crate::testing::{defaults, objects, secrets, valid, valid_with};

const GENERATOR: &str = "generator: {music: {}, rate: 5}";

fn names(objects: &Objects) -> Vec<String> {
    let mut names: Vec<String> = objects
        .iter()
        .map(|desired| format!("{} {}", desired.kind, desired.name))
        .collect();
    names.sort();
    names
}

fn body<'a>(objects: &'a Objects, kind: Kind, name: &str) -> &'a Value {
    &objects
        .iter()
        .find(|desired| desired.kind == kind && desired.name == name)
        .unwrap()
        .body
}

fn config_hash<'a>(objects: &'a Objects, kind: Kind, name: &str) -> &'a str {
    body(objects, kind, name)["spec"]["template"]["metadata"]["annotations"][CONFIG_HASH]
        .as_str()
        .unwrap()
}

/// Which of the three have to start anew between two manifests.
fn anew(old: &Objects, new: &Objects) -> String {
    let mut changed = String::new();
    if old.prepare_name != new.prepare_name {
        changed.push_str("prepare ");
    }
    for name in ["music-worker", "music-generator"] {
        if config_hash(old, Kind::Deployment, name) != config_hash(new, Kind::Deployment, name) {
            changed.push_str(name.trim_start_matches("music-"));
            changed.push(' ');
        }
    }
    changed.trim_end().to_owned()
}

#[test]
fn a_pipeline_has_these_objects() {
    let built = objects(&valid(GENERATOR));
    let prepare = &built.prepare_name;
    let mut expected = vec![
        "ConfigMap music-generator".to_owned(),
        format!("ConfigMap {prepare}"),
        "ConfigMap music-worker".to_owned(),
        "Deployment music-generator".to_owned(),
        "Deployment music-worker".to_owned(),
        format!("Job {prepare}"),
        "NetworkPolicy music".to_owned(),
        "PodDisruptionBudget music-generator".to_owned(),
        "PodDisruptionBudget music-worker".to_owned(),
        "Service music".to_owned(),
        "ServiceAccount music".to_owned(),
    ];
    expected.sort();
    assert_eq!(names(&built), expected);
    assert_eq!(
        names(&built).len() - names(&objects(&valid(""))).len(),
        3,
        "without a generator"
    );
}

#[test]
fn all_of_them_are_owned_and_labelled() {
    for desired in objects(&valid(GENERATOR)).iter() {
        let metadata = &desired.body["metadata"];
        let owner = &metadata["ownerReferences"][0];
        assert_eq!(
            (&owner["uid"], &owner["controller"]),
            (&"uid-1".into(), &true.into()),
            "{}",
            desired.name
        );
        assert_eq!(metadata["namespace"], "streams");
        for (label, value) in [
            ("instance", "music"),
            ("name", "streampipeline"),
            ("managed-by", OPERATOR),
        ] {
            assert_eq!(
                metadata["labels"][format!("app.kubernetes.io/{label}")],
                value,
                "{}",
                desired.name
            );
        }
    }
}

/// Only who has something to do with a change starts anew.
#[test]
fn a_change_reaches_whom_it_concerns() {
    let before = objects(&valid("generator: {music: {}, rate: 5}"));
    for (change, expected) in [
        ("generator: {music: {}, rate: 6}", "generator"),
        ("generator: {music: {}, rate: 5, replicas: 3}", ""),
        ("generator: {music: {}, rate: 5, paused: true}", ""),
        ("generator: {music: {}, rate: 5}\n  scaling: {min: 2}", ""),
        ("generator: {music: {}, rate: 5}\n  paused: {workers: true}", ""),
        (
            "generator: {music: {}, rate: 5}\n  reports: [{name: r, title: R, sql: SELECT 1}]",
            "",
        ),
        (
            "generator: {music: {}, rate: 5}\n  models: [{name: m, schedule: '5 4 * * *', sql: SELECT 1 AS one}]",
            "prepare",
        ),
        ("generator: {music: {}, rate: 5}\n  deletionPolicy: Delete", ""),
        (
            "generator: {music: {}, rate: 5}\n  batch: {maxWait: 2s}",
            "worker",
        ),
        (
            "generator: {music: {}, rate: 5}\n  references: [{name: tracks, from: {generated: music.tracks}}]",
            "prepare worker",
        ),
        (
            "generator: {music: {}, rate: 5}\n  pods: {worker: {nodeSelector: {a: b}}}",
            "",
        ),
        ("generator: {music: {}, rate: 5}\n  image: other:2", "prepare"),
    ] {
        assert_eq!(anew(&before, &objects(&valid(change))), expected, "{change}");
    }
}

/// The catalogue is made from the seed, so a table that takes it changes with it; the rate has no part in that.
#[test]
fn references_follow_the_generator_s_seed_only() {
    let with = |generator: &str| {
        objects(&valid(&format!(
            "generator: {generator}\n  references: [{{name: tracks, from: {{generated: music.tracks}}}}]"
        )))
    };
    let before = with("{music: {}, rate: 5}");
    assert_eq!(anew(&before, &with("{music: {}, rate: 6}")), "generator");
    assert_eq!(
        anew(&before, &with("{music: {}, rate: 5, seed: 7}")),
        "prepare worker generator"
    );
}

#[test]
fn another_secret_makes_other_pods_of_whom_it_is_mounted_in() {
    let before = objects(&valid_with(GENERATOR, &secrets("a")));
    assert_eq!(
        anew(&before, &objects(&valid_with(GENERATOR, &secrets("b")))),
        "prepare worker"
    );
}

/// A pod template that changes is a rollout, so another node selector must not be lost for want of another hash.
#[test]
fn pod_settings_are_in_the_template() {
    let more = "pods: {worker: {labels: {team: a}, annotations: {x: z}, nodeSelector: {disk: ssd}, priorityClassName: low, \
                tolerations: [{key: spot, operator: Exists}], affinity: {nodeAffinity: {}}, \
                resources: {requests: {cpu: 500m}, limits: {memory: 1Gi}}}, imagePullSecrets: [{name: registry}], \
                serviceAccount: {name: own}}\n  imagePullPolicy: Always\n  image: other:2";
    let built = objects(&valid(more));
    let template = &body(&built, Kind::Deployment, "music-worker")["spec"]["template"];
    assert_eq!(template["metadata"]["labels"]["team"], "a");
    assert_eq!(template["metadata"]["annotations"]["x"], "z");
    let spec = &template["spec"];
    assert_eq!(spec["nodeSelector"]["disk"], "ssd");
    assert_eq!(spec["priorityClassName"], "low");
    assert_eq!(spec["tolerations"][0]["key"], "spot");
    assert!(spec["affinity"]["nodeAffinity"].is_object());
    assert_eq!(spec["imagePullSecrets"][0]["name"], "registry");
    assert_eq!(spec["serviceAccountName"], "own");
    let container = &spec["containers"][0];
    assert_eq!(
        (&container["image"], &container["imagePullPolicy"]),
        (&"other:2".into(), &"Always".into())
    );
    assert_eq!(container["resources"]["requests"]["cpu"], "500m");
    assert_eq!(
        container["resources"]["limits"],
        serde_json::json!({"memory": "1Gi"})
    );
    assert!(
        !names(&built).contains(&"ServiceAccount music".to_owned()),
        "it exists"
    );
}

/// The restricted Pod Security Standard, point by point, and what goes beyond it.
#[test]
fn pods_are_restricted() {
    let built = objects(&valid(GENERATOR));
    for (kind, name) in [
        (Kind::Deployment, "music-worker"),
        (Kind::Deployment, "music-generator"),
        (Kind::Job, built.prepare_name.as_str()),
    ] {
        let spec = &body(&built, kind, name)["spec"]["template"]["spec"];
        assert_eq!(spec["automountServiceAccountToken"], false);
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
        assert_eq!(
            spec["securityContext"]["seccompProfile"]["type"],
            "RuntimeDefault"
        );
        let container = &spec["containers"][0];
        let security = &container["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], false);
        assert_eq!(security["readOnlyRootFilesystem"], true);
        assert_eq!(security["capabilities"]["drop"][0], "ALL");
        assert!(container["resources"]["limits"]["memory"].is_string());
        // Longer than the programs drain.
        assert!(spec["terminationGracePeriodSeconds"].as_i64().unwrap() >= 30);
        assert_eq!(
            container["livenessProbe"].is_object(),
            kind == Kind::Deployment,
            "{name}"
        );
    }
}

/// `runtime::secrets` looks for `DIR/NAME/KEY`.
#[test]
fn secrets_are_files_where_the_programs_look_and_nowhere_else() {
    let kafka = "kafka: {bootstrapServers: 'k:9093', security: {protocol: SaslSsl, sasl: {mechanism: Plain, secretRef: {name: kafka-user}}, tls: {caSecretRef: {name: kafka-ca}}}}";
    let mut resource = crate::testing::resource(GENERATOR);
    resource.spec.kafka = serde_yaml::from_str(kafka.trim_start_matches("kafka: ")).unwrap();
    let pipeline = crate::validate::manifest(&resource).unwrap();
    let valid = crate::validate::validate(&resource, pipeline, &secrets("hunter2")).unwrap();
    let built = objects(&valid);
    let mounted = |kind, name: &str| -> Vec<String> {
        let container = &body(&built, kind, name)["spec"]["template"]["spec"]["containers"][0];
        let args: Vec<&str> = container["args"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let directory = args[args.iter().position(|arg| *arg == "--secrets").unwrap() + 1];
        let mounts = container["volumeMounts"].as_array().unwrap().iter();
        mounts
            .filter(|mount| mount["readOnly"] == true)
            .filter_map(|mount| {
                mount["mountPath"]
                    .as_str()?
                    .strip_prefix(directory)?
                    .strip_prefix('/')
            })
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(
        mounted(Kind::Deployment, "music-worker"),
        ["kafka-ca", "kafka-user", "music-postgres"]
    );
    assert_eq!(
        mounted(Kind::Deployment, "music-generator"),
        ["kafka-ca", "kafka-user"]
    );
    assert_eq!(mounted(Kind::Job, &built.prepare_name), ["music-postgres"]);
    for desired in built.iter() {
        assert!(!desired.body.to_string().contains("hunter2"), "{}", desired.name);
    }
}

/// What the programs read is a manifest that they take, and without what only the operator reads.
#[test]
fn the_manifest_reads_back() {
    let valid = valid(
        "generator: {music: {}, rate: 5, paused: true}\n  pods: {prepare: {nodeSelector: {a: b}}}\n  image: other:2",
    );
    let built = objects(&valid);
    for name in ["music-worker", "music-generator", built.prepare_name.as_str()] {
        let text = body(&built, Kind::ConfigMap, name)["data"]["pipeline.yaml"]
            .as_str()
            .unwrap();
        let read = api::validate(&api::parse(text).unwrap()).unwrap();
        assert_eq!(
            (read.name.as_str(), read.namespace.as_deref()),
            ("music", Some("streams"))
        );
        assert_eq!(read.tables, valid.pipeline.tables);
        assert!(!read.generator.unwrap().paused, "resting is a matter of replicas");
        assert!(
            !text.contains("other:2") && !text.contains("nodeSelector"),
            "{text}"
        );
    }
}

#[test]
fn network_policies_name_what_is_needed_and_no_more() {
    let built = objects(&valid(""));
    let spec = &body(&built, Kind::NetworkPolicy, "music")["spec"];
    assert_eq!(spec["policyTypes"], serde_json::json!(["Ingress", "Egress"]));
    let ports = |rule: &Value| -> Vec<i64> {
        rule["ports"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|port| port["port"].as_i64())
            .collect()
    };
    let egress: Vec<Vec<i64>> = spec["egress"].as_array().unwrap().iter().map(ports).collect();
    assert_eq!(egress, [vec![53, 53], vec![9092], vec![5432]]);
    assert_eq!(ports(&spec["ingress"][0]), [8080]);
    let mut resource = crate::testing::resource("");
    for (host, cidr) in [("10.1.2.3", "10.1.2.3/32"), ("fd00::1", "fd00::1/128")] {
        resource.spec.sink.postgres.as_mut().unwrap().host = host.to_owned();
        let pipeline = crate::validate::manifest(&resource).unwrap();
        let built = objects(&crate::validate::validate(&resource, pipeline, &secrets("a")).unwrap());
        let spec = &body(&built, Kind::NetworkPolicy, "music")["spec"];
        assert_eq!(spec["egress"][2]["to"][0]["ipBlock"]["cidr"], cidr);
    }
}

#[test]
fn replicas_follow_pauses_and_completion() {
    let replicas = |more: &str, completed: bool| {
        let valid = valid(more);
        let hash = objects(&valid).generator_hash;
        let decisions = Decisions {
            workers: 3,
            completed: completed.then_some(hash),
            pod_monitors: true,
        };
        let built = build(&valid, &defaults(), &decisions).unwrap();
        assert!(names(&built).contains(&"PodMonitor music".to_owned()));
        assert_eq!(
            body(&built, Kind::Deployment, "music-worker")["spec"]["replicas"],
            3
        );
        body(&built, Kind::Deployment, "music-generator")["spec"]["replicas"]
            .as_i64()
            .unwrap()
    };
    assert_eq!(replicas("generator: {music: {}, replicas: 2}", false), 2);
    assert_eq!(
        replicas("generator: {music: {}, replicas: 2, paused: true}", false),
        0
    );
    assert_eq!(
        replicas("generator: {music: {}}\n  paused: {generator: true}", false),
        0
    );
    assert_eq!(replicas("generator: {music: {}, limit: {count: 9}}", true), 0);
}

/// What a model does is prepared before it runs; when it does it is nobody else's business.
#[test]
fn a_model_has_a_cron_job() {
    let built = |schedule: &str, sql: &str, more: &str| {
        let more = format!(
            "{GENERATOR}\n  models: [{{name: top_tracks, schedule: '{schedule}', sql: {sql}}}]\n  {more}"
        );
        objects(&valid(&more))
    };
    let before = built("*/5 * * * *", "SELECT 1 AS one", "");
    let cron_job = body(&before, Kind::CronJob, "music-model-top-tracks");
    let spec = &cron_job["spec"];
    assert_eq!(
        (
            &spec["schedule"],
            &spec["timeZone"],
            &spec["concurrencyPolicy"],
            &spec["suspend"]
        ),
        (
            &"*/5 * * * *".into(),
            &"Etc/UTC".into(),
            &"Forbid".into(),
            &false.into()
        )
    );
    let job = &spec["jobTemplate"]["spec"];
    assert_eq!(job["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"][0], 2);
    let pod = &job["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(container["command"][0], "streampipeline-worker");
    let args: Vec<&str> = container["args"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(
        (args.first(), args.last()),
        (Some(&"model"), Some(&"top_tracks")),
        "{args:?}"
    );
    assert_eq!(pod["restartPolicy"], "Never");
    assert_eq!(pod["volumes"][0]["configMap"]["name"], "music-model");
    assert_eq!(container["resources"]["limits"]["memory"], "1Gi");
    assert!(
        names(&before).contains(&"ConfigMap music-model".to_owned()),
        "{:?}",
        names(&before)
    );
    let labels = &job["template"]["metadata"]["labels"];
    assert_eq!(labels["app.kubernetes.io/component"], "model");
    assert_eq!(
        spec["jobTemplate"]["metadata"]["labels"]["app.kubernetes.io/managed-by"],
        OPERATOR
    );

    let template = |objects: &Objects| {
        body(objects, Kind::CronJob, "music-model-top-tracks")["spec"]["jobTemplate"].clone()
    };
    let later = built("0 4 * * *", "SELECT 1 AS one", "");
    assert_eq!(
        (anew(&before, &later), template(&later)),
        (String::new(), template(&before))
    );
    let other = built("*/5 * * * *", "SELECT 2 AS two", "");
    assert_eq!(anew(&before, &other), "prepare");
    assert_ne!(
        template(&other),
        template(&before),
        "the next run reads the new manifest"
    );
    let paused = built("*/5 * * * *", "SELECT 1 AS one", "paused: {workers: true}");
    assert_eq!(
        body(&paused, Kind::CronJob, "music-model-top-tracks")["spec"]["suspend"],
        true
    );
}
