//! A Database begins with the SQL that it is given, once, and says why when it cannot.

use suite::{Cluster, builds::condition, eventually};

const NAMESPACE: &str = "begin-production";

fn database(cluster: &Cluster, key: &str) {
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: db, namespace: {NAMESPACE}}}\nspec: {{engine: Postgres, version: \"17\", storage: {{size: 256Mi}}, init: {{configMapKeyRef: {{name: schema, key: {key}}}}}, resources: {{requests: {{cpu: 20m}}}}}}\n"
    ));
}

#[test]
fn a_database_begins_with_its_sql_once() {
    let cluster = Cluster::connect();
    let _project = cluster.project("begin");
    cluster.apply(&format!(
        r#"
apiVersion: v1
kind: ConfigMap
metadata: {{name: schema, namespace: {NAMESPACE}}}
data:
  wrong.sql: |
    create table began (n int);
    creat table more ();
  right.sql: |
    create table began (n int, note text default 'it''s \! here');
    insert into began values (1);
"#
    ));
    database(&cluster, "none.sql");
    let message = cluster.wait_reason("database", NAMESPACE, "db", "InitFailed", 180);
    assert!(message.contains("no such key"), "{message}");
    // Another version of its pod takes up what is corrected.
    database(&cluster, "wrong.sql");
    eventually(180, || {
        let ready = condition(&cluster.get("database", NAMESPACE, "db"), "Ready");
        match ready["message"].as_str().unwrap_or_default() {
            message if message.contains("syntax error") => Ok(()),
            message => Err(message.to_owned()),
        }
    });
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
    cluster.ready("database", NAMESPACE, "db", 180);
    assert_eq!(rows().as_deref(), Ok("1|it's \\! here|app"));
}
