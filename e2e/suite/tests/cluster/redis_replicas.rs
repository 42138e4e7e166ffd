//! Several servers of Redis and of Valkey: one takes over from another, an emptied volume costs
//! nothing, and credentials, restarts, backups, suspension and deletion work as with one.
//!
//! Those of Redis encrypt. Of Valkey there is no build here that can.

use std::collections::BTreeSet;

use suite::{Client, Cluster, Value, eventually};

const NAMESPACE: &str = "redis-replicas-production";

fn manifest(name: &str, engine: &str, more: &str) -> String {
    format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\nspec: {{engine: {engine}, replicas: 3, storage: {{size: 256Mi}}, resources: {{requests: {{cpu: 20m, memory: 64Mi}}}}, {more}}}\n"
    )
}

/// Changes the spec.
fn patch(cluster: &Cluster, name: &str, spec: &str) {
    let patch = format!("{{\"spec\": {spec}}}");
    let words = ["patch", "tdb", name, "-n", NAMESPACE, "--type=merge"];
    cluster.run(&[&words[..], &["-p", &patch]].concat(), "");
}

/// The pods of its servers that are not ending.
fn servers(cluster: &Cluster, name: &str) -> Vec<Value> {
    let pods = cluster.list("pods", NAMESPACE);
    let of = |pod: &Value| {
        let labels = &pod["metadata"]["labels"];
        labels["trackbed.dev/database"] == name && labels["trackbed.dev/role"] == "database"
    };
    pods.into_iter().filter(of).collect()
}

/// The numbers of its volumes' claims.
fn volumes(cluster: &Cluster, name: &str) -> usize {
    let prefix = format!("data-{name}-");
    let named = |it: &&Value| {
        let name = it["metadata"]["name"].as_str().unwrap_or_default();
        name.starts_with(&prefix)
    };
    cluster.list("pvc", NAMESPACE).iter().filter(named).count()
}

/// Waits until so many servers are up, and gives the primary.
fn primary(cluster: &Cluster, name: &str, count: usize) -> String {
    let all = format!("{count}/{count}");
    eventually(300, || {
        let database = cluster.get("database", NAMESPACE, name);
        let (status, meta) = (&database["status"], &database["metadata"]);
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let is = |kind: &str| {
            let mut conditions = conditions.clone();
            conditions.any(|it| it["type"] == kind && it["status"] == "True")
        };
        let seen = status["observedGeneration"] == meta["generation"];
        let replication = &status["replication"];
        let up = replication["ready"] == all && servers(cluster, name).len() == count;
        match replication["primary"].as_str() {
            Some(primary) if seen && up && is("Ready") && is("Replicated") => {
                Ok(primary.to_owned())
            }
            _ => Err(format!("{status:#}")),
        }
    })
}

/// How a client in its pod is to enter the server.
const ENTERS: &str = r#"export REDISCLI_AUTH="$password"; case $uri in rediss:*) tls="--tls --cacert /binding/ca.crt";; esac; ask() { redis-cli -h "$host" $tls --user "$username" -e "$@"; };"#;

/// A client that goes on where it was when nobody answered, and prints each number that was
/// acknowledged, until there is a key `stop`.
fn goes_on(set: &str) -> String {
    format!(
        r#"{ENTERS} i=1; until [ "$(ask exists stop-{set} 2>&1)" = 1 ]; do ask sadd {set} $i >/dev/null 2>&1 && echo $i && i=$((i + 1)); done"#
    )
}

/// The containers of a pod that are up.
fn containers(cluster: &Cluster, pod: &str) -> BTreeSet<String> {
    let pods = cluster.list("pods", NAMESPACE);
    let named = |it: &&Value| it["metadata"]["name"] == pod;
    let all = pods.iter().find(named);
    let all = all.and_then(|it| it["status"]["containerStatuses"].as_array());
    let up = all.into_iter().flatten().filter(|it| it["ready"] == true);
    up.filter_map(|it| it["containerID"].as_str().map(str::to_owned))
        .collect()
}

