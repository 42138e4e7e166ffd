//! The operator is killed again and again: while a push is on its way, and in each of its writes while
//! a database is made, changed, put to sleep and woken.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use rand::RngExt;
use suite::{Cluster, Gate, Value, eventually};

const PAGE: &str = "FROM busybox:1.36\nCOPY index.html /www/index.html\nUSER 1000\nCMD [\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n";

/// Has a new pod start at once, without the kubelet's back-off.
fn at_once(cluster: &Cluster) {
    let namespace = ["delete", "-n", "trackbed-system"];
    let pods = ["pods", "--all", "--force", "--grace-period=0"];
    cluster.run(&[&namespace[..], &pods].concat(), "");
    // Nobody holds it any more: what would be waited for is that it runs out.
    let lease = ["lease", "trackbed", "--ignore-not-found"];
    cluster.run(&[&namespace[..], &lease].concat(), "");
}

#[test]
fn each_test_in_its_turn() {
    // Both want the operator for themselves.
    ten_kills_during_pushes_change_nothing();
    a_kill_in_each_write_loses_nothing_of_a_database();
    a_kill_in_each_write_loses_nothing_of_several_servers();
}

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
            at_once(&cluster);
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

/// Kills the operator in the middle of each of its writes, once for each object and kind of write, and
/// has another one go on at once. Gives how many there were.
fn killing(cluster: &Cluster, namespace: &str) -> (Gate, Arc<Mutex<BTreeSet<String>>>) {
    let known = Arc::new(Mutex::new(BTreeSet::new()));
    let (of_gate, shared) = (cluster.clone(), known.clone());
    let gate = cluster.gate(namespace, move |request| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let [verb, name] = [&request["operation"], &request["name"]].map(text);
        let resource = text(&request["resource"]["resource"]);
        let part = text(&request["subResource"]);
        // Whoever comes next waits: one is killed at a time.
        let mut known = shared.lock().expect("nobody panics");
        if known.insert(format!("{verb} {resource}/{name} {part}")) {
            of_gate.kill_operator();
            at_once(&of_gate);
        }
    });
    (gate, known)
}

/// Applies a change of a Database, waits until it is through, and gives how often the operator was
/// killed.
fn change(
    cluster: &Cluster,
    namespace: &str,
    kills: &Mutex<BTreeSet<String>>,
    spec: &str,
    reason: &str,
) -> usize {
    kills.lock().expect("nobody panics").clear();
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: db, namespace: {namespace}}}\nspec: {{engine: Postgres, version: '17', resources: {{requests: {{cpu: 20m}}}}, {spec}}}\n"
    ));
    eventually(400, || {
        let found = cluster.get("database", namespace, "db");
        let status = &found["status"];
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let mut ready = conditions.filter(|it| it["type"] == "Ready");
        let current = status["observedGeneration"] == found["metadata"]["generation"];
        match current && ready.any(|it| it["reason"] == reason) {
            true => Ok(()),
            false => Err(format!("{status:#}")),
        }
    });
    let killed = kills.lock().expect("nobody panics").clone();
    println!("{} kills: {killed:?}", killed.len());
    killed.len()
}

/// Names of all objects of a kind.
fn names(cluster: &Cluster, namespace: &str, kind: &str) -> Vec<String> {
    let list = cluster.list(kind, namespace);
    let name = |it: &Value| it["metadata"]["name"].as_str().unwrap_or("").to_owned();
    list.iter().map(name).collect()
}

/// Deletions in a namespace by whomever, but of pods.
fn deletions(requests: &[Value], namespace: &str) -> Vec<String> {
    let deletes = requests.iter().filter(|it| {
        let object = &it["objectRef"];
        it["verb"] == "delete" && object["namespace"] == namespace && object["resource"] != "pods"
    });
    deletes
        .map(|it| format!("{} by {}", it["requestURI"], it["user"]["username"]))
        .collect()
}

fn a_kill_in_each_write_loses_nothing_of_several_servers() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("killed-several");
    let begin = cluster.audit_position();
    let (_gate, kills) = killing(&cluster, &namespace);
    let spec = "storage: {size: 512Mi}, replicas: 2";
    let made = change(&cluster, &namespace, &kills, spec, "Ready");
    let client = cluster.client(&namespace, "db", "client");
    let fill = "create table kept as select 42 as n";
    client.ask(fill).expect("it takes it");
    let get = || cluster.get("database", &namespace, "db");
    let identity = get()["status"]["identity"].clone();
    let servers = || cluster.get("clusters.postgresql.cnpg.io", &namespace, "db");
    let uid = servers()["metadata"]["uid"].clone();
    // It goes, and what it had stays without pods.
    kills.lock().expect("nobody panics").clear();
    cluster.delete("database", &namespace, "db");
    let gone = kills.lock().expect("nobody panics").clone();
    println!("{} kills: {gone:?}", gone.len());
    assert_eq!(
        servers()["metadata"]["annotations"]["cnpg.io/hibernation"],
        "on"
    );
    let back = change(&cluster, &namespace, &kills, spec, "Ready");
    assert!(made >= 8 && !gone.is_empty() && back >= 3);
    cluster.operator_ready();
    assert_eq!(eventually(120, || client.ask("select n from kept")), "42");
    assert_eq!(get()["status"]["identity"], identity);
    assert_eq!(servers()["metadata"]["uid"], uid, "they were made once");
    assert_eq!(
        names(&cluster, &namespace, "persistentvolumeclaims"),
        ["db-1", "db-2"]
    );
    let deleted = deletions(&cluster.audited(begin), &namespace);
    let data = |it: &&String| {
        ["clusters", "claims", "secrets"]
            .iter()
            .any(|of| it.contains(of))
    };
    assert_eq!(deleted.iter().find(data), None, "{deleted:?}");
}

fn a_kill_in_each_write_loses_nothing_of_a_database() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("killed");
    let begin = cluster.audit_position();
    let (_gate, kills) = killing(&cluster, &namespace);
    let get = || cluster.get("database", &namespace, "db");
    let change = |more: &str, reason: &str| {
        let spec = format!("storage: {{size: 256Mi}}{more}");
        change(&cluster, &namespace, &kills, &spec, reason)
    };
    let made = change("", "Ready");
    let client = cluster.client(&namespace, "db", "client");
    let fill = "create table kept as select 42 as n";
    client.ask(fill).expect("it takes it");
    let identity = get()["status"]["identity"].clone();
    let changed = change(", parameters: {max_connections: '50'}", "Ready");
    let slept = change(", suspend: true", "Suspended");
    let woken = change("", "Ready");
    assert!(made >= 9 && changed >= 2 && slept >= 1 && woken >= 1);
    // The same data under the same credentials, and everything was made once.
    cluster.operator_ready();
    eventually(60, || match client.ask("select n from kept") {
        Ok(answer) if answer == "42" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(get()["status"]["identity"], identity);
    let names = |kind: &str| names(&cluster, &namespace, kind);
    assert_eq!(names("persistentvolumeclaims"), ["db-data"]);
    assert_eq!(names("statefulsets"), ["db"]);
    let deleted = deletions(&cluster.audited(begin), &namespace);
    assert!(deleted.is_empty(), "{deleted:?}");
}
