//! How many pods run, and who says so.

use suite::{Cluster, Value, eventually};

use crate::releases::service;

#[test]
fn the_number_of_pods_follows_the_load_and_nobody_fights_over_it() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("scaling");
    let fast = "{stabilizationWindow: 0s, percent: 100, period: 15s}";
    let scaled = |command: &str| {
        let run = format!(
            "worker: true, command: [sh, -c, '{command}'], resources: {{requests: {{cpu: 50m}}, limits: {{cpu: 100m}}}}"
        );
        let scale = format!(
            "  scale: {{min: 1, max: 3, cpu: 60, behavior: {{scaleUp: {fast}, scaleDown: {fast}}}}}\n"
        );
        service(&cluster, &namespace, "busy", &run, &scale);
    };
    let from = cluster.audit_position();
    let pods = |wanted: i64| {
        eventually(240, || {
            let service = cluster.get("service", &namespace, "busy");
            match service["status"]["replicas"] == wanted {
                true => Ok(()),
                false => Err(format!("{service:#}")),
            }
        });
    };
    scaled("while :; do :; done");
    cluster.wait(
        "service",
        &namespace,
        "busy",
        "condition=ScalingActive",
        180,
    );
    pods(3);
    scaled("exec sleep 100000");
    pods(1);
    let service = [
        "get",
        "services.trackbed.dev",
        "busy",
        "-n",
        &namespace,
        "-o",
        "json",
        "--show-managed-fields",
    ];
    let service: Value = serde_json::from_str(&cluster.run(&service, "")).expect("JSON");
    let fields = service["metadata"]["managedFields"].as_array();
    let writers: Vec<_> = fields
        .into_iter()
        .flatten()
        .filter(|it| !it["fieldsV1"]["f:spec"]["f:scale"]["f:replicas"].is_null())
        .map(|it| {
            (
                it["manager"].as_str().unwrap_or_default(),
                it["subresource"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        writers,
        [("kube-controller-manager", Some("scale"))],
        "one writes the number"
    );
    let written = cluster.audited(from).into_iter().filter(|it| {
        let object = &it["objectRef"];
        let of_spec = object["subresource"] != "status";
        let is_ours = object["apiGroup"] == "trackbed.dev" && object["resource"] == "services";
        let writes = it["verb"] != "get" && it["verb"] != "list" && it["verb"] != "watch";
        let user = it["user"]["username"].as_str().unwrap_or_default();
        let by_us = user.starts_with("system:serviceaccount:trackbed-system:");
        by_us && is_ours && of_spec && writes && object["namespace"] == *namespace
    });
    let written: Vec<_> = written.collect();
    assert_eq!(written, Vec::<Value>::new(), "the operator writes none");

    // Without bounds the number is a person's own.
    let image = cluster.busybox();
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: calm, namespace: {namespace}}}\nspec:\n  source: {{image: {{reference: \"{image}\"}}}}\n  run: {{worker: true, command: [sleep, \"100000\"]}}\n"
    ));
    cluster.ready("service", &namespace, "calm", 300);
    let scale = [
        "scale",
        "services.trackbed.dev/calm",
        "-n",
        &namespace,
        "--replicas=2",
    ];
    cluster.run(&scale, "");
    cluster.ready("service", &namespace, "calm", 120);
    let service = cluster.get("service", &namespace, "calm");
    assert_eq!(service["status"]["replicas"], 2, "{service:#}");
    assert_eq!(service["spec"]["scale"]["replicas"], 2, "{service:#}");
    let workload = cluster.get("deployments.apps", &namespace, "calm");
    assert_eq!(workload["spec"]["replicas"], 2, "{workload:#}");
}
