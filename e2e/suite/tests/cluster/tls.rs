//! Encrypted connections to a Database: who does not encrypt is turned away, the authority in the
//! binding Secret is the server's, and other certificates are taken up without a restart.
//!
//! Of Valkey there is no build here that can encrypt.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use suite::{Cluster, eventually};

const NAMESPACE: &str = "tls-production";

fn database(cluster: &Cluster, tls: &str, keep: &str) {
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: db, namespace: {NAMESPACE}}}\nspec: {{engine: Postgres, version: \"17\", tls: {{{tls}}}, credentials: {{keep: {keep}}}, resources: {{requests: {{cpu: 20m}}}}}}\n"
    ));
}

/// What a script says in the pod with a client. It is given the authority in the binding Secret.
fn runs(cluster: &Cluster, namespace: &str, script: &str) -> Result<String, String> {
    let secret = cluster.get("secret", namespace, "db-credentials");
    let authority = secret["data"]["ca.crt"].as_str().unwrap_or_default();
    let authority = BASE64_STANDARD.decode(authority).expect("base64");
    let authority = String::from_utf8(authority).expect("PEM");
    let script = format!("cat > /tmp/ca.crt; {script}");
    let exec = ["exec", "-i", "-n", namespace, "client", "--"];
    let output = cluster.kubectl(&[&exec[..], &["sh", "-c", &script]].concat(), &authority);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    match output.status.success() && complained.is_empty() {
        true => Ok(said),
        false => Err(format!("{said} {complained}")),
    }
}

/// How a client of Postgres is answered that checks the server by that authority, or does not
/// encrypt at all.
fn connects(cluster: &Cluster, how: &str) -> Result<String, String> {
    let script = format!(
        r#"PGSSLMODE={how} PGSSLROOTCERT=/tmp/ca.crt exec psql --no-psqlrc -Atqc "select version from pg_stat_ssl where pid = pg_backend_pid()""#
    );
    runs(cluster, NAMESPACE, &script)
}

fn pod(cluster: &Cluster, namespace: &str) -> Value {
    cluster.get("pod", namespace, "db-0")["metadata"]["uid"].clone()
}

/// Has the operator make another authority, as if somebody had seen the key of this one: the
/// Database is written by `write`, so that it looks.
fn lose_the_authority(cluster: &Cluster, namespace: &str, write: impl Fn()) {
    let certificate = || cluster.get("secret", namespace, "db-tls")["data"].clone();
    let before = certificate();
    let lose = r#"[{"op":"remove","path":"/data/ca.key"}]"#;
    let patch = ["patch", "secret", "db-tls", "-n", namespace, "--type=json"];
    cluster.run(&[&patch[..], &["-p", lose]].concat(), "");
    write();
    eventually(60, || {
        let now = certificate();
        let fresh = now["ca.crt"] != before["ca.crt"] && now["ca.key"] != Value::Null;
        fresh
            .then_some(())
            .ok_or_else(|| "no other authority".to_owned())
    });
    // The kubelet brings it to the pod when it looks at it: by itself, within two minutes.
    let look = ["annotate", "pod", "db-0", "-n", namespace, "e2e=look"];
    cluster.run(&look, "");
}

