//! Several servers of Postgres: one takes over from another without an acknowledged write lost, and
//! credentials, backups, restores, suspension and deletion work as with one.

use suite::{Client, Cluster, Value, eventually};

const NAMESPACE: &str = "replicas-production";

/// `heir` has volumes that can grow.
fn manifest(name: &str, more: &str) -> String {
    let class = match name {
        "heir" => ", className: e2e-csi",
        _ => "",
    };
    format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\nspec: {{engine: Postgres, version: '17', replicas: 2, storage: {{size: 512Mi{class}}}, resources: {{requests: {{cpu: 20m}}}}, {more}}}\n"
    )
}

/// Waits until all servers are up, and gives the one that takes writes: the pod has to agree, since
/// what is said of the servers may be what was before.
fn primary(cluster: &Cluster, name: &str) -> String {
    cluster.wait("database", NAMESPACE, name, "condition=Ready", 300);
    eventually(300, || {
        let status = cluster.get("database", NAMESPACE, name)["status"].clone();
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let mut conditions = conditions.filter(|it| it["status"] == "True");
        let all = conditions.any(|it| it["type"] == "Replicated");
        let primary = &status["replication"]["primary"];
        let leads = |pod: &&Value| {
            let labels = &pod["metadata"]["labels"];
            pod["metadata"]["name"] == *primary && labels["cnpg.io/instanceRole"] == "primary"
        };
        match (servers(cluster, name).iter().find(leads), primary.as_str()) {
            (Some(_), Some(primary)) if all => Ok(primary.to_owned()),
            _ => Err(format!("{status:#}")),
        }
    })
}

/// Changes the spec.
fn patch(cluster: &Cluster, name: &str, spec: &str) {
    let patch = format!("{{\"spec\": {spec}}}");
    let words = ["patch", "tdb", name, "-n", NAMESPACE, "--type=merge"];
    cluster.run(&[&words[..], &["-p", &patch]].concat(), "");
}

/// The pods of its servers.
fn servers(cluster: &Cluster, name: &str) -> Vec<Value> {
    let pods = cluster.list("pods", NAMESPACE);
    let of = |pod: &Value| pod["metadata"]["labels"]["cnpg.io/cluster"] == name;
    pods.into_iter().filter(of).collect()
}

/// Has a client write until the server that takes writes is taken away, twice: everything that was
/// acknowledged is there.
fn another_takes_over(cluster: &Cluster, client: &Client) {
    for round in ["one", "two"] {
        let before = primary(cluster, "db");
        let write = format!(
            r#"seq 1000000 | sed "s/.*/insert into log values ('{round}', &) returning n;/" | psql "$uri" --no-psqlrc -v ON_ERROR_STOP=1 -Atq"#
        );
        let mut writes = client.write(&write);
        writes.acknowledged(100);
        match round {
            "one" => cluster.kill_pod(NAMESPACE, &before),
            // As a node does that is gone.
            _ => {
                let delete = ["delete", "pod", &before, "-n", NAMESPACE];
                cluster.run(
                    &[&delete[..], &["--force", "--grace-period=0"]].concat(),
                    "",
                );
            }
        }
        let acknowledged = writes.end();
        let read =
            format!("select count(*) from log where round = '{round}' and n <= {acknowledged}");
        let found = eventually(180, || client.ask(&read));
        assert_eq!(found, acknowledged.to_string(), "round {round}");
        let after = primary(cluster, "db");
        println!("{before}, then {after}: {acknowledged} writes, none lost");
    }
}

