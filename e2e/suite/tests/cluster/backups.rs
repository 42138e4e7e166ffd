//! Backups are taken, proven and kept; a new Database begins with one, also without the Database
//! that it is of; one that is spoilt is named, and nothing is made of it.

use age::secrecy::ExposeSecret;
use suite::{Bucket, Client, Cluster, eventually};

const VOLUME: &str = "destination: {volume: {size: 256Mi}}, retain: {count: 2}";

fn manifest(namespace: &str, name: &str, more: &str) -> String {
    let engine = match name {
        "clone" => "engine: Postgres, version: '18'",
        it if it.contains("redis") => "engine: Redis, version: '7'",
        _ => "engine: Postgres, version: '17'",
    };
    format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{engine}, storage: {{size: 512Mi}}, resources: {{requests: {{cpu: 20m}}}}, {more}}}\n"
    )
}

fn database(cluster: &Cluster, namespace: &str, name: &str, more: &str) {
    cluster.apply(&manifest(namespace, name, more));
}

/// The bucket's key.
const KEY: &str = "canary-of-the-bucket";

/// Asks for a backup, waits until it is proven, and gives its name.
fn back_up(cluster: &Cluster, namespace: &str, name: &str, request: &str, more: &str) -> String {
    let newest = || {
        let status = cluster.get("database", namespace, name)["status"].clone();
        let backup = &status["backup"];
        let newest = backup["newest"][0]["name"].as_str().map(str::to_owned);
        (newest, backup["last"] == backup["lastVerified"], status)
    };
    let (before, ..) = newest();
    let backup = format!("backup: {{request: {request}, {more}}}");
    database(cluster, namespace, name, &backup);
    let done = format!("jsonpath={{.status.backup.request}}={request}");
    cluster.wait("database", namespace, name, &done, 240);
    cluster.wait("database", namespace, name, "condition=BackupReady", 30);
    eventually(30, || match newest() {
        (Some(taken), true, _) if Some(&taken) != before.as_ref() => Ok(taken),
        (.., status) => Err(format!("{status:#}")),
    })
}

/// A Database that begins with a backup, and a client of it.
fn restored(cluster: &Cluster, namespace: &str, name: &str, restore: &str) -> Client {
    database(cluster, namespace, name, &format!("restore: {{{restore}}}"));
    cluster.ready("database", namespace, name, 300);
    cluster.client(namespace, name, &format!("client-{name}"))
}

/// Waits until a restore fails for that reason; nothing of it may be on its volume, and no server.
fn fails(cluster: &Cluster, namespace: &str, name: &str, restore: &str, reason: &str, says: &str) {
    database(cluster, namespace, name, &format!("restore: {{{restore}}}"));
    let message = cluster.wait_reason("database", namespace, name, reason, 300);
    assert!(message.contains(says), "{message}");
    let sets = cluster.run(&["get", "statefulsets", "-n", namespace, "-o", "name"], "");
    assert!(!sets.contains(&format!("/{name}\n")), "{sets}");
    println!("{name}: {reason}: {message}");
}

/// Runs a line of shell in the folder with the backups of an identity.
fn touch(cluster: &Cluster, namespace: &str, identity: &str, line: &str) {
    let image = cluster.busybox();
    cluster.delete("pod", namespace, "hand");
    cluster.apply(&format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{name: hand, namespace: {namespace}}}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  securityContext: {{runAsUser: 999, runAsGroup: 999}}
  containers:
    - name: hand
      image: {image}
      command: [sh, -euc, "cd /backups/{identity}; {line}"]
      resources: {{requests: {{cpu: 5m}}}}
      volumeMounts: [{{name: backups, mountPath: /backups}}]
  volumes: [{{name: backups, persistentVolumeClaim: {{claimName: db-backups}}}}]
"#
    ));
    let done = "jsonpath={.status.phase}=Succeeded";
    cluster.wait("pod", namespace, "hand", done, 60);
}

