//! A Database's volume grows: its server goes on, and so does a client that writes.

use suite::{Cluster, Writes, eventually};

const NAMESPACE: &str = "growth-production";
const DATABASES: [(&str, &str, &str); 2] = [("pg", "Postgres", "17"), ("redis", "Redis", "7")];
/// Each writes until it is told to stop, at a pace that leaves something to others.
const WRITES: [&str; 2] = [
    r#"until [ -e /tmp/stop ]; do seq $((n + 1)) $((n + 50)) | sed 's/.*/insert into log select & from pg_sleep(0.02) returning n;/' | psql "$uri" --no-psqlrc -v ON_ERROR_STOP=1 -Atq || exit; n=$((n + 50)); done"#,
    r#"until [ -e /tmp/stop ]; do redis-cli -u "$uri" --no-auth-warning -e -r 50 -i 0.02 rpush log word || exit; done"#,
];
/// How many there are.
const COUNTS: [&str; 2] = ["select count(*) from log", "llen log"];

fn apply(cluster: &Cluster, size: &str) {
    for (name, engine, version) in DATABASES {
        cluster.apply(&format!(
            "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\nspec:\n  engine: {engine}\n  version: \"{version}\"\n  storage: {{size: {size}, className: e2e-csi}}\n  resources: {{requests: {{cpu: 20m}}}}\n"
        ));
    }
}

/// Waits until the Database says that it is well and has that much.
fn has(cluster: &Cluster, name: &str, size: &str) {
    let says = format!("jsonpath={{.status.storage}}={size}");
    cluster.wait("database", NAMESPACE, name, &says, 60);
    cluster.ready("database", NAMESPACE, name, 60);
}

/// What must stay the same: the claim, its volume, the pod and its server.
fn kept(cluster: &Cluster, name: &str) -> [String; 4] {
    let claim = cluster.get("pvc", NAMESPACE, &format!("{name}-data"));
    let pod = cluster.get("pod", NAMESPACE, &format!("{name}-0"));
    let server = &pod["status"]["containerStatuses"][0];
    [
        claim["metadata"]["uid"].to_string(),
        claim["spec"]["volumeName"].to_string(),
        pod["metadata"]["uid"].to_string(),
        server["containerID"].to_string(),
    ]
}

/// Size of the file system that the server sees, in MiB.
fn room(cluster: &Cluster, name: &str) -> u64 {
    let pod = format!("{name}-0");
    let exec = ["exec", "-n", NAMESPACE, &pod, "--", "df", "-m"];
    let said = cluster.run(&[&exec[..], &["--output=size", "/data"]].concat(), "");
    let size = said.lines().last().and_then(|it| it.trim().parse().ok());
    size.unwrap_or_else(|| panic!("df says {said}"))
}

