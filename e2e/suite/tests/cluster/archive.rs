//! The log of several servers goes into a bucket, and other Databases begin as they were at a moment:
//! beside them, and after they are gone.

use suite::{Bucket, Client, Cluster, eventually};

const NAMESPACE: &str = "archive-production";
/// The bucket's key.
const KEY: &str = "canary-of-the-archive";

fn manifest(name: &str, more: &str) -> String {
    format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\nspec: {{engine: Postgres, version: '17', replicas: 2, storage: {{size: 512Mi}}, resources: {{requests: {{cpu: 20m}}}}, {more}}}\n"
    )
}

fn keys(cluster: &Cluster, key: &str) {
    cluster.apply(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: keys, namespace: {NAMESPACE}}}\nstringData: {{AWS_ACCESS_KEY_ID: trackbed, AWS_SECRET_ACCESS_KEY: {key}}}\n"
    ));
}

fn s3(bucket: &Bucket) -> String {
    let endpoint = &bucket.endpoint;
    format!("s3: {{bucket: acme, endpoint: '{endpoint}', prefix: shop, secretRef: {{name: keys}}}}")
}

/// Waits until the archive is like this, and gives what is said of it.
fn archived(cluster: &Cluster, name: &str, reason: &str) -> String {
    eventually(300, || {
        let status = cluster.get("database", NAMESPACE, name)["status"].clone();
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let mut conditions = conditions.filter(|it| it["type"] == "Archived");
        match conditions.next() {
            Some(it) if it["reason"] == reason => {
                Ok(it["message"].as_str().unwrap_or_default().to_owned())
            }
            other => Err(format!("{other:?}")),
        }
    })
}

/// The moment, as the server's clock has it.
fn moment(client: &Client) -> String {
    let ask =
        r#"select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"#;
    client.ask(ask).expect("a moment")
}

/// Has the server begin another file of its log, as it does after five minutes in which something was
/// written, and gives the name of the one before.
fn another_file(cluster: &Cluster, client: &Client) -> String {
    client
        .ask("create table if not exists marks (); insert into marks default values")
        .expect("it is written");
    let database = cluster.get("database", NAMESPACE, "db");
    let primary = database["status"]["replication"]["primary"].as_str();
    let primary = primary.expect("a primary");
    let exec = ["exec", "-n", NAMESPACE, primary, "-c", "postgres", "--"];
    let switch = "select pg_walfile_name(pg_switch_wal())";
    let name = cluster.run(&[&exec[..], &["psql", "-Atqc", switch]].concat(), "");
    name.trim().to_owned()
}

/// Waits until all that was written until now is in the archive.
fn all_is_archived(cluster: &Cluster, client: &Client) {
    let last = another_file(cluster, client);
    let ask = format!("select last_archived_wal >= '{last}' from pg_stat_archiver");
    eventually(180, || match client.ask(&ask)?.as_str() {
        "t" => Ok(()),
        other => Err(other.to_owned()),
    });
}

/// A Database that begins with a moment, and a client of it.
fn restored(cluster: &Cluster, name: &str, restore: &str) -> Client {
    cluster.apply(&manifest(name, &format!("restore: {{{restore}}}")));
    cluster.ready("database", NAMESPACE, name, 420);
    cluster.client(NAMESPACE, name, &format!("client-{name}"))
}

/// What is not in the archive is named before anything is made.
fn other_moments_are_refused(cluster: &Cluster) {
    for (name, time, says) in [
        ("early", "2020-01-01T00:00:00Z", "which begins at"),
        ("late", "2120-01-01T00:00:00+01:00", "is still to come"),
        ("never", "2026-02-30T00:00:00Z", "is no moment"),
    ] {
        let restore = format!("restore: {{time: '{time}', from: {{database: db}}}}");
        cluster.apply(&manifest(name, &restore));
        let reason = "RestoreTimeUnavailable";
        let said = cluster.wait_reason("database", NAMESPACE, name, reason, 60);
        assert!(said.contains(says), "{name}: {said}");
        cluster.delete("database", NAMESPACE, name);
    }
}

