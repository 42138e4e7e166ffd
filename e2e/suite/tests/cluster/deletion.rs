//! Data go by two acts of a person, whatever it is that is deleted.

use suite::{Cluster, OPERATOR, Value, eventually};

const NAMESPACE: &str = "deletion-production";
const PROJECT: &str = "apiVersion: trackbed.dev/v1alpha1\nkind: Project\nmetadata: {name: deletion}\nspec: {environments: [{name: production}]}\n";

/// Deletions of claims and of credentials in the namespace that the API server has done.
fn lost(requests: &[Value]) -> Vec<String> {
    let deletions = requests.iter().filter(|request| {
        let of = &request["objectRef"];
        let name = of["name"].as_str().unwrap_or_default();
        let verb = request["verb"].as_str().unwrap_or_default();
        let data = of["resource"] == "persistentvolumeclaims" || name.starts_with("db-");
        verb.starts_with("delete")
            && data
            && of["namespace"] == NAMESPACE
            && request["responseStatus"]["code"].as_u64() < Some(300)
            && ["persistentvolumeclaims", "secrets"]
                .map(Value::from)
                .contains(&of["resource"])
    });
    let said = deletions.map(|it| format!("{} by {}", it["requestURI"], it["user"]["username"]));
    said.collect()
}

/// Asks for a deletion that is refused.
fn refused(cluster: &Cluster, what: &[&str]) {
    let output = cluster.kubectl(&[&["delete", "--wait=false"], what].concat(), "");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{what:?} was deleted");
    assert!(
        said.contains("confirm that first by kubectl annotate"),
        "{what:?}: {said}"
    );
}

#[test]
fn nothing_but_two_acts_takes_data() {
    let cluster = Cluster::connect();
    let from = cluster.audit_position();
    let _project = cluster.project("deletion");
    let database = |name: &str, policy: &str| {
        cluster.apply(&format!(
            "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\nspec: {{engine: Redis, version: \"7\", resources: {{requests: {{cpu: 20m}}}}, deletionPolicy: {policy}}}\n"
        ));
        cluster.wait("database", NAMESPACE, name, "condition=Ready", 300);
    };
    database("db", "Retain");
    let client = cluster.client(NAMESPACE, "db", "client");
    client.ask("set kept data").expect("it takes a word");
    let there = || {
        cluster.ready("database", NAMESPACE, "db", 180);
        assert_eq!(eventually(60, || client.ask("get kept")), "data");
    };

    // What holds data does not go by one word, of whomever.
    let here = ["-n", NAMESPACE];
    for what in ["pvc/db-data", "secret/db-credentials", "secret/db-standby"] {
        refused(&cluster, &[&[what], &here[..]].concat());
    }
    refused(&cluster, &[&["pvc", "--all"], &here[..]].concat());
    refused(&cluster, &["namespace", NAMESPACE]);

    // What follows from the Database comes back.
    for what in [
        "statefulset/db",
        "service/db",
        "service/db-headless",
        "configmap/db-settings",
        "networkpolicy/db-database",
        "pod/db-0",
    ] {
        let uid = || {
            let get = [
                "get",
                what,
                "--ignore-not-found",
                "-o",
                "jsonpath={.metadata.uid}",
            ];
            cluster.run(&[&get[..], &here].concat(), "")
        };
        let before = uid();
        assert!(!before.is_empty(), "{what}");
        cluster.run(&[&["delete", what][..], &here].concat(), "");
        eventually(120, || match uid() {
            uid if uid.is_empty() || uid == before => Err(format!("{what} is not back")),
            _ => Ok(()),
        });
    }
    there();

    // The Project goes, its namespace and data stay; made again, it takes them up.
    cluster.delete("project", NAMESPACE, "deletion");
    assert_eq!(client.ask("get kept").as_deref(), Ok("data"));
    cluster.apply(PROJECT);
    cluster.wait("project", "", "deletion", "condition=Ready", 60);
    there();

    // The Database goes and comes again.
    cluster.delete("database", NAMESPACE, "db");
    database("db", "Retain");
    there();
    let requests = cluster.audited(from);
    assert_eq!(lost(&requests), Vec::<String>::new());
    let by_operator =
        |request: &&Value| request["verb"] == "delete" && request["user"]["username"] == OPERATOR;
    for request in requests.iter().filter(by_operator) {
        let uid = &request["requestObject"]["preconditions"]["uid"];
        assert!(uid.is_string(), "by name alone: {}", request["requestURI"]);
    }

    // Two acts: of a claim, whose Database says then what is wrong; and of all.
    cluster.delete("database", NAMESPACE, "db");
    let confirm = |what: &[&str], name: &str| {
        let annotation = format!("trackbed.dev/confirm-deletion={name}");
        cluster.run(&[&["annotate"], what, &[&annotation]].concat(), "");
    };
    confirm(&["pvc", "db-data", "-n", NAMESPACE], "db-data");
    cluster.delete("pvc", NAMESPACE, "db-data");
    assert_eq!(lost(&cluster.audited(from)).len(), 1);
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: db, namespace: {NAMESPACE}}}\nspec: {{engine: Redis, version: \"7\", resources: {{requests: {{cpu: 20m}}}}}}\n"
    ));
    cluster.wait_reason("database", NAMESPACE, "db", "DataMissing", 180);
    database("given", "Delete");
    confirm(&["tdb", "given", "-n", NAMESPACE], "given");
    confirm(&["namespace", NAMESPACE], NAMESPACE);
    // Its finalizers wait for nobody, whatever goes first in it.
    let goes = ["delete", "namespace", NAMESPACE, "--timeout=300s"];
    cluster.run(&goes, "");
    cluster.wait("project", "", "deletion", "condition=Ready", 60);
}
