//! Secrets and ConfigMaps are part of a release: their change is one, and going back brings it back.

use suite::{Cluster, Value, eventually};

fn secret(cluster: &Cluster, namespace: &str, mode: &str) {
    cluster.apply(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: settings, namespace: {namespace}}}\nstringData: {{mode: {mode}, other: {mode}}}\n"
    ));
    // As people do who do not want to wait for the next look.
    let now = format!("trackbed.dev/reconcile-at={mode}");
    let service = "services.trackbed.dev/web";
    cluster.run(
        &["annotate", service, "-n", namespace, "--overwrite", &now],
        "",
    );
}

fn releases(cluster: &Cluster, namespace: &str) -> Vec<Value> {
    cluster.list("deployments.trackbed.dev", namespace)
}

fn serves(cluster: &Cluster, namespace: &str, release: &str) {
    eventually(120, || {
        let service = cluster.get("service", namespace, "web");
        match service["status"]["activeDeployment"] == release {
            true => Ok(()),
            false => Err(format!("{service:#}")),
        }
    });
    cluster.ready("service", namespace, "web", 60);
}

/// What the application was told.
fn mode(cluster: &Cluster, namespace: &str) -> String {
    let workload = ["exec", "-n", namespace, "deployment/web", "--"];
    let said = cluster.run(&[&workload[..], &["sh", "-c", "echo $MODE"]].concat(), "");
    said.trim().to_owned()
}

#[test]
fn a_changed_secret_is_released_once_and_comes_back_with_its_release() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("rotation");
    cluster.apply(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: settings, namespace: {namespace}}}\nstringData: {{mode: one}}\n"
    ));
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: web, namespace: {namespace}}}\nspec:\n  source: {{image: {{reference: \"{}\"}}}}\n  rollout: {{timeout: 60s}}\n  run:\n    worker: true\n    command: [sh, -c, 'test $MODE != bad && exec sleep 100000']\n    env: [{{name: MODE, valueFrom: {{secretKeyRef: {{name: settings, key: mode}}}}}}]\n",
        cluster.busybox()
    ));
    cluster.ready("service", &namespace, "web", 300);
    assert_eq!(mode(&cluster, &namespace), "one");

    // A bad one fails like a bad push, and pods that start meanwhile know nothing of it.
    secret(&cluster, &namespace, "bad");
    cluster.wait_reason("service", &namespace, "web", "CrashLoop", 120);
    let pods = ["-n", &namespace, "-l", "trackbed.dev/release=web-1"];
    cluster.run(&[&["delete", "pod"][..], &pods].concat(), "");
    let available = "condition=Available";
    cluster.wait("deployment.apps", &namespace, "web", available, 60);
    assert_eq!(mode(&cluster, &namespace), "one");

    secret(&cluster, &namespace, "two");
    serves(&cluster, &namespace, "web-1-3");
    assert_eq!(mode(&cluster, &namespace), "two");
    let cause = &releases(&cluster, &namespace)[2]["metadata"]["annotations"];
    assert_eq!(
        cause["trackbed.dev/cause"], "the content of MODE changed",
        "{cause:#}"
    );

    let pin = |pin: &str| {
        let patch = format!("{{\"spec\":{{\"pin\":{pin}}}}}");
        let what = ["patch", "services.trackbed.dev", "web", "-n", &namespace];
        cluster.run(&[&what[..], &["--type=merge", "-p", &patch]].concat(), "");
    };
    pin("\"web-1\"");
    serves(&cluster, &namespace, "web-1");
    assert_eq!(mode(&cluster, &namespace), "one", "as it was");
    pin("null");
    serves(&cluster, &namespace, "web-1-3");
    assert_eq!(releases(&cluster, &namespace).len(), 3, "each change once");

    // What nothing refers to makes no release; copies go with their releases.
    let other = "{\"stringData\":{\"other\":\"three\"}}";
    cluster.run(
        &["patch", "secret", "settings", "-n", &namespace, "-p", other],
        "",
    );
    cluster.delete("deployments.trackbed.dev", &namespace, "web-1");
    eventually(60, || {
        let copies = cluster.list("secret", &namespace).into_iter();
        let names = copies.map(|copy| copy["metadata"]["name"].to_string());
        let names: Vec<_> = names.filter(|name| name.ends_with("-env\"")).collect();
        match names == ["\"web-1-2-env\"", "\"web-1-3-env\""] {
            true => Ok(()),
            false => Err(names.join(", ")),
        }
    });
    assert_eq!(releases(&cluster, &namespace).len(), 2);
}

#[test]
fn what_is_taken_out_of_a_service_is_gone() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("taken-out");
    let runs = |run: &str| {
        cluster.apply(&format!(
            "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: web, namespace: {namespace}}}\nspec:\n  source: {{image: {{reference: \"{}\"}}}}\n  run: {{command: [httpd, -f, -p, '8080', -h, /etc]{run}}}\n",
            cluster.busybox()
        ));
    };
    runs(", env: [{name: LEFT, value: 'no'}]");
    cluster.ready("service", &namespace, "web", 300);
    runs(", healthcheck: {path: /passwd}");
    serves(&cluster, &namespace, "web-1-2");
    let workload = cluster.get("deployment.apps", &namespace, "web");
    let container = &workload["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        container["env"].as_array().map(Vec::len),
        Some(1),
        "{container:#}"
    );
    let probe = &container["readinessProbe"];
    assert_eq!(probe["tcpSocket"], Value::Null, "{probe:#}");
    assert_eq!(probe["httpGet"]["path"], "/passwd", "{probe:#}");
}
