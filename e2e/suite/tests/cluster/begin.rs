//! A Database begins with the SQL that it is given, once, and says why when it cannot.

use suite::{Cluster, builds::condition, eventually};

const NAMESPACE: &str = "begin-production";
const SEVERAL: &str = "begin-several-production";

fn database(cluster: &Cluster, key: &str) {
    apply(cluster, NAMESPACE, key, "");
}

fn apply(cluster: &Cluster, namespace: &str, key: &str, more: &str) {
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: db, namespace: {namespace}}}\nspec: {{engine: Postgres, version: \"17\", storage: {{size: 512Mi}}, init: {{configMapKeyRef: {{name: schema, key: {key}}}}}, resources: {{requests: {{cpu: 20m}}}}{more}}}\n"
    ));
}

fn schema(cluster: &Cluster, namespace: &str) {
    cluster.apply(&format!(
        r#"
apiVersion: v1
kind: ConfigMap
metadata: {{name: schema, namespace: {namespace}}}
data:
  wrong.sql: |
    create table began (n int);
    creat table more ();
  right.sql: |
    create table began (n int, note text default 'it''s \! here');
    insert into began values (1);
"#
    ));
}

/// Waits until the Database says what is wrong with its SQL.
fn says(cluster: &Cluster, namespace: &str, words: &str) {
    eventually(240, || {
        let ready = condition(&cluster.get("database", namespace, "db"), "Ready");
        let message = ready["message"].as_str().unwrap_or_default();
        match ready["reason"] == "InitFailed" && message.contains(words) {
            true => Ok(()),
            false => Err(ready.to_string()),
        }
    });
}

#[test]
fn several_servers_begin_with_their_sql_once() {
    let cluster = Cluster::connect();
    let _project = cluster.project("begin-several");
    schema(&cluster, SEVERAL);
    let several = |key: &str| apply(&cluster, SEVERAL, key, ", replicas: 2");
    several("wrong.sql");
    says(&cluster, SEVERAL, "syntax error");
    let services = cluster.list("service", SEVERAL);
    let named = |it: &suite::Value| it["metadata"]["name"] == "db";
    assert!(!services.iter().any(named), "it has no address yet");
    several("right.sql");
    cluster.wait("database", SEVERAL, "db", "condition=Ready", 180);
    let client = cluster.client(SEVERAL, "db", "client");
    let rows = client.ask("select n, note, current_user from began");
    assert_eq!(rows.as_deref(), Ok("1|it's \\! here|app"));
    let marks = "select count(*) from pg_namespace where nspname like 'trackbed%'";
    assert_eq!(client.ask(marks).as_deref(), Ok("0"));
}

#[test]
fn a_database_begins_with_its_sql_once() {
    let cluster = Cluster::connect();
    let _project = cluster.project("begin");
    schema(&cluster, NAMESPACE);
    database(&cluster, "none.sql");
    let message = cluster.wait_reason("database", NAMESPACE, "db", "InitFailed", 180);
    assert!(message.contains("no such key"), "{message}");
    // Another version of its pod takes up what is corrected.
    database(&cluster, "wrong.sql");
    says(&cluster, NAMESPACE, "syntax error");
    database(&cluster, "right.sql");
    cluster.wait("database", NAMESPACE, "db", "condition=Ready", 180);
    let client = cluster.client(NAMESPACE, "db", "client");
    let rows = || client.ask("select n, note, current_user from began");
    assert_eq!(rows().as_deref(), Ok("1|it's \\! here|app"));
    assert_eq!(
        client
            .ask("select count(*) from pg_namespace where nspname like 'trackbed%'")
            .as_deref(),
        Ok("0")
    );
    cluster.run(&["delete", "pod", "db-0", "-n", NAMESPACE], "");
    assert_eq!(eventually(180, rows), "1|it's \\! here|app");
}