#[test]
fn a_server_encrypts_and_shows_who_it_is() {
    let cluster = Cluster::connect();
    let _project = cluster.project("tls");
    database(&cluster, "mode: Require", "1h");
    cluster.ready("database", NAMESPACE, "db", 300);
    // By the address of the binding Secret alone.
    let client = cluster.client(NAMESPACE, "db", "client");
    client.ask("create table kept (n int)").expect("a table");
    assert_eq!(connects(&cluster, "verify-full").as_deref(), Ok("TLSv1.3"));
    let refused = connects(&cluster, "disable").expect_err("it is turned away");
    assert!(refused.contains("no encryption"), "{refused}");

    let server = pod(&cluster, NAMESPACE);
    lose_the_authority(&cluster, NAMESPACE, || {
        database(&cluster, "mode: Require", "2h");
    });
    let verified = eventually(240, || connects(&cluster, "verify-full"));
    assert_eq!(verified, "TLSv1.3");
    assert_eq!(
        pod(&cluster, NAMESPACE),
        server,
        "the server was not restarted"
    );

    // Somebody's own, which is named until it is there.
    database(&cluster, "mode: Require, secretRef: {name: mine}", "2h");
    let message = cluster.wait_reason("database", NAMESPACE, "db", "SecretInvalid", 60);
    assert!(message.contains("mine"), "{message}");
    assert_eq!(pod(&cluster, NAMESPACE), server, "it serves on meanwhile");
    let names = [format!("db.{NAMESPACE}.svc.cluster.local")];
    let mine = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let encode = |text: String| BASE64_STANDARD.encode(text);
    let certificate = encode(mine.cert.pem());
    let key = encode(mine.signing_key.serialize_pem());
    cluster.apply(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: mine, namespace: {NAMESPACE}}}\ntype: kubernetes.io/tls\ndata: {{tls.crt: {certificate}, tls.key: {key}, ca.crt: {certificate}}}\n"
    ));
    eventually(180, || {
        let now = pod(&cluster, NAMESPACE);
        (now != server)
            .then_some(())
            .ok_or_else(|| "it shows the old one".to_owned())
    });
    cluster.ready("database", NAMESPACE, "db", 300);
    let verified = eventually(120, || connects(&cluster, "verify-full"));
    assert_eq!(verified, "TLSv1.3");
    assert_eq!(client.ask("select count(*) from kept").as_deref(), Ok("0"));
}

const REDIS: &str = "tls-redis-production";

fn redis(tls: &str, more: &str) -> String {
    format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: db, namespace: {REDIS}}}\nspec: {{engine: Redis, version: \"7\", tls: {{{tls}}}, storage: {{size: 256Mi}}, resources: {{requests: {{cpu: 20m}}}}, {more}}}\n"
    )
}

/// How a client is answered that asks an address. `-e` has it fail when the server refuses.
fn asks(cluster: &Cluster, address: &str, words: &str) -> Result<String, String> {
    let script = format!(r#"exec redis-cli -u "{address}" --no-auth-warning -e {words}"#);
    runs(cluster, REDIS, &script)
}

#[test]
fn a_redis_encrypts_for_everybody() {
    let cluster = Cluster::connect();
    let _project = cluster.project("tls-redis");
    let refused = cluster.refused(&redis("", ""));
    assert!(refused.contains("tls: {mode: Require}"), "{refused}");
    let refused = cluster.refused(&redis(
        "mode: Require",
        "parameters: {tls-protocols: TLSv1.3}",
    ));
    assert!(refused.contains("tls-port and the like"), "{refused}");

    cluster.apply(&redis("mode: Require", ""));
    cluster.ready("database", REDIS, "db", 300);
    // By the address and the authority of the binding Secret.
    let client = cluster.client(REDIS, "db", "client");
    client.ask("set kept data").expect("it takes it");
    let verified = || asks(&cluster, "$uri", "--cacert /tmp/ca.crt get kept");
    assert_eq!(verified().as_deref(), Ok("data"));
    let clear = "redis://${uri#rediss://}";
    asks(&cluster, clear, "get kept").expect_err("it is turned away");
    let unknown = asks(&cluster, "$uri", "get kept").expect_err("the authority is no public one");
    assert!(unknown.contains("verify failed"), "{unknown}");

    let server = pod(&cluster, REDIS);
    lose_the_authority(&cluster, REDIS, || {
        cluster.apply(&redis("mode: Require", "credentials: {keep: 2h}"));
    });
    let answer = eventually(240, verified);
    assert_eq!(answer, "data");
    assert_eq!(pod(&cluster, REDIS), server, "the server was not restarted");

    // Its backups go by the other authority from then on.
    let backup =
        "credentials: {keep: 2h}, backup: {request: one, destination: {volume: {size: 256Mi}}}";
    cluster.apply(&redis("mode: Require", backup));
    let done = "jsonpath={.status.backup.request}=one";
    cluster.wait("database", REDIS, "db", done, 240);
    cluster.wait("database", REDIS, "db", "condition=BackupReady", 30);

    // Whom it answers in the clear is for all clients to say, and takes a restart.
    let clear_spec = redis("mode: Require", backup).replace("tls: {mode: Require}, ", "");
    cluster.apply(&clear_spec);
    let answer = eventually(240, || asks(&cluster, clear, "get kept"));
    assert_eq!(answer, "data");
    assert_ne!(pod(&cluster, REDIS), server);
}