/// Other credentials, while those of before go on.
fn credentials_change(cluster: &Cluster, old: &Client) {
    patch(cluster, "db", r#"{"credentials": {"rotate": "first"}}"#);
    let done = "jsonpath={.status.credentials.rotate}=first";
    cluster.wait("database", NAMESPACE, "db", done, 120);
    let new = cluster.client(NAMESPACE, "db", "new");
    eventually(60, || new.ask("create table later (n int)"));
    old.ask("alter table later add column word text")
        .expect("it belongs to both");
    let user = |client: &Client| client.ask("select session_user");
    assert_eq!(user(&new).as_deref(), Ok("app_2"));
    assert_eq!(user(old).as_deref(), Ok("app"));
    // Those of before end.
    patch(cluster, "db", r#"{"credentials": {"keep": "1m"}}"#);
    eventually(180, || match user(old) {
        Err(said) if said.contains("password authentication failed") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(user(&new).as_deref(), Ok("app_2"));
}

/// A backup is taken and proven, and another Database begins with it, to clients that encrypt alone.
fn backup_comes_back(cluster: &Cluster, rows: &str) {
    let backup = "backup: {request: one, destination: {volume: {size: 256Mi}}}";
    let credentials = "credentials: {rotate: first, keep: 1m}";
    cluster.apply(&manifest("db", &format!("{credentials}, {backup}")));
    let done = "jsonpath={.status.backup.request}=one";
    cluster.wait("database", NAMESPACE, "db", done, 240);
    cluster.wait("database", NAMESPACE, "db", "condition=BackupReady", 60);
    let restore = "restore: {from: {database: db}}, tls: {mode: Require}";
    cluster.apply(&manifest("heir", restore));
    cluster.ready("database", NAMESPACE, "heir", 300);
    let heir = cluster.client(NAMESPACE, "heir", "heir-client");
    let found = heir.ask("select count(*) from log");
    assert_eq!(found.as_deref(), Ok(rows));
    let encrypted = heir.ask("select ssl from pg_stat_ssl where pid = pg_backend_pid()");
    assert_eq!(encrypted.as_deref(), Ok("t"));
    let plain = r#"PGSSLMODE=disable psql "${uri%\?*}" --no-psqlrc -Atqc 'select 1' 2>&1 || true"#;
    let exec = [
        "exec",
        "-n",
        NAMESPACE,
        "heir-client",
        "--",
        "sh",
        "-c",
        plain,
    ];
    let said = cluster.run(&exec, "");
    assert!(said.contains("no encryption"), "{said}");
    // It is a Database of its own from the first row on.
    let servers = cluster.get("clusters.postgresql.cnpg.io", NAMESPACE, "heir");
    let identity = &servers["metadata"]["annotations"]["trackbed.dev/identity"];
    assert!(identity.is_string(), "{servers:#}");
    let other = cluster.get("clusters.postgresql.cnpg.io", NAMESPACE, "db");
    let other = &other["metadata"]["annotations"]["trackbed.dev/identity"];
    assert_ne!(identity, other);
}

/// Reads go to a follower by an address of its own, which its certificate has, too.
fn follower_answers(cluster: &Cluster) {
    let secret = cluster.get("secret", NAMESPACE, "heir-credentials");
    let authority = secret["data"]["ca.crt"].as_str().expect("an authority");
    let ask = format!(
        r#"echo {authority} | base64 -d > /tmp/ca.crt && PGPASSWORD="$password" psql "host=heir-ro user=$username dbname=$database sslmode=verify-full sslrootcert=/tmp/ca.crt" --no-psqlrc -Atqc 'select pg_is_in_recovery(), count(*) > 0 from log group by 1'"#
    );
    let exec = [
        "exec",
        "-n",
        NAMESPACE,
        "heir-client",
        "--",
        "sh",
        "-c",
        &ask,
    ];
    let said = eventually(120, || {
        let output = cluster.kubectl(&exec, "");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stderr)),
        }
    });
    assert_eq!(said, "t|t");
}

/// A server that is taken away from several, and what settings are refused.
fn settings_are_checked(cluster: &Cluster, client: &Client) {
    patch(
        cluster,
        "heir",
        r#"{"parameters": {"archive_mode": "off"}}"#,
    );
    let said = cluster.wait_reason("database", NAMESPACE, "heir", "InvalidParameter", 60);
    assert!(said.contains("CloudNativePG's to set"), "{said}");
    patch(
        cluster,
        "heir",
        r#"{"parameters": {"archive_mode": null, "work_mem": "5MB"}}"#,
    );
    eventually(180, || match client.ask("show work_mem")?.as_str() {
        "5MB" => Ok(()),
        other => Err(other.to_owned()),
    });
    for (spec, says) in [
        (
            r#"{"replicas": 1}"#,
            "replicas cannot change between 1 and more",
        ),
        (
            r#"{"storage": {"size": "256Mi"}}"#,
            "storage.size can grow, not shrink below what the volume has",
        ),
    ] {
        let patch = format!("{{\"spec\": {spec}}}");
        let words = ["patch", "tdb", "heir", "-n", NAMESPACE, "--type=merge"];
        let output = cluster.kubectl(&[&words[..], &["-p", &patch]].concat(), "");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(says), "{said}");
    }
}

