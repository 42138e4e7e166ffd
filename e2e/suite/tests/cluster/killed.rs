//! A server that was killed starts again at once, whatever process has its number by then.

use suite::{Cluster, eventually};

const NAMESPACE: &str = "killed-at-once-production";

/// Kills the server, and has what it left, beside its data and beside its socket, name each of the
/// first processes of the next container.
const KILL: &str = r#"set -e
server=$(head -1 /data/pgdata/postmaster.pid)
sed -i "1s/.*/$0/" /data/pgdata/postmaster.pid /run/trackbed/.s.PGSQL.5432.lock
kill -9 "$server""#;

#[test]
fn what_a_killed_postgres_left_keeps_no_other_from_starting() {
    let cluster = Cluster::connect();
    let _project = cluster.project("killed-at-once");
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: db, namespace: {NAMESPACE}}}\nspec: {{engine: Postgres, version: '17', resources: {{requests: {{cpu: 20m}}}}}}\n"
    ));
    cluster.ready("database", NAMESPACE, "db", 300);
    let client = cluster.client(NAMESPACE, "db", "client");
    client
        .ask("create table kept as select 42 as n")
        .expect("a table");
    for (round, number) in [8, 9].into_iter().enumerate() {
        let exec = ["exec", "-n", NAMESPACE, "db-0", "-c", "postgres", "--"];
        let kill = ["sh", "-c", KILL, &number.to_string()];
        cluster.run(&[&exec[..], &kill].concat(), "");
        let restarts = eventually(120, || {
            let pod = cluster.get("pod", NAMESPACE, "db-0");
            let status = &pod["status"]["containerStatuses"][0];
            match status["restartCount"].as_u64() {
                Some(count) if count > round as u64 && status["ready"] == true => Ok(count),
                _ => Err(status.to_string()),
            }
        });
        assert_eq!(restarts, round as u64 + 1, "one attempt was enough");
        assert_eq!(eventually(60, || client.ask("select n from kept")), "42");
    }
}