/// Has a client write until the primary is taken away: what is there begins with the first and has no
/// gap. One that no write failed for goes on until another server is the primary.
fn another_takes_over(cluster: &Cluster, client: &Client, name: &str) {
    for round in ["killed", "deleted"] {
        let before = primary(cluster, name, 3);
        let taken = containers(cluster, &before);
        let write = format!(
            r#"{ENTERS} until [ "$(ask exists {round}-after)" = 1 ]; do ask rpush {round} $((i += 1)) || break; done"#
        );
        let mut writes = client.write(&write);
        writes.acknowledged(200);
        match round {
            "killed" => cluster.kill_pod(NAMESPACE, &before),
            // As a node does that is gone.
            _ => {
                let delete = ["delete", "pod", &before, "-n", NAMESPACE];
                cluster.run(
                    &[&delete[..], &["--force", "--grace-period=0"]].concat(),
                    "",
                );
            }
        }
        eventually(180, || match containers(cluster, &before) {
            up if !up.is_empty() && up.is_disjoint(&taken) => Ok(()),
            up => Err(format!("{up:?}")),
        });
        let after = primary(cluster, name, 3);
        // Another connection goes to whoever takes writes now.
        eventually(120, || client.ask(&format!("set {round}-after 1")));
        let acknowledged = writes.end();
        let found = client.ask(&format!("lrange {round} 0 -1"));
        let found = found.expect("the numbers");
        let found: Vec<u64> = found.lines().filter_map(|it| it.parse().ok()).collect();
        let kept = found.len() as u64;
        // The last ones may be gone, and one may be there whose acknowledgement never came.
        assert!(
            (100..=acknowledged + 1).contains(&kept),
            "{kept} of {acknowledged}"
        );
        assert!(
            found.into_iter().eq(1..=kept),
            "{round}: something is missing"
        );
        println!("{name} {round}: {before}, then {after}: {acknowledged} writes, {kept} kept");
    }
}

/// Somebody empties the primary's volume, and its server ends: nothing is lost, and clients that read
/// all the while are told what is there or an error, and never that there is nothing.
fn emptied(cluster: &Cluster, client: &Client, name: &str, container: &str) {
    let before = primary(cluster, name, 3);
    client.ask("set kept data").expect("it takes it");
    // Some 50 MB, so that the one whose volume is empty takes a moment to have them again.
    let fills =
        r#"ask eval 'for i = 1, 20000 do redis.call("hset", "fill", i, string.rep(i, 500)) end' 0"#;
    let filled = client.write(&format!("{ENTERS} {fills} >/dev/null && echo 1"));
    assert_eq!(filled.end(), 1);
    let written = eventually(60, || client.ask("dbsize"));
    // Who reads nothing, or anything else, leaves a file that says so, and has all of them end.
    let mut reads = client.write(&format!(
        r#"{ENTERS} reads() {{ until [ -e /tmp/wrong ] || [ "$(ask exists emptied 2>&1)" = 1 ]; do read=$(ask get kept 2>/dev/null) || continue; [ "$read" = data ] || touch /tmp/wrong; [ $1 = 1 ] && [ ! -e /tmp/wrong ] && echo $((i += 1)); done; }}; for reader in 2 3 4; do reads $reader & done; reads 1; wait"#
    ));
    reads.acknowledged(10);
    let empty = ["exec", "-n", NAMESPACE, &before, "-c", container, "--"];
    let words = ["sh", "-c", "rm -rf /data/*"];
    cluster.run(&[&empty[..], &words].concat(), "");
    cluster.kill_pod(NAMESPACE, &before);
    eventually(120, || client.ask("set more data"));
    let after = primary(cluster, name, 3);
    assert_ne!(before, after, "whose data are gone is the primary no more");
    client.ask("del more").expect("it takes it");
    assert_eq!(eventually(60, || client.ask("dbsize")), written);
    client.ask("set emptied 1").expect("it takes it");
    let reads = reads.end();
    let right = client.write("[ ! -e /tmp/wrong ] && echo 1");
    assert_eq!(right.end(), 1, "something else was read than what is there");
    client.ask("del fill").expect("it takes it");
    println!("{name}: {before} was emptied, then {after}: nothing lost, {reads} reads");
}