#[test]
fn what_was_backed_up_comes_back_or_says_why_not() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("backups");
    database(&cluster, &namespace, "db", "");
    cluster.ready("database", &namespace, "db", 300);
    let client = cluster.client(&namespace, "db", "client");
    let fill = "create extension pg_trgm; create table kept (id bigserial primary key, word text); create index on kept using gin (word gin_trgm_ops); insert into kept (word) select 'word ' || n from generate_series(1, 20000) n; create view words as select word from kept";
    client.ask(fill).expect("it takes them");
    let count = "select count(*) from words";
    let first = back_up(&cluster, &namespace, "db", "one", VOLUME);
    client
        .ask("insert into kept (word) values ('later')")
        .expect("it takes it");
    let second = back_up(&cluster, &namespace, "db", "two", VOLUME);
    assert_ne!(first, second);

    // A clone has what there was then, and goes on by itself: here in a later major version.
    let from = format!("backup: {first}, from: {{database: db}}");
    let clone = restored(&cluster, &namespace, "clone", &from);
    assert_eq!(clone.ask(count).as_deref(), Ok("20000"));
    let next = "insert into kept (word) values ('next') returning id";
    assert_eq!(clone.ask(next).as_deref(), Ok("20001"));

    // Two stay, and what is spoilt is named.
    let third = back_up(&cluster, &namespace, "db", "three", VOLUME);
    let status = cluster.get("database", &namespace, "db")["status"].clone();
    assert_eq!(status["backup"]["count"], 2, "{status:#}");
    let identity = status["identity"].as_str().expect("one").to_owned();
    let gone = format!("backup: {first}, from: {{database: db}}");
    fails(&cluster, &namespace, "gone", &gone, "BackupMissing", &first);
    let cut = format!("truncate -s 100 {second}/data.zst; mkdir ../other; cp -r {third} ../other/");
    touch(&cluster, &namespace, &identity, &cut);
    let short = format!("backup: {second}, from: {{database: db}}");
    fails(
        &cluster,
        &namespace,
        "short",
        &short,
        "BackupTruncated",
        &second,
    );
    let foreign =
        format!("backup: {third}, from: {{volume: {{claimName: db-backups}}, identity: other}}");
    fails(
        &cluster,
        &namespace,
        "foreign",
        &foreign,
        "BackupForeign",
        &identity,
    );
    let tamper =
        format!("rm -r ../other; printf x | dd of={third}/data.zst bs=1 seek=5000 conv=notrunc");
    touch(&cluster, &namespace, &identity, &tamper);
    let bad = format!("backup: {third}, from: {{database: db}}");
    fails(&cluster, &namespace, "bad", &bad, "BackupTampered", &third);

    // Data are not restored over.
    let over = manifest(&namespace, "db", "restore: {from: {database: clone}}");
    let refused = cluster.refused(&over);
    assert!(
        refused.contains("what a new Database begins with"),
        "{refused}"
    );

    // The next one is good again, and serves without the Database that it is of: what was asked for
    // in vain before is tried anew as soon as it is corrected.
    let fourth = back_up(&cluster, &namespace, "db", "four", VOLUME);
    cluster.delete("database", &namespace, "db");
    let alone = "from: {volume: {claimName: db-backups}}";
    let heir = restored(&cluster, &namespace, "gone", alone);
    assert_eq!(heir.ask(count).as_deref(), Ok("20001"));
    println!("{fourth} of {identity} was restored");

    // Nobody takes the backups by one word.
    let output = cluster.kubectl(&["delete", "pvc", "db-backups", "-n", &namespace], "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("confirm-deletion"), "{said}");
}

