//! The main job: what `examples/quickstart` promises, and what follows from a push.

use std::fs;

use suite::{Cluster, eventually, repository};

const NAMESPACE: &str = "shop-production";

fn example(file: &str) -> String {
    let path = repository("examples/quickstart").join(file);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn from_manifests_to_an_application_that_answers_and_follows_its_source() {
    let cluster = Cluster::connect();
    let host = cluster.host("web", "shop");
    let app = repository("examples/quickstart/app");

    let first = cluster.push("quickstart", &app, "main");
    let _shop = cluster.project_of("shop", &example("project.yaml"));
    cluster.apply(&example("app.yaml"));
    cluster.ready("database", NAMESPACE, "db", 300);
    cluster.ready("database", NAMESPACE, "cache", 300);
    cluster.ready("service", NAMESPACE, "web", 900);

    // Ready means that it serves.
    let one = cluster
        .answers(&host, "/first", 30, |answer| answer.status == 200)
        .json();
    let two = cluster
        .answers(&host, "/second", 30, |answer| answer.status == 200)
        .json();
    assert_eq!(two["message"], "Hello from Trackbed");
    assert_eq!(
        two["last"][0]["path"], "/second",
        "a row of Postgres: {two}"
    );
    let count = |answer: &suite::Value, what: &str| answer[what].as_i64().unwrap_or(0);
    assert!(count(&two, "rows") > count(&one, "rows"), "{one} {two}");
    assert!(
        count(&two, "counter") > count(&one, "counter"),
        "{one} {two}"
    );

    // All five kinds can be waited for.
    cluster.wait("build", NAMESPACE, "web-1", "condition=Ready", 10);
    cluster.wait("deployment", NAMESPACE, "web-1", "condition=Ready", 10);
    let build = cluster.get("build", NAMESPACE, "web-1");
    assert_eq!(build["spec"]["source"]["git"]["commit"], first.as_str());
    assert_eq!(build["status"]["plan"]["language"], "node");
    let release = cluster.get("deployment", NAMESPACE, "web-1");
    assert_eq!(
        release["spec"]["image"], build["status"]["image"],
        "a release is a digest"
    );

    a_push_is_served_at_the_same_url(&cluster, &host);
    deleting_the_service_leaves_only_the_data(&cluster);
}

fn a_push_is_served_at_the_same_url(cluster: &Cluster, host: &str) {
    let folder = tempfile_copy();
    let server = folder.path().join("server.js");
    let code = fs::read_to_string(&server).expect("the example has a server.js");
    let changed = code.replace("Hello from Trackbed", "Hello again");
    assert_ne!(code, changed);
    fs::write(&server, changed).expect("a file");
    let commit = cluster.push("quickstart", folder.path(), "main");

    let answer = cluster.answers(host, "/third", 600, |answer| {
        answer.body.contains("Hello again")
    });
    assert!(
        answer.json()["rows"].as_i64().unwrap_or(0) >= 3,
        "rows are kept: {answer:?}"
    );
    cluster.ready("service", NAMESPACE, "web", 120);
    let service = cluster.get("service", NAMESPACE, "web");
    assert_eq!(service["status"]["activeDeployment"], "web-2");
    assert_eq!(service["status"]["source"]["commit"], commit.as_str());
    cluster.wait(
        "deployment",
        NAMESPACE,
        "web-1",
        "jsonpath={.status.phase}=Superseded",
        60,
    );
    assert_eq!(
        cluster.list("build", NAMESPACE).len(),
        2,
        "one Build a commit"
    );
    assert_eq!(
        cluster.list("deployment", NAMESPACE).len(),
        2,
        "one Deployment a commit"
    );
}

fn deleting_the_service_leaves_only_the_data(cluster: &Cluster) {
    cluster.delete("service", NAMESPACE, "web");
    eventually(120, || {
        let selector = "trackbed.dev/service=web";
        let kinds = "builds.trackbed.dev,deployments.trackbed.dev,deployments.apps,replicasets,pods,jobs,services,ingresses,poddisruptionbudgets,configmaps,secrets,pvc";
        let arguments = ["get", kinds, "-n", NAMESPACE, "-l", selector, "-o", "name"];
        let left = cluster.run(&arguments, "");
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
    cluster.ready("database", NAMESPACE, "db", 30);
}

fn tempfile_copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let app = repository("examples/quickstart/app");
    for file in fs::read_dir(app).expect("the example's folder").flatten() {
        let to = folder.path().join(file.file_name());
        fs::copy(file.path(), to).expect("a copy");
    }
    folder
}