/// The class of these volumes cannot grow them: that is said, the servers go on, and the size may be
/// set back.
fn volumes_keep_their_size(cluster: &Cluster, client: &Client) {
    patch(cluster, "db", r#"{"storage": {"size": "1Gi"}}"#);
    let said = cluster.wait_reason("database", NAMESPACE, "db", "StorageCannotGrow", 60);
    assert!(said.contains("the servers run on"), "{said}");
    assert_eq!(client.ask("select 1").as_deref(), Ok("1"));
    let live = cluster.get("cluster.postgresql.cnpg.io", NAMESPACE, "db");
    assert_eq!(live["spec"]["storage"]["size"], "512Mi");
    patch(cluster, "db", r#"{"storage": {"size": "512Mi"}}"#);
    let done = "condition=Ready";
    cluster.wait("database", NAMESPACE, "db", done, 60);
}

/// Waits until both volumes say that size there.
fn have(cluster: &Cluster, seconds: usize, size: &str, at: impl Fn(&Value) -> &Value) {
    eventually(seconds, || {
        let claims = cluster.list("pvc", NAMESPACE);
        let of = |it: &&Value| it["metadata"]["labels"]["cnpg.io/cluster"] == "heir";
        let sizes: Vec<_> = claims.iter().filter(of).map(&at).collect();
        match sizes[..] == [size, size] {
            true => Ok(()),
            false => Err(format!("{sizes:?}")),
        }
    });
}

/// The primary's volume fills up until its server ends, which is named, and more room heals it.
fn volume_fills(cluster: &Cluster) {
    let pod = primary(cluster, "heir");
    let exec = ["exec", "-n", NAMESPACE, &pod, "-c", "postgres", "--"];
    let run = |script: &str| {
        let output = cluster.kubectl(&[&exec[..], &["sh", "-c", script]].concat(), "");
        output.status.success()
    };
    let rest = "dd if=/dev/zero of=/var/lib/postgresql/data/rest bs=1M";
    assert!(!run(rest), "it ends where there is no room");
    // What is logged finds no place any more.
    let log = r#"psql -Atqc "select length(pg_logical_emit_message(true, 'x', repeat('x', 1000000))::text)""#;
    let ended = (0..600).find(|_| !run(log)).expect("it ends");
    println!("after {ended} MB of the log");
    let said = cluster.wait_reason("database", NAMESPACE, "heir", "StorageFull", 180);
    assert!(said.contains("raise storage.size"), "{said}");
    cluster.wait(
        "database",
        NAMESPACE,
        "heir",
        "condition=StorageAmple=false",
        60,
    );
    patch(cluster, "heir", r#"{"storage": {"size": "768Mi"}}"#);
    have(cluster, 60, "768Mi", |it| {
        &it["spec"]["resources"]["requests"]["storage"]
    });
    // Kubelets look at a pod's volumes about once a minute, and when something about it changes.
    for pod in servers(cluster, "heir") {
        let pod = pod["metadata"]["name"].as_str().unwrap_or_default();
        cluster.run(&["annotate", "pod", pod, "-n", NAMESPACE, "e2e=look"], "");
    }
    primary(cluster, "heir");
    assert!(run("rm /var/lib/postgresql/data/rest"), "there is room");
}

/// The volumes of all servers have grown, and how full they are is told.
fn volumes_grew(cluster: &Cluster) {
    have(
        cluster,
        240,
        "768Mi",
        |it| &it["status"]["capacity"]["storage"],
    );
    let told = eventually(120, || {
        let database = cluster.get("database", NAMESPACE, "heir");
        let (size, used) = (
            &database["status"]["storage"],
            &database["status"]["storageUsed"],
        );
        // An empty database and 32 MiB of the log at least, and at most as much log as is kept.
        let part = used
            .as_str()
            .and_then(|it| it.strip_suffix('%')?.parse().ok());
        match size == "768Mi" && part.is_some_and(|it: u32| (5..=60).contains(&it)) {
            true => Ok(format!("{used} of {size}")),
            false => Err(format!("{used} of {size}")),
        }
    });
    println!("{told}");
    let ample = "condition=StorageAmple";
    cluster.wait("database", NAMESPACE, "heir", ample, 60);
    let version = &cluster.get("database", NAMESPACE, "heir")["status"]["serverVersion"];
    let digits = |it: &str| it.chars().all(|c| c.is_ascii_digit() || c == '.');
    assert!(version.as_str().is_some_and(digits), "{version}");
}

/// No pod runs of one that is suspended, or that is gone under the policy Retain; and its rows are
/// there when it comes back.
fn data_stay(cluster: &Cluster, client: &Client, rows: &str) {
    let asleep = || {
        eventually(180, || match servers(cluster, "heir") {
            pods if pods.is_empty() => Ok(()),
            pods => Err(format!("{} pods", pods.len())),
        });
    };
    let count = || eventually(180, || client.ask("select count(*) from log"));
    patch(cluster, "heir", r#"{"suspend": true}"#);
    cluster.wait_reason("database", NAMESPACE, "heir", "Suspended", 180);
    asleep();
    patch(cluster, "heir", r#"{"suspend": false}"#);
    primary(cluster, "heir");
    assert_eq!(count(), rows);

    cluster.delete("database", NAMESPACE, "heir");
    asleep();
    let kind = "clusters.postgresql.cnpg.io";
    for what in [
        [kind, "heir", "-n", NAMESPACE],
        // If that came through, all of them would be gone.
        ["crd", kind, "--dry-run=server", "--wait=false"],
    ] {
        let output = cluster.kubectl(&[&["delete"], &what[..]].concat(), "");
        let said = String::from_utf8_lossy(&output.stderr);
        let refused = said.contains("confirm that first by kubectl annotate");
        assert!(refused, "{what:?}: {said}");
    }
    // The size is the one that it had first: volumes do not shrink.
    cluster.apply(&manifest(
        "heir",
        "tls: {mode: Require}, deletionPolicy: Delete",
    ));
    primary(cluster, "heir");
    assert_eq!(count(), rows);
}

/// And two acts take them.
fn data_go(cluster: &Cluster) {
    let confirm = "trackbed.dev/confirm-deletion=heir";
    cluster.run(&["annotate", "tdb", "heir", "-n", NAMESPACE, confirm], "");
    cluster.delete("database", NAMESPACE, "heir");
    eventually(120, || {
        let claims = cluster.list("pvc", NAMESPACE);
        let of = |it: &&Value| it["metadata"]["labels"]["cnpg.io/cluster"] == "heir";
        match claims.iter().find(of) {
            None => Ok(()),
            Some(left) => Err(left["metadata"]["name"].to_string()),
        }
    });
}

#[test]
fn several_servers_keep_what_one_would() {
    let cluster = Cluster::connect();
    let _project = cluster.project("replicas");
    cluster.apply(&manifest("db", ""));
    primary(&cluster, "db");
    let image = cluster.get("database", NAMESPACE, "db")["status"]["image"].clone();
    let image = image.as_str().unwrap_or_default();
    let (_, digest) = image.split_once('@').expect("an image by its content");
    for pod in servers(&cluster, "db") {
        let asked = pod["spec"]["containers"][0]["image"].as_str();
        assert!(asked.is_some_and(|it| it.ends_with(digest)), "{asked:?}");
    }
    let client = cluster.client(NAMESPACE, "db", "client");
    client
        .ask("create table log (round text, n int)")
        .expect("a table");
    another_takes_over(&cluster, &client);
    volumes_keep_their_size(&cluster, &client);
    let rows = client.ask("select count(*) from log").expect("a number");
    credentials_change(&cluster, &client);
    backup_comes_back(&cluster, &rows);
    follower_answers(&cluster);
    let heir = cluster.client(NAMESPACE, "heir", "heir-again");
    settings_are_checked(&cluster, &heir);
    volume_fills(&cluster);
    volumes_grew(&cluster);
    data_stay(&cluster, &heir, &rows);
    data_go(&cluster);
}
