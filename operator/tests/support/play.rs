//! What a generator's program does that has come to its end.

use memory_apiserver::{Store, play};
use serde_json::json;

/// Everything works, and the generator's program has come to its end and is started again and again.
pub(crate) fn generator_ends(store: &mut Store) {
    play::well(store);
    let Some(deployment) = store
        .objects
        .get(&super::key("deployments", "music-generator"))
        .cloned()
    else {
        return;
    };
    let replicas = deployment["spec"]["replicas"].as_i64().unwrap();
    let mut changed = deployment.clone();
    changed["status"]["availableReplicas"] = json!(0);
    store.put(super::key("deployments", "music-generator"), changed);
    let pod = super::key("pods", "music-generator-1");
    if replicas == 0 {
        let _ = store.delete(&pod, None);
        return;
    }
    let template = &deployment["spec"]["template"]["metadata"];
    let ended = json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": { "labels": template["labels"], "annotations": template["annotations"] },
        "status": { "containerStatuses": [{
            "name": "generator", "ready": false, "restartCount": 2, "image": "i", "imageID": "i",
            "state": { "waiting": { "reason": "CrashLoopBackOff" } },
            "lastState": { "terminated": { "exitCode": 0 } },
        }]},
    });
    let _ = store.delete(&pod, None);
    let _ = store.create(pod, ended);
}