#[test]
fn a_volume_grows_under_a_server_that_goes_on() {
    let cluster = Cluster::connect();
    let _project = cluster.project("growth");
    apply(&cluster, "512Mi");
    let clients = DATABASES.map(|(name, ..)| {
        cluster.wait("database", NAMESPACE, name, "condition=Ready", 300);
        has(&cluster, name, "512Mi");
        let size = room(&cluster, name);
        assert!(size <= 512, "{name} has {size} MiB");
        cluster.client(NAMESPACE, name, &format!("client-{name}"))
    });
    let [pg, redis] = &clients;
    let rows = "create table log (n int); create table kept (n int, word text); insert into kept select n, 'row ' || n from generate_series(1, 10000) n";
    pg.ask(rows).expect("rows");
    redis.ask("set kept counter").expect("a word");
    let all = "select md5(string_agg(word, ',' order by n)) from kept";
    let written = pg.ask(all).expect("a digest");
    let before = DATABASES.map(|(name, ..)| kept(&cluster, name));

    let mut writes: Vec<Writes> = clients
        .iter()
        .zip(WRITES)
        .map(|(it, script)| it.write(script))
        .collect();
    writes.iter_mut().for_each(|it| it.acknowledged(100));
    apply(&cluster, "1Gi");
    for (name, ..) in DATABASES {
        // The driver grows the volume, and then the kubelet has it grow the file system. A kubelet
        // looks at a pod's volumes about once a minute, and when something about the pod changes.
        let claim = format!("{name}-data");
        let volume = cluster.get("pvc", NAMESPACE, &claim)["spec"]["volumeName"].clone();
        let volume = volume.as_str().expect("a volume");
        let grown = "jsonpath={.spec.capacity.storage}=1Gi";
        cluster.wait("pv", NAMESPACE, volume, grown, 120);
        let pod = format!("{name}-0");
        cluster.run(&["annotate", "pod", &pod, "-n", NAMESPACE, "e2e=look"], "");
        let grown = "jsonpath={.status.capacity.storage}=1Gi";
        cluster.wait("pvc", NAMESPACE, &claim, grown, 180);
        has(&cluster, name, "1Gi");
        let size = room(&cluster, name);
        assert!((513..=1024).contains(&size), "{name} has {size} MiB");
        println!("{name}: {size} MiB");
    }
    for ((client, count), writes) in clients.iter().zip(COUNTS).zip(&mut writes) {
        let there = client.ask(count).expect("a count").parse();
        // A hundred were read before.
        writes.acknowledged(there.expect("a number"));
    }

    for (name, ..) in DATABASES {
        let client = format!("client-{name}");
        let stop = ["exec", "-n", NAMESPACE, &client, "--", "touch", "/tmp/stop"];
        cluster.run(&stop, "");
    }
    let acknowledged: Vec<u64> = writes.into_iter().map(Writes::end).collect();
    let [rows, words] = [acknowledged[0], acknowledged[1]];
    println!("{rows} rows and {words} words written meanwhile");
    let found = eventually(60, || pg.ask("select count(*), max(n) from log"));
    assert_eq!(found, format!("{rows}|{rows}"));
    let found = eventually(60, || redis.ask(COUNTS[1]));
    assert_eq!(found, words.to_string());
    assert_eq!(pg.ask(all), Ok(written));
    assert_eq!(redis.ask("get kept").as_deref(), Ok("counter"));
    let after = DATABASES.map(|(name, ..)| kept(&cluster, name));
    assert_eq!(after, before);
}

#[test]
fn a_volume_that_cannot_grow_is_named_and_its_size_may_be_set_back() {
    let cluster = Cluster::connect();
    let _project = cluster.project("fixed");
    let namespace = "fixed-production";
    let size = |size: &str| {
        cluster.apply(&format!(
            "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: db, namespace: {namespace}}}\nspec: {{engine: Redis, version: '7', storage: {{size: {size}}}, resources: {{requests: {{cpu: 20m}}}}}}\n"
        ));
    };
    size("256Mi");
    cluster.wait("database", namespace, "db", "condition=Ready", 300);
    let has = "jsonpath={.status.storage}=256Mi";
    cluster.wait("database", namespace, "db", has, 60);
    let client = cluster.client(namespace, "db", "client");
    client.ask("set kept counter").expect("a word");
    let pod = cluster.get("pod", namespace, "db-0")["metadata"]["uid"].clone();

    // The cluster's own class cannot.
    size("1Gi");
    let said = cluster.wait_reason("database", namespace, "db", "StorageCannotGrow", 60);
    assert!(said.contains("the server runs on"), "{said}");
    assert_eq!(client.ask("get kept").as_deref(), Ok("counter"));
    let patch = r#"{"spec": {"storage": {"size": "128Mi"}}}"#;
    let words = [
        "patch",
        "tdb",
        "db",
        "-n",
        namespace,
        "--type=merge",
        "-p",
        patch,
    ];
    let output = cluster.kubectl(&words, "");
    let smaller = String::from_utf8_lossy(&output.stderr);
    assert!(smaller.contains("below what the volume has"), "{smaller}");
    size("256Mi");
    cluster.wait("database", namespace, "db", "condition=Ready", 60);
    let now = cluster.get("pod", namespace, "db-0")["metadata"]["uid"].clone();
    assert_eq!(now, pod, "it went on");
}
