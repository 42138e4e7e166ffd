//! What was acknowledged is there after a server died in the middle of writing, and a server that
//! finds other data than its own, or none, touches nothing.

use suite::{Client, Cluster, Value, eventually};

const NAMESPACE: &str = "durability-production";

fn database(name: &str, engine: &str, version: &str) -> String {
    format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\nspec:\n  engine: {engine}\n  version: \"{version}\"\n  resources: {{requests: {{cpu: 20m}}}}\n"
    )
}

/// Has a client write until its server is killed, twice, and looks for what was acknowledged.
fn writes_survive_kills(
    cluster: &Cluster,
    client: &Client,
    database: &str,
    write: &str,
    read: &str,
) {
    for round in 1..=2 {
        let mut writes = client.write(&write.replace("ROUND", &round.to_string()));
        writes.acknowledged(100);
        cluster.kill_pod(NAMESPACE, &format!("{database}-0"));
        let acknowledged = writes.end();
        let read = read.replace("ROUND", &round.to_string());
        let read = read.replace("LAST", &acknowledged.to_string());
        let read = read.replace("INDEX", &(acknowledged - 1).to_string());
        let found = eventually(180, || client.ask(&read));
        assert_eq!(found, acknowledged.to_string(), "{database}, round {round}");
        println!("{database}, round {round}: {acknowledged} writes, none lost");
    }
}

/// The same with a server that holds acknowledged writes back while its disk is busy, as Redis does
/// without `appendfsync always`: what it says to have written is there.
fn written_writes_survive_kills(cluster: &Cluster, client: &Client, database: &str, write: &str) {
    for round in 1..=2 {
        let mut writes = client.write(&write.replace("ROUND", &round.to_string()));
        writes.acknowledged(100);
        eventually(60, || {
            let said = client.ask("info persistence")?;
            let written = said.lines().any(|it| it.trim() == "aof_buffer_length:0");
            written.then_some(()).ok_or(said)
        });
        cluster.kill_pod(NAMESPACE, &format!("{database}-0"));
        let acknowledged = writes.end();
        let found = eventually(180, || client.ask(&format!("lrange log-{round} 0 -1")));
        let found: Vec<u64> = found.lines().filter_map(|it| it.parse().ok()).collect();
        let kept = u64::try_from(found.len()).expect("a number");
        assert!(
            (100..=acknowledged + 1).contains(&kept),
            "{kept} of {acknowledged}"
        );
        // Nothing is missing in between.
        assert!(found.into_iter().eq(1..=kept), "{database}, round {round}");
        println!("{database}, round {round}: {acknowledged} writes, {kept} kept");
    }
}

/// Does something to the volumes of Databases that are suspended, as somebody with access to them
/// may.
fn meddle(cluster: &Cluster, name: &str, claims: &[&str], command: &str) {
    let mounts = claims
        .iter()
        .map(|it| format!("{{name: {it}, mountPath: /{it}}}"));
    let mounts: Vec<_> = mounts.collect();
    let volumes = claims
        .iter()
        .map(|it| format!("{{name: {it}, persistentVolumeClaim: {{claimName: {it}}}}}"));
    let volumes: Vec<_> = volumes.collect();
    cluster.apply(&format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  securityContext: {{runAsUser: 999, runAsGroup: 999}}
  containers:
    - name: meddle
      image: {}
      command: [sh, -ec, {}]
      volumeMounts: [{}]
  volumes: [{}]
"#,
        cluster.busybox(),
        Value::from(command),
        mounts.join(", "),
        volumes.join(", "),
    ));
    let ended = "jsonpath={.status.phase}=Succeeded";
    cluster.wait("pod", NAMESPACE, name, ended, 60);
    cluster.delete("pod", NAMESPACE, name);
}

fn suspend(cluster: &Cluster, databases: &[&str], suspend: bool) {
    for name in databases {
        let patch = format!("{{\"spec\":{{\"suspend\":{suspend}}}}}");
        let patch = [
            "patch",
            "tdb",
            name,
            "-n",
            NAMESPACE,
            "--type=merge",
            "-p",
            &patch,
        ];
        cluster.run(&patch, "");
    }
    for name in databases.iter().filter(|_| suspend) {
        cluster.wait_reason("database", NAMESPACE, name, "Suspended", 120);
    }
}

