//! Other credentials for a Database: no client is turned away, old or new, the Service that uses
//! them is rolled once, and those of before end.

use suite::{Client, Cluster, eventually};

const PROJECT: &str = "rotation";

fn database(name: &str, engine: &str, version: &str, credentials: &str) -> String {
    format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: {name}, namespace: {PROJECT}-production}}\nspec: {{engine: {engine}, version: \"{version}\", credentials: {{{credentials}}}, resources: {{requests: {{cpu: 20m}}}}}}\n"
    )
}

/// The pod of the Database, whose server is not to be restarted.
fn server(cluster: &Cluster, namespace: &str, name: &str) -> (String, i64) {
    let pod = cluster.get("pod", namespace, &format!("{name}-0"));
    let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_i64();
    let uid = pod["metadata"]["uid"].as_str().expect("a uid").to_owned();
    (uid, restarts.expect("a number of restarts"))
}

#[test]
fn credentials_change_while_everybody_works_on() {
    let cluster = Cluster::connect();
    let namespace = cluster.project(PROJECT);
    let databases = [("db", "Postgres", "17"), ("cache", "Redis", "7")];
    for (name, engine, version) in databases {
        cluster.apply(&database(name, engine, version, "keep: 30m"));
    }
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: web, namespace: {namespace}}}\nspec:\n  source: {{image: {{reference: \"{}\"}}}}\n  scale: {{replicas: 2}}\n  run:\n    command: [httpd, -f, -p, '8080', -h, /etc]\n    env: [{{name: DB_USER, valueFrom: {{databaseRef: {{name: db, key: username}}}}}}]\n",
        cluster.busybox()
    ));
    let client =
        |name: &str, when: &str| cluster.client(&namespace, name, &format!("{when}-{name}"));
    let old = databases.map(|(name, ..)| {
        cluster.wait("database", &namespace, name, "condition=Ready", 300);
        client(name, "old")
    });
    cluster.ready("service", &namespace, "web", 300);
    let release =
        || cluster.get("service", &namespace, "web")["status"]["latestDeployment"].clone();
    let released = release();
    let servers = databases.map(|(name, ..)| server(&cluster, &namespace, name));
    old[0]
        .ask("create table kept (word text); insert into kept values ('rows')")
        .expect("a table");
    old[1].ask("set kept counter").expect("a key");
    let host = cluster.host("web", PROJECT);
    let probe = cluster.probe(&host, "/passwd");

    for (name, engine, version) in databases {
        cluster.apply(&database(name, engine, version, "keep: 30m, rotate: first"));
    }
    let works = |clients: &[Client; 2]| {
        assert_eq!(
            clients[0].ask("select word from kept").as_deref(),
            Ok("rows")
        );
        assert_eq!(clients[1].ask("get kept").as_deref(), Ok("counter"));
    };
    let new = databases.map(|(name, ..)| {
        let done = "jsonpath={.status.credentials.rotate}=first";
        cluster.wait("database", &namespace, name, done, 300);
        client(name, "new")
    });
    works(&old);
    works(&new);
    assert_eq!(old[0].ask("select session_user").as_deref(), Ok("app"));
    assert_eq!(new[0].ask("select session_user").as_deref(), Ok("app_2"));
    new[0]
        .ask("create table later (word text)")
        .expect("a table");
    old[0]
        .ask("alter table later add column more text")
        .expect("it belongs to both");
    new[1]
        .ask("config get maxmemory")
        .expect("an application may ask");
    let refused = new[1]
        .ask("shutdown nosave")
        .expect_err("the server is not theirs");
    assert!(refused.contains("NOPERM"), "{refused}");

    // The pods that had the first credentials are replaced, and that is no release.
    eventually(180, || {
        let exec = [
            "exec",
            "-n",
            &namespace,
            "deployments.apps/web",
            "--",
            "sh",
            "-c",
            "echo $DB_USER",
        ];
        let output = cluster.kubectl(&exec, "");
        let workload = cluster.get("deployments.apps", &namespace, "web");
        let status = &workload["status"];
        let user = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match (
            user.as_str(),
            status["replicas"].as_i64(),
            status["updatedReplicas"].as_i64(),
        ) {
            ("app_2", Some(2), Some(2)) => Ok(()),
            _ => Err(format!("{user}: {status}")),
        }
    });
    cluster.ready("service", &namespace, "web", 60);
    assert_eq!(release(), released);
    println!(
        "{} requests answered while the pods were replaced",
        probe.end()
    );

    // Those of before end sooner when they are to be kept for a shorter time.
    for (name, engine, version) in databases {
        cluster.apply(&database(name, engine, version, "keep: 1m, rotate: first"));
    }
    for (client, words) in [(&old[0], "select 1"), (&old[1], "ping")] {
        let said = eventually(300, || match client.ask(words) {
            Ok(_) => Err("the first credentials are still good".to_owned()),
            Err(said) => Ok(said),
        });
        assert!(
            said.contains("password authentication failed") || said.contains("WRONGPASS"),
            "{said}"
        );
    }
    works(&new);
    assert_eq!(
        databases.map(|(name, ..)| server(&cluster, &namespace, name)),
        servers
    );

    // They are those of a server that starts again.
    let selector = "trackbed.dev/role=database";
    cluster.run(
        &["delete", "pods", "-n", &namespace, "-l", selector, "--wait"],
        "",
    );
    eventually(180, || {
        new[0].ask("select word from kept")?;
        new[1].ask("get kept")
    });
    works(&new);
}