/// A bucket that turns the servers away is named, and all is well when it lets them in again.
fn failures_are_told(cluster: &Cluster, client: &Client) {
    keys(cluster, "something-else");
    client
        .ask("insert into log values ('unseen')")
        .expect("it is written");
    another_file(cluster, client);
    let said = archived(cluster, "db", "ArchiveFailed");
    assert!(
        !said.contains(KEY) && said.contains("fills the volume"),
        "{said}"
    );
    keys(cluster, KEY);
    archived(cluster, "db", "Archived");
    all_is_archived(cluster, client);
}

#[test]
fn any_moment_comes_back() {
    let cluster = Cluster::connect();
    let _project = cluster.project("archive");
    let bucket = Bucket::start("acme", "trackbed", KEY);
    let s3 = s3(&bucket);
    let archive = format!("archive: {{{s3}}}, databases: [{{name: shop, owner: web}}]");
    cluster.apply(&manifest("db", &archive));
    // It starts without, rather than not at all.
    let said = archived(&cluster, "db", "ReferenceMissing");
    assert!(said.contains("Secret keys does not exist"), "{said}");
    keys(&cluster, KEY);
    cluster.ready("database", NAMESPACE, "db", 300);
    println!("{}", archived(&cluster, "db", "Archived"));
    let client = cluster.client(NAMESPACE, "db", "client");
    let fill = "create table log (word text); insert into log select 'word ' || n from generate_series(1, 1000) n";
    client.ask(fill).expect("it takes them");
    let before = moment(&client);
    // What one would undo.
    client
        .ask("delete from log")
        .expect("it does as it is told");
    client
        .ask("insert into log values ('later')")
        .expect("it takes it");
    all_is_archived(&cluster, &client);

    let past = restored(
        &cluster,
        "past",
        &format!("time: '{before}', from: {{database: db}}"),
    );
    let count = "select count(*) from log";
    assert_eq!(past.ask(count).as_deref(), Ok("1000"));
    assert_eq!(
        client.ask(count).as_deref(),
        Ok("1"),
        "the first one goes on"
    );
    past.ask("create table more (n int)")
        .expect("it takes writes");
    cluster.delete("database", NAMESPACE, "past");
    other_moments_are_refused(&cluster);
    failures_are_told(&cluster, &client);

    // After it is gone, the bucket is enough.
    let identity = cluster.get("database", NAMESPACE, "db")["status"]["identity"].clone();
    let identity = identity.as_str().expect("an identity");
    all_is_archived(&cluster, &client);
    let after = moment(&client);
    cluster.delete("database", NAMESPACE, "db");
    let from = format!("from: {{identity: {identity}, {s3}}}");
    let never = format!("time: '{after}', {from}");
    cluster.apply(&manifest("heir", &format!("restore: {{{never}}}")));
    let said = cluster.wait_reason("database", NAMESPACE, "heir", "RestoreFailed", 300);
    assert!(said.contains("full-recovery"), "{said}");
    let heir = restored(&cluster, "heir", &format!("time: latest, {from}"));
    assert_eq!(
        heir.ask("select word from log order by 1").as_deref(),
        Ok("later\nunseen")
    );
    // It has the other database, whose owner nobody listed.
    let owner = "select pg_get_userbyid(datdba), rolcanlogin from pg_database join pg_roles owner on owner.oid = datdba where datname = 'shop'";
    eventually(60, || match heir.ask(owner)?.as_str() {
        "web|f" => Ok(()),
        other => Err(other.to_owned()),
    });
    eventually(60, || {
        let stores = cluster.list("objectstores.barmancloud.cnpg.io", NAMESPACE);
        let names: Vec<_> = stores
            .iter()
            .map(|it| it["metadata"]["name"].clone())
            .collect();
        match names[..] == ["db-archive"] {
            true => Ok(()),
            false => Err(format!("{names:?}")),
        }
    });
}