#[test]
fn a_bucket_keeps_them_for_whoever_has_its_key() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("buckets");
    let bucket = Bucket::start("acme", "trackbed", KEY);
    // Both become ready at the same time.
    database(&cluster, &namespace, "db", "");
    database(&cluster, &namespace, "redis", "");
    let secret = |name: &str, key: &str| {
        cluster.apply(&format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\nstringData: {{AWS_ACCESS_KEY_ID: trackbed, AWS_SECRET_ACCESS_KEY: {key}}}\n"
        ));
    };
    secret("keys", KEY);
    secret("wrong", "something-else");
    let identity = age::x25519::Identity::generate().to_string();
    let seal = identity.expose_secret();
    cluster.apply(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: seal, namespace: {namespace}}}\nstringData: {{age.agekey: {seal}}}\n"
    ));
    let s3 = |secret: &str| {
        let endpoint = &bucket.endpoint;
        format!(
            "s3: {{bucket: acme, endpoint: '{endpoint}', prefix: shop/production, secretRef: {{name: {secret}}}}}"
        )
    };
    cluster.ready("database", &namespace, "db", 300);
    let client = cluster.client(&namespace, "db", "client");
    let fill = "create table kept (id bigserial primary key, word text); insert into kept (word) select repeat(md5(n::text), 100) from generate_series(1, 20000) n";
    client.ask(fill).expect("it takes them");

    // Each way to be turned away has its reason and its Event; the schedule goes on.
    for (name, reason) in [
        ("wrong", "BackupRefused"),
        ("missing", "DestinationInvalid"),
    ] {
        let destination = format!("request: {name}, destination: {{{}}}", s3(name));
        database(
            &cluster,
            &namespace,
            "db",
            &format!("backup: {{{destination}}}"),
        );
        let said =
            format!("jsonpath={{.status.conditions[?(@.type==\"BackupReady\")].reason}}={reason}");
        cluster.wait("database", &namespace, "db", &said, 240);
        let field = format!("reason={reason}");
        let events = ["get", "events", "-n", &namespace, "-o", "name"];
        let events = [&events[..], &["--field-selector", &field]].concat();
        eventually(30, || match cluster.run(&events, "") {
            none if none.is_empty() => Err(format!("no Event {reason}")),
            _ => Ok(()),
        });
    }
    let sealed = "encryption: {secretRef: {name: seal}}";
    let destination = format!("destination: {{{}}}, {sealed}", s3("keys"));
    let name = back_up(&cluster, &namespace, "db", "right", &destination);
    // The keys are in their Secrets and nowhere else.
    let nowhere_else = |said: &str| {
        let kinds = "databases.trackbed.dev,cronjobs,jobs,pods,events,configmaps";
        let all = cluster.run(&["get", kinds, "-n", &namespace, "-o", "yaml"], "");
        assert!(!all.contains(KEY) && !all.contains(seal));
        let who = "trackbed.dev/role in (backup, restore)";
        let logs = ["logs", "-n", &namespace, "-l", who, "--all-containers"];
        // Those that failed have containers that never began.
        let logs = cluster.run(&[&logs[..], &["--tail=-1", "--ignore-errors"]].concat(), "");
        assert!(logs.contains(said), "{logs}");
        assert!(!logs.contains(KEY) && !logs.contains(seal), "{logs}");
    };
    nowhere_else("trackbed: takes the backup");

    // Redis beside it, under the same prefix.
    cluster.ready("database", &namespace, "redis", 300);
    let client = cluster.client(&namespace, "redis", "redis-client");
    // The client's shell takes words apart: comments stand for spaces.
    let fill = "eval for--[[]]i=1,(20000)do--[[]]redis.call('set','key:'..i,i)end 0";
    let others = [
        "setex soon 1 gone",
        "setex late 86400 here",
        "xadd log 1-1 a b",
    ];
    for command in [&[fill], &others[..]].concat() {
        client.ask(command).expect("it takes it");
    }
    let redis = back_up(&cluster, &namespace, "redis", "one", &destination);
    client.ask("set later 1").expect("it takes it");
    let from = "from: {database: redis}";
    let clone = restored(&cluster, &namespace, "redis-clone", from);
    assert_eq!(clone.ask("get key:20000").as_deref(), Ok("20000"));
    assert_eq!(clone.ask("get late").as_deref(), Ok("here"));
    assert_eq!(clone.ask("dbsize").as_deref(), Ok("20002"));
    clone.ask("set own 1").expect("it goes on by itself");
    // Its files are the server's own now.
    cluster.delete("pod", &namespace, "redis-clone-0");
    cluster.ready("database", &namespace, "redis-clone", 120);
    eventually(60, || match clone.ask("dbsize") {
        Ok(size) if size == "20003" => Ok(()),
        other => Err(format!("{other:?}")),
    });

    // Whose is to be said, where there are several; and Postgres reads nothing of Redis.
    let anyone = format!("from: {{{}}}", s3("keys"));
    let several = "several Databases";
    fails(
        &cluster,
        &namespace,
        "anyone",
        &anyone,
        "DestinationInvalid",
        several,
    );
    let identity = |name: &str| {
        let status = cluster.get("database", &namespace, name)["status"].clone();
        status["identity"].as_str().expect("one").to_owned()
    };
    let other = format!("backup: {redis}, from: {{database: redis}}");
    let says = "which postgres 17 does not read";
    fails(
        &cluster,
        &namespace,
        "other",
        &other,
        "BackupUnreadable",
        says,
    );

    // Who has the bucket's key alone has nothing.
    let alone = format!("{}, identity: {}", s3("keys"), identity("db"));
    let unsealed = format!("from: {{{alone}}}");
    fails(
        &cluster,
        &namespace,
        "unsealed",
        &unsealed,
        "BackupKeyMissing",
        "age1",
    );

    let alone = format!("from: {{{alone}, {sealed}}}");
    cluster.delete("database", &namespace, "db");
    let heir = restored(&cluster, &namespace, "heir", &alone);
    assert_eq!(
        heir.ask("select count(*) from kept").as_deref(),
        Ok("20000")
    );
    println!("{name} came back from {}", bucket.endpoint);
    nowhere_else("trackbed: restores");
}
