//! The operator is killed again and again while a push is on its way.

use rand::RngExt;
use suite::Cluster;

const PAGE: &str = "FROM busybox:1.36\nCOPY index.html /www/index.html\nUSER 1000\nCMD [\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n";

#[test]
fn ten_kills_during_pushes_change_nothing() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("crashes");
    let mut kills = 0;
    let mut random = rand::rng();
    for version in 1..=3 {
        let page = format!("version {version}");
        cluster.publish("crashes", &[("Dockerfile", PAGE), ("index.html", &page)]);
        if version == 1 {
            cluster.apply(&format!(
                "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: web, namespace: {namespace}}}\nspec: {{source: {{git: {{url: \"{}\", interval: 10s}}}}}}\n",
                cluster.git_url("crashes")
            ));
        }
        let kills_by_now = [4, 7, 10][version - 1];
        while kills < kills_by_now {
            // A random while into whatever happens; that it does not become ready is expected.
            let timeout = format!("--timeout={}ms", random.random_range(200..8000));
            let active = format!("--for=jsonpath={{.status.activeDeployment}}=web-{version}");
            let arguments = [
                "wait",
                "services.trackbed.dev",
                "web",
                "-n",
                &namespace,
                &active,
                &timeout,
            ];
            cluster.kubectl(&arguments, "");
            cluster.kill_operator();
            // A new pod starts at once, without the kubelet's back-off.
            cluster.run(
                &[
                    "delete",
                    "pods",
                    "-n",
                    "trackbed-system",
                    "--all",
                    "--force",
                    "--grace-period=0",
                ],
                "",
            );
            kills += 1;
        }
        cluster.operator_ready();
        let host = cluster.host("web", "crashes");
        cluster.answers(&host, "/", 600, |answer| answer.body.trim() == page);
        cluster.ready("service", &namespace, "web", 120);
    }
    let names = |kind: &str| -> Vec<String> {
        let list = cluster.list(kind, &namespace);
        let name =
            |object: &suite::Value| object["metadata"]["name"].as_str().unwrap_or("").to_owned();
        list.iter().map(name).collect()
    };
    assert_eq!(
        names("build"),
        ["web-1", "web-2", "web-3"],
        "one Build a commit"
    );
    assert_eq!(
        names("deployment"),
        ["web-1", "web-2", "web-3"],
        "one Deployment a commit"
    );
    let attempts = cluster.list("jobs", &namespace).len();
    assert!(attempts <= 3, "one Job a Build at most: {attempts}");
}
