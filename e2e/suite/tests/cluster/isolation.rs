//! Traffic between Projects and within one, tried from a pod.

use suite::{Cluster, eventually};

#[test]
fn nothing_crosses_projects_and_all_is_reached_within_one() {
    let cluster = Cluster::connect();
    let (home, other) = (cluster.project("home"), cluster.project("stranger"));
    let busybox = cluster.busybox();
    let python = busybox.replace("busybox:1.36", "python:3.11-slim-bookworm");
    let service = |namespace: &str, name: &str, image: &str, run: &str| {
        cluster.apply(&format!(
            "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  source: {{image: {{reference: \"{image}\"}}}}\n  run: {{{run}}}\n"
        ));
    };
    let probe = "worker: true, command: [sleep, \"100000\"]";
    service(
        &home,
        "web",
        &busybox,
        "command: [httpd, -f, -p, \"8080\", -h, /etc]",
    );
    service(&home, "probe", &python, probe);
    service(&other, "probe", &python, probe);
    for (namespace, name) in [(&home, "web"), (&home, "probe"), (&other, "probe")] {
        cluster.ready("service", namespace, name, 300);
    }
    let pods = cluster.list("pod", &home);
    let web = pods
        .iter()
        .find(|it| it["metadata"]["labels"]["trackbed.dev/service"] == "web");
    let pod = web
        .and_then(|it| it["status"]["podIP"].as_str())
        .expect("an address");
    let asks = |namespace: &str, url: &str| {
        let get = format!("import urllib.request as r; r.urlopen('{url}', timeout=3).read()");
        let python = [
            "exec",
            "-n",
            namespace,
            "deploy/probe",
            "--",
            "python3",
            "-c",
            &get,
        ];
        let output = cluster.kubectl(&python, "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said)
    };
    let urls = [
        format!("http://web.{home}.svc.cluster.local/passwd"),
        format!("http://{pod}:8080/passwd"),
    ];
    for url in &urls {
        eventually(30, || match asks(&home, url) {
            (true, _) => Ok(()),
            (false, said) => Err(said),
        });
        // It is the way that is closed, not the name that is unknown.
        let (reached, said) = asks(&other, url);
        assert!(!reached, "{url} is reached from another Project");
        assert!(
            said.contains("timed out") || said.contains("refused"),
            "{said}"
        );
    }
}
