//! Valkey: what a Redis had goes on in it, through all that may happen to a database, and in its
//! next version; there is no way back.

use suite::{Client, Cluster, eventually};

const PROJECT: &str = "valkey";
const REDIS: &str = "engine: Redis, version: '7'";
const OLD: &str = "engine: Valkey, version: '8', parameters: {appendfsync: always}";
const NEW: &str = "engine: Valkey, version: '9'";

fn database(cluster: &Cluster, name: &str, engine: &str, more: &str) {
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: {name}, namespace: {PROJECT}-production}}\nspec: {{{engine}, storage: {{size: 256Mi}}, resources: {{requests: {{cpu: 20m}}}}, {more}}}\n"
    ));
}

/// Waits for a server, and enters it as an application.
fn enter(cluster: &Cluster, namespace: &str, name: &str, pod: &str) -> Client {
    cluster.ready("database", namespace, name, 300);
    cluster.client(namespace, name, pod)
}

/// Has a backup taken, and waits until it is proven.
fn back_up(cluster: &Cluster, namespace: &str, name: &str, engine: &str) {
    let backup = "backup: {request: one, destination: {volume: {size: 256Mi}}}";
    database(cluster, name, engine, backup);
    let done = "jsonpath={.status.backup.request}=one";
    cluster.wait("database", namespace, name, done, 240);
    cluster.wait("database", namespace, name, "condition=BackupReady", 30);
}

#[track_caller]
fn has(client: &Client, question: &str, answer: &str) {
    eventually(180, || match client.ask(question)? {
        found if found == answer => Ok(()),
        other => Err(other),
    });
}

fn suspend(cluster: &Cluster, namespace: &str, name: &str, suspend: bool) {
    let patch = format!("{{\"spec\":{{\"suspend\":{suspend}}}}}");
    let database = ["patch", "tdb", name, "-n", namespace];
    cluster.run(
        &[&database[..], &["--type=merge", "-p", &patch]].concat(),
        "",
    );
}

#[test]
fn what_redis_had_goes_on_in_valkey() {
    let cluster = Cluster::connect();
    let namespace = cluster.project(PROJECT);
    database(&cluster, "redis", REDIS, "");
    let redis = enter(&cluster, &namespace, "redis", "client-redis");
    for command in ["set kept data", "setex late 86400 here", "rpush list a b c"] {
        redis.ask(command).expect("it takes it");
    }
    back_up(&cluster, &namespace, "redis", REDIS);

    // A Valkey begins with it, and no Redis is needed any more.
    database(&cluster, "old", OLD, "restore: {from: {database: redis}}");
    let old = enter(&cluster, &namespace, "old", "client-old");
    cluster.delete("database", &namespace, "redis");
    for (question, answer) in [
        ("get kept", "data"),
        ("get late", "here"),
        ("llen list", "3"),
    ] {
        has(&old, question, answer);
    }
    has(&old, "acl whoami", "app");
    let refused = old.ask("shutdown nosave").expect_err("it is not theirs");
    assert!(refused.contains("NOPERM"), "{refused}");

    // What it acknowledged is there after a kill, and after it was suspended.
    old.ask("set more 1").expect("it takes it");
    cluster.kill_pod(&namespace, "old-0");
    has(&old, "get more", "1");
    suspend(&cluster, &namespace, "old", true);
    cluster.wait_reason("database", &namespace, "old", "Suspended", 120);
    suspend(&cluster, &namespace, "old", false);
    cluster.ready("database", &namespace, "old", 180);
    has(&old, "get more", "1");

    // Other credentials, without a restart; those of before are good for an hour.
    let server = || cluster.get("pod", &namespace, "old-0")["metadata"]["uid"].clone();
    let running = server();
    database(&cluster, "old", OLD, "credentials: {rotate: first}");
    let done = "jsonpath={.status.credentials.rotate}=first";
    cluster.wait("database", &namespace, "old", done, 300);
    let other = cluster.client(&namespace, "old", "other-old");
    has(&other, "acl whoami", "app_2");
    has(&old, "acl whoami", "app");
    assert_eq!(server(), running);

    // Its own next version begins with it, too, and has something that only it knows backed up.
    let rotated = format!("{OLD}, credentials: {{rotate: first}}");
    back_up(&cluster, &namespace, "old", &rotated);
    database(&cluster, "new", NEW, "restore: {from: {database: old}}");
    let new = enter(&cluster, &namespace, "new", "client-new");
    cluster.delete("database", &namespace, "old");
    for (question, answer) in [
        ("get kept", "data"),
        ("get late", "here"),
        ("get more", "1"),
    ] {
        has(&new, question, answer);
    }
    new.ask("hset session user ada").expect("it takes it");
    let passing = new.ask("hexpire session 86400 fields 1 user");
    assert_eq!(passing.as_deref(), Ok("1"));
    back_up(&cluster, &namespace, "new", NEW);

    // Redis does not read it, and says so.
    database(&cluster, "back", REDIS, "restore: {from: {database: new}}");
    let message = cluster.wait_reason("database", &namespace, "back", "BackupUnreadable", 300);
    let says = "is of valkey 9, which redis 7 does not read";
    assert!(message.contains(says), "{message}");
}
