//! Data stay: when pods go, when the Database is deleted and made again, when the Project is.

use suite::{Cluster, eventually};

fn database(engine: &str, version: &str) -> String {
    let name = engine.to_lowercase();
    format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: {name}, namespace: data-production}}\nspec: {{engine: {engine}, version: \"{version}\", storage: {{size: 1Gi}}}}\n"
    )
}

/// A pod with the engine's own client, given the binding Secret as an application is.
fn client(cluster: &Cluster, engine: &str, tag: &str) {
    let image = format!("{}:5000/library/{engine}:{tag}", cluster.node);
    cluster.apply(&format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{name: client-{engine}, namespace: data-production}}
spec:
  automountServiceAccountToken: false
  containers:
    - name: client
      image: {image}
      command: [sleep, "86400"]
      envFrom: [{{secretRef: {{name: {engine}-credentials}}}}]
"#
    ));
    let name = format!("client-{engine}");
    cluster.wait("pod", "data-production", &name, "condition=Ready", 120);
}

fn ask(cluster: &Cluster, engine: &str, command: &str) -> Result<String, String> {
    let pod = format!("client-{engine}");
    let arguments = [
        "exec",
        "-n",
        "data-production",
        &pod,
        "--",
        "sh",
        "-c",
        command,
    ];
    let output = cluster.kubectl(&arguments, "");
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn rows_survive_pods_the_operator_and_deletion_under_retain() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("data");
    let engines = [("Postgres", "17"), ("Redis", "7")];
    for (engine, version) in engines {
        cluster.apply(&database(engine, version));
    }
    for (engine, version) in engines {
        let name = engine.to_lowercase();
        cluster.wait("database", &namespace, &name, "condition=Ready", 300);
        client(&cluster, &name, version);
    }
    let sql = |text: &str| {
        ask(
            &cluster,
            "postgres",
            &format!("psql \"$uri\" -Atc \"{text}\""),
        )
    };
    let redis = |text: &str| {
        ask(
            &cluster,
            "redis",
            &format!("redis-cli -u \"$uri\" --no-auth-warning {text}"),
        )
    };
    sql("create table kept (word text); insert into kept values ('rows')").expect("a row");
    redis("set kept counter").expect("a key");
    let there = || {
        eventually(180, || {
            let row = sql("select word from kept")?;
            let key = redis("get kept")?;
            match (row.as_str(), key.as_str()) {
                ("rows", "counter") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
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

    for (engine, version) in engines {
        let name = engine.to_lowercase();
        cluster.delete("database", &namespace, &name);
        let claim = cluster.get("pvc", &namespace, &format!("{name}-data"));
        assert_eq!(claim["status"]["phase"], "Bound", "the claim is kept");
        cluster.get("secret", &namespace, &format!("{name}-credentials"));
        cluster.apply(&database(engine, version));
        cluster.wait("database", &namespace, &name, "condition=Ready", 300);
    }
    // The clients' credentials of before are good still.
    there();
}
