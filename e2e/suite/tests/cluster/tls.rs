//! Encrypted connections to a Database: who does not encrypt is turned away, the authority in the
//! binding Secret is the server's, and other certificates are taken up without a restart.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use suite::{Cluster, eventually};

const NAMESPACE: &str = "tls-production";

fn database(cluster: &Cluster, tls: &str, keep: &str) {
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: db, namespace: {NAMESPACE}}}\nspec: {{engine: Postgres, version: \"17\", tls: {{{tls}}}, credentials: {{keep: {keep}}}, resources: {{requests: {{cpu: 20m}}}}}}\n"
    ));
}

/// What a client says that checks the server by the authority in the binding Secret, or does not
/// encrypt at all.
fn connects(cluster: &Cluster, how: &str) -> Result<String, String> {
    let secret = cluster.get("secret", NAMESPACE, "db-credentials");
    let authority = secret["data"]["ca.crt"].as_str().unwrap_or_default();
    let authority = BASE64_STANDARD.decode(authority).expect("base64");
    let authority = String::from_utf8(authority).expect("PEM");
    let script = format!(
        r#"cat > /tmp/ca.crt; PGSSLMODE={how} PGSSLROOTCERT=/tmp/ca.crt exec psql --no-psqlrc -Atqc "select version from pg_stat_ssl where pid = pg_backend_pid()""#
    );
    let exec = ["exec", "-i", "-n", NAMESPACE, "client", "--"];
    let output = cluster.kubectl(&[&exec[..], &["sh", "-c", &script]].concat(), &authority);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
    }
}

fn pod(cluster: &Cluster) -> Value {
    cluster.get("pod", NAMESPACE, "db-0")["metadata"]["uid"].clone()
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

    // Another authority, as if somebody had seen the key of this one.
    let server = pod(&cluster);
    let before = cluster.get("secret", NAMESPACE, "db-tls")["data"].clone();
    let lose = r#"[{"op":"remove","path":"/data/ca.key"}]"#;
    let patch = ["patch", "secret", "db-tls", "-n", NAMESPACE, "--type=json"];
    cluster.run(&[&patch[..], &["-p", lose]].concat(), "");
    database(&cluster, "mode: Require", "2h");
    eventually(60, || {
        let now = cluster.get("secret", NAMESPACE, "db-tls")["data"].clone();
        let fresh = now["ca.crt"] != before["ca.crt"] && now["ca.key"] != Value::Null;
        fresh
            .then_some(())
            .ok_or_else(|| "no other authority".to_owned())
    });
    // The kubelet brings it to the pod when it looks at it: by itself, within two minutes.
    cluster.run(
        &["annotate", "pod", "db-0", "-n", NAMESPACE, "e2e=look"],
        "",
    );
    let verified = eventually(240, || connects(&cluster, "verify-full"));
    assert_eq!(verified, "TLSv1.3");
    assert_eq!(pod(&cluster), server, "the server was not restarted");

    // Somebody's own, which is named until it is there.
    database(&cluster, "mode: Require, secretRef: {name: mine}", "2h");
    let message = cluster.wait_reason("database", NAMESPACE, "db", "SecretInvalid", 60);
    assert!(message.contains("mine"), "{message}");
    assert_eq!(pod(&cluster), server, "it serves on meanwhile");
    let names = [format!("db.{NAMESPACE}.svc.cluster.local")];
    let mine = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let encode = |text: String| BASE64_STANDARD.encode(text);
    let certificate = encode(mine.cert.pem());
    let key = encode(mine.signing_key.serialize_pem());
    cluster.apply(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: mine, namespace: {NAMESPACE}}}\ntype: kubernetes.io/tls\ndata: {{tls.crt: {certificate}, tls.key: {key}, ca.crt: {certificate}}}\n"
    ));
    eventually(180, || {
        let now = pod(&cluster);
        (now != server)
            .then_some(())
            .ok_or_else(|| "it shows the old one".to_owned())
    });
    cluster.ready("database", NAMESPACE, "db", 300);
    let verified = eventually(120, || connects(&cluster, "verify-full"));
    assert_eq!(verified, "TLSv1.3");
    assert_eq!(client.ask("select count(*) from kept").as_deref(), Ok("0"));
}
