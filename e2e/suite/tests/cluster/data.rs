//! Data stay: when pods go, when the Database is deleted and made again, when the Project is.

use suite::{Cluster, eventually};

const REDIS: (&str, &str, &str) = ("redis", "Redis", "7");
/// Name, engine and version of each Database.
const DATABASES: [(&str, &str, &str); 5] = [
    ("postgres-16", "Postgres", "16"),
    ("postgres-17", "Postgres", "17"),
    ("postgres-18", "Postgres", "18"),
    ("postgres-15", "Postgres", "15"),
    REDIS,
];

fn database((name, engine, version): (&str, &str, &str)) -> String {
    format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: {name}, namespace: data-production}}\nspec: {{engine: {engine}, version: \"{version}\", storage: {{size: 1Gi}}, resources: {{requests: {{cpu: 20m}}}}}}\n"
    )
}

#[test]
fn rows_survive_pods_the_operator_and_deletion_under_retain() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("data");
    for it in DATABASES {
        cluster.apply(&database(it));
    }
    let clients = DATABASES.map(|(name, engine, _)| {
        cluster.wait("database", &namespace, name, "condition=Ready", 300);
        let client = cluster.client(&namespace, name, &format!("client-{name}"));
        let (write, read) = match engine {
            "Postgres" => (
                "create table kept (word text); insert into kept values ('data')",
                "select word from kept",
            ),
            _ => ("set kept data", "get kept"),
        };
        client.ask(write).expect("it takes them");
        (client, read)
    });
    let there = || {
        for (client, read) in &clients {
            eventually(180, || match client.ask(read)? {
                data if data == "data" => Ok(()),
                other => Err(other),
            });
        }
    };
    there();

    // Every pod but the clients, and the operator.
    let selector = "app.kubernetes.io/managed-by=trackbed";
    cluster.run(
        &["delete", "pods", "-n", &namespace, "-l", selector, "--wait"],
        "",
    );
    cluster.kill_operator();
    there();

    // What the server would not take never reaches it.
    let parameters = |parameters: &str| {
        let patch = format!("{{\"spec\":{{\"parameters\":{parameters}}}}}");
        let database = ["patch", "tdb", "postgres-17", "-n", &namespace];
        cluster.run(
            &[&database[..], &["--type=merge", "-p", &patch]].concat(),
            "",
        );
    };
    parameters(r#"{"max_connection":"50"}"#);
    let message = cluster.wait_reason(
        "database",
        &namespace,
        "postgres-17",
        "InvalidParameter",
        60,
    );
    assert!(
        message.contains("did you mean max_connections?"),
        "{message}"
    );
    there();
    parameters(r#"{"max_connection":null,"max_connections":"50"}"#);
    eventually(180, || match clients[1].0.ask("show max_connections")? {
        fifty if fifty == "50" => Ok(()),
        other => Err(other),
    });
    // What it can read again, it is not restarted for.
    let server = || cluster.get("pod", &namespace, "postgres-17-0")["metadata"]["uid"].clone();
    let restarted = server();
    parameters(r#"{"work_mem":"8MB"}"#);
    eventually(180, || match clients[1].0.ask("show work_mem")? {
        eight if eight == "8MB" => Ok(()),
        other => Err(other),
    });
    assert_eq!(server(), restarted);
    there();

    for it in DATABASES {
        let (name, ..) = it;
        cluster.delete("database", &namespace, name);
        let claim = cluster.get("pvc", &namespace, &format!("{name}-data"));
        assert_eq!(claim["status"]["phase"], "Bound", "the claim is kept");
        cluster.get("secret", &namespace, &format!("{name}-credentials"));
        cluster.apply(&database(it));
        cluster.wait("database", &namespace, name, "condition=Ready", 300);
    }
    // The clients' credentials of before are good still.
    there();

    // That data go takes two acts: the policy alone gives nothing up.
    let policy = r#"{"spec":{"deletionPolicy":"Delete"}}"#;
    let data = || {
        let claims = cluster.list("pvc", &namespace).into_iter();
        let secrets = cluster.list("secret", &namespace).into_iter();
        let all = claims
            .chain(secrets)
            .map(|it| it["metadata"]["name"].clone());
        let names = all.filter_map(|name| name.as_str().map(str::to_owned));
        names
            .filter(|name| name.starts_with("redis-"))
            .collect::<Vec<_>>()
    };
    let patch = ["patch", "tdb", "redis", "-n", &namespace, "--type=merge"];
    cluster.run(&[&patch[..], &["-p", policy]].concat(), "");
    cluster.delete("database", &namespace, "redis");
    assert_eq!(data(), ["redis-data", "redis-credentials", "redis-standby"]);
    let events = cluster.list("events", &namespace);
    let kept = events.iter().find(|it| it["reason"] == "DataKept");
    let note = kept.expect("an Event says so")["message"].to_string();
    assert!(
        note.contains("trackbed.dev/confirm-deletion=redis"),
        "{note}"
    );

    cluster.apply(&database(REDIS));
    cluster.wait("database", &namespace, "redis", "condition=Ready", 300);
    there();
    cluster.run(&[&patch[..], &["-p", policy]].concat(), "");
    let confirmed = "trackbed.dev/confirm-deletion=redis";
    cluster.run(
        &["annotate", "tdb", "redis", confirmed, "-n", &namespace],
        "",
    );
    cluster.delete("database", &namespace, "redis");
    eventually(60, || match data() {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:?} are left")),
    });
}