#[test]
fn acknowledged_writes_survive_and_foreign_data_are_not_touched() {
    let cluster = Cluster::connect();
    let _project = cluster.project("durability");
    let databases = ["pg", "redis", "other"];
    cluster.apply(&database("pg", "Postgres", "17"));
    cluster.apply(&database("redis", "Redis", "7"));
    let parameters = "  parameters: {appendfsync: always}\n";
    cluster.apply(&(database("other", "Redis", "7") + parameters));
    let client = |name: &str| {
        cluster.wait("database", NAMESPACE, name, "condition=Ready", 300);
        cluster.client(NAMESPACE, name, &format!("client-{name}"))
    };
    let (pg, redis, other) = (client("pg"), client("redis"), client("other"));

    pg.ask("create table log (round int, n int)")
        .expect("a table");
    writes_survive_kills(
        &cluster,
        &pg,
        "pg",
        r#"seq 1000000 | sed 's/.*/insert into log values (ROUND, &) returning n;/' | psql "$uri" --no-psqlrc -v ON_ERROR_STOP=1 -Atq"#,
        "select count(*) from log where round = ROUND and n <= LAST",
    );
    // Each word is a connection of its own: a name server that is busy for a moment ends no writing.
    let push = r#"ip=$(getent hosts "$host" | cut -d' ' -f1); export REDISCLI_AUTH="$password"; while redis-cli -h "$ip" --user "$username" -e rpush log-ROUND $((i += 1)); do :; done"#;
    written_writes_survive_kills(&cluster, &redis, "redis", push);
    let flushes = other.ask("config get appendfsync").expect("a setting");
    assert!(flushes.ends_with("always"), "{flushes}");
    let read = "lindex log-ROUND INDEX";
    writes_survive_kills(&cluster, &other, "other", push, read);
    other.ask("set kept data").expect("a word");
    let there = || {
        for name in databases {
            cluster.ready("database", NAMESPACE, name, 180);
        }
        let rows = eventually(60, || pg.ask("select count(*) >= 200 from log"));
        assert_eq!(rows, "t");
        let length = eventually(60, || redis.ask("llen log-1"));
        assert!(length.parse::<u64>().is_ok_and(|it| it >= 100), "{length}");
        assert_eq!(eventually(60, || other.ask("get kept")), "data");
    };
    there();

    // Suspended, and woken over an emptied volume and over each other's data.
    suspend(&cluster, &databases, true);
    let exchange = "mv /redis-data/redis /redis-data/away; mv /other-data/redis /redis-data/redis; mv /redis-data/away /other-data/redis";
    meddle(
        &cluster,
        "exchange",
        &["redis-data", "other-data"],
        exchange,
    );
    meddle(
        &cluster,
        "empty",
        &["pg-data"],
        "mv /pg-data/pgdata /pg-data/away",
    );
    suspend(&cluster, &databases, false);
    for (name, reason) in [
        ("pg", "DataMissing"),
        ("redis", "DataBelongsToAnother"),
        ("other", "DataBelongsToAnother"),
    ] {
        let message = cluster.wait_reason("database", NAMESPACE, name, reason, 120);
        println!("{name}: {message}");
    }

    // Given back, they are as they were; but the data of another major version.
    suspend(&cluster, &databases, true);
    meddle(
        &cluster,
        "exchange",
        &["redis-data", "other-data"],
        exchange,
    );
    let version =
        r#"mv /pg-data/away /pg-data/pgdata; sed -i 's/"17"/"16"/' /pg-data/pgdata/trackbed.json"#;
    meddle(&cluster, "version", &["pg-data"], version);
    suspend(&cluster, &databases, false);
    let message = cluster.wait_reason("database", NAMESPACE, "pg", "MajorVersionMismatch", 120);
    assert!(message.contains("set version back to 16"), "{message}");
    suspend(&cluster, &["pg"], true);
    let version = r#"sed -i 's/"16"/"17"/' /pg-data/pgdata/trackbed.json"#;
    meddle(&cluster, "version", &["pg-data"], version);
    suspend(&cluster, &["pg"], false);
    there();
}