fn sleeps_and_wakes(cluster: &Cluster, client: &Client, name: &str) {
    let written = client.ask("dbsize").expect("a number");
    patch(cluster, name, r#"{"suspend": true}"#);
    cluster.wait_reason("database", NAMESPACE, name, "Suspended", 180);
    assert!(servers(cluster, name).is_empty());
    patch(cluster, name, r#"{"suspend": false}"#);
    primary(cluster, name, 3);
    assert_eq!(eventually(60, || client.ask("dbsize")), written);
}

/// A change that needs a restart, while a client writes: not one acknowledged write is lost.
fn restarts_lose_nothing(cluster: &Cluster, client: &Client) {
    let uids = || {
        let all = servers(cluster, "db");
        let uids = all.iter().map(|it| it["metadata"]["uid"].to_string());
        uids.collect::<BTreeSet<_>>()
    };
    let before = uids();
    let mut writes = client.write(&goes_on("restart"));
    writes.acknowledged(50);
    patch(cluster, "db", r#"{"parameters": {"maxclients": "5000"}}"#);
    eventually(300, || match uids().intersection(&before).count() {
        0 => Ok(()),
        left => Err(format!("{left} are as they were")),
    });
    primary(cluster, "db", 3);
    writes.acknowledged(50);
    eventually(60, || client.ask("set stop-restart 1"));
    let acknowledged = writes.end();
    let found = client.ask("scard restart").expect("a number");
    assert_eq!(found, acknowledged.to_string());
    println!("all were restarted: {acknowledged} writes, none lost");
    let set = client.ask("config get maxclients").expect("a setting");
    assert!(set.ends_with("5000"), "{set}");
}

/// Two more servers, and two fewer: the volumes stay.
fn more_and_fewer(cluster: &Cluster, client: &Client) {
    let written = client.ask("dbsize").expect("a number");
    patch(cluster, "db", r#"{"replicas": 5}"#);
    primary(cluster, "db", 5);
    patch(cluster, "db", r#"{"replicas": 3}"#);
    primary(cluster, "db", 3);
    assert_eq!(volumes(cluster, "db"), 5);
    assert_eq!(eventually(60, || client.ask("dbsize")), written);
}

/// Who does not encrypt is told nothing: neither at the address nor by servers and Sentinels, which
/// would ask for a password.
fn nobody_is_answered_in_the_clear(cluster: &Cluster) {
    let runs = |pod: &str, container: &str, script: &str| {
        let exec = ["exec", "-n", NAMESPACE, pod, "-c", container, "--"];
        let output = cluster.kubectl(&[&exec[..], &["sh", "-c", script]].concat(), "");
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&said).into_owned()
    };
    let clear = r#"exec redis-cli -u "redis://${uri#rediss://}" --no-auth-warning ping"#;
    let said = runs("client", "client", clear);
    assert!(!said.contains("PONG"), "{said}");
    for port in [6380, 26379] {
        let asks = |how: &str| {
            let script = format!("exec redis-cli -p {port} {how} ping");
            runs("db-0", "redis", &script).contains("NOAUTH")
        };
        assert!(asks("--tls --insecure"), "{port} asks who it is");
        assert!(!asks(""), "{port} is open to whoever does not encrypt");
    }
}

/// Has the operator make another certificate, as it does when one is about to end, the next time
/// that it looks.
fn renew(cluster: &Cluster) {
    let ends = "trackbed.dev/renew=2000-01-01T00:00:00Z";
    let words = ["annotate", "secret", "db-tls", "-n", NAMESPACE];
    cluster.run(&[&words[..], &["--overwrite", ends]].concat(), "");
}

/// It is shown by servers and Sentinels, and no server is restarted for it.
fn another_certificate_is_shown(cluster: &Cluster) {
    // The kubelet brings it to a pod when it looks at it: by itself, within two minutes.
    let look = ["annotate", "pods", "db-0", "db-1", "-n", NAMESPACE];
    cluster.run(&[&look[..], &["e2e=look"]].concat(), "");
    for pod in ["db-0", "db-1"] {
        for (container, says) in [
            ("redis", "certificate changed, and the server knows"),
            ("sentinel", "certificate changed, the Sentinel starts anew"),
        ] {
            let logs = ["logs", pod, "-c", container, "-n", NAMESPACE];
            eventually(180, || {
                let said = cluster.run(&logs, "");
                let shown = said.contains(says);
                shown.then_some(()).ok_or(said)
            });
        }
    }
    primary(cluster, "db", 3);
}

/// Without encryption from now on: those that encrypt and those that do not would turn each other
/// away, so all end, and begin with what they had.
fn in_the_clear(cluster: &Cluster, client: &Client) -> Client {
    let written = client.ask("dbsize").expect("a number");
    patch(cluster, "db", r#"{"tls": null}"#);
    primary(cluster, "db", 3);
    let clear = cluster.client(NAMESPACE, "db", "clear");
    assert_eq!(clear.ask("dbsize"), Ok(written));
    clear
}

/// Other credentials, while those of before go on.
fn credentials_change(cluster: &Cluster, old: &Client) {
    patch(cluster, "db", r#"{"credentials": {"rotate": "first"}}"#);
    let done = "jsonpath={.status.credentials.rotate}=first";
    cluster.wait("database", NAMESPACE, "db", done, 300);
    let new = cluster.client(NAMESPACE, "db", "new");
    assert_eq!(new.ask("acl whoami").as_deref(), Ok("app_2"));
    assert_eq!(old.ask("acl whoami").as_deref(), Ok("app"));
}

/// A backup is taken through the address and proven, and several servers begin with it.
fn backup_comes_back(cluster: &Cluster, written: &str) {
    let backup = r#"{"backup": {"request": "one", "destination": {"volume": {"size": "256Mi"}}}}"#;
    patch(cluster, "db", backup);
    let done = "jsonpath={.status.backup.request}=one";
    cluster.wait("database", NAMESPACE, "db", done, 240);
    cluster.wait("database", NAMESPACE, "db", "condition=BackupReady", 60);
    let restore = "version: '7', restore: {from: {database: db}}";
    cluster.apply(&manifest("heir", "Redis", restore));
    primary(cluster, "heir", 3);
    let heir = cluster.client(NAMESPACE, "heir", "heir-client");
    assert_eq!(heir.ask("dbsize").as_deref(), Ok(written));
    cluster.delete("pod", NAMESPACE, "heir-client");
    // Three servers that nobody asks any more.
    cluster.delete("database", NAMESPACE, "heir");
}

/// Gone under the policy Retain, and taken up again; and two acts take them.
fn data_stay_and_go(cluster: &Cluster, client: &Client) {
    let written = client.ask("dbsize").expect("a number");
    cluster.delete("database", NAMESPACE, "db");
    eventually(180, || match servers(cluster, "db").len() {
        0 => Ok(()),
        left => Err(format!("{left} pods")),
    });
    let delete = [
        "delete",
        "pvc",
        "data-db-1",
        "-n",
        NAMESPACE,
        "--wait=false",
    ];
    let said = cluster.kubectl(&delete, "").stderr;
    let said = String::from_utf8_lossy(&said);
    assert!(
        said.contains("confirm that first by kubectl annotate"),
        "{said}"
    );
    let more = "version: '7', credentials: {rotate: first}, deletionPolicy: Delete";
    cluster.apply(&manifest("db", "Redis", more));
    primary(cluster, "db", 3);
    assert_eq!(eventually(60, || client.ask("dbsize")), written);
    let confirm = "trackbed.dev/confirm-deletion=db";
    cluster.run(&["annotate", "tdb", "db", "-n", NAMESPACE, confirm], "");
    cluster.delete("database", NAMESPACE, "db");
    eventually(120, || match volumes(cluster, "db") {
        0 => Ok(()),
        left => Err(format!("{left} volumes")),
    });
}

#[test]
fn several_servers_of_redis_keep_what_one_would() {
    let cluster = Cluster::connect();
    let _project = cluster.project("redis-replicas");
    // Side by side: the second has a project of the first.
    let encrypts = "version: '7', tls: {mode: Require}";
    cluster.apply(&manifest("db", "Redis", encrypts));
    cluster.apply(&manifest("valkey", "Valkey", "version: '9'"));
    primary(&cluster, "db", 3);
    let client = cluster.client(NAMESPACE, "db", "client");
    another_takes_over(&cluster, &client, "db");
    emptied(&cluster, &client, "db", "redis");
    nobody_is_answered_in_the_clear(&cluster);
    restarts_lose_nothing(&cluster, &client);
    renew(&cluster);
    more_and_fewer(&cluster, &client);
    another_certificate_is_shown(&cluster);
    primary(&cluster, "valkey", 3);
    let valkey = cluster.client(NAMESPACE, "valkey", "client-valkey");
    another_takes_over(&cluster, &valkey, "valkey");
    emptied(&cluster, &valkey, "valkey", "valkey");
    sleeps_and_wakes(&cluster, &valkey, "valkey");
    cluster.delete("database", NAMESPACE, "valkey");
    credentials_change(&cluster, &client);
    let written = client.ask("dbsize").expect("a number");
    backup_comes_back(&cluster, &written);
    let client = in_the_clear(&cluster, &client);
    data_stay_and_go(&cluster, &client);
}
