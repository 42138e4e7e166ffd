//! Several databases in one Postgres, and in several servers of it: each owner has its own and no
//! other, what cannot be is named, and nothing of them is lost: neither in a backup nor when one is
//! taken out of the list.

use suite::{Client, Cluster, builds::condition, eventually};

const NAMESPACE: &str = "databases-production";
const SEVERAL: &str = "databases-several-production";
const STATS: &str = "{name: stats, owner: reporting}";
const BACKUP: &str = ", backup: {request: all, destination: {volume: {size: 256Mi}}}";

fn database(cluster: &Cluster, name: &str, databases: &str, more: &str) {
    database_in(cluster, NAMESPACE, name, databases, more);
}

fn database_in(cluster: &Cluster, namespace: &str, name: &str, databases: &str, more: &str) {
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{engine: Postgres, version: \"17\", storage: {{size: 512Mi}}, databases: [{databases}], resources: {{requests: {{cpu: 20m}}}}{more}}}\n"
    ));
}

/// Waits until the server of a list has said what became of it.
fn says(cluster: &Cluster, name: &str, reason: &str) -> String {
    says_in(cluster, NAMESPACE, name, reason)
}

fn says_in(cluster: &Cluster, namespace: &str, name: &str, reason: &str) -> String {
    eventually(240, || {
        let object = cluster.get("database", namespace, name);
        let ready = condition(&object, "DatabasesReady");
        let seen = ready["observedGeneration"] == object["metadata"]["generation"];
        match seen && ready["reason"] == reason {
            true => Ok(ready["message"].as_str().unwrap_or_default().to_owned()),
            false => Err(ready.to_string()),
        }
    })
}

/// Kubelet brings what changed in a Secret when it looks at the pod, which any change of that has it do.
fn hasten(cluster: &Cluster, when: &str) {
    let mark = format!("suite/{when}=true");
    cluster.run(&["annotate", "pod", "db-0", "-n", NAMESPACE, &mark], "");
}

fn count(client: &Client) -> Result<String, String> {
    client.ask("select count(*) from kept")
}

fn fill(client: &Client, rows: u32) {
    let fill = format!(
        "create table kept (word text); insert into kept select 'word ' || n from generate_series(1, {rows}) n"
    );
    client.ask(&fill).expect("it takes them");
}

#[test]
fn owners_have_their_databases_and_lose_nothing() {
    let cluster = Cluster::connect();
    let _project = cluster.project("databases");
    let lacking = format!("{{name: shop, extensions: [pg_stat_statements, postgis]}}, {STATS}");
    database(&cluster, "db", &lacking, "");
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: web, namespace: {NAMESPACE}}}\nspec:\n  source: {{image: {{reference: \"{}\"}}}}\n  run:\n    command: [httpd, -f, -p, '8080', -h, /bindings/db]\n    bindings: [{{name: db, database: stats}}]\n    env: [{{name: SHOP, valueFrom: {{databaseRef: {{name: db, database: shop, key: database}}}}}}]\n",
        cluster.busybox()
    ));
    let message = says(&cluster, "db", "ExtensionUnavailable");
    assert!(
        message.contains("shop") && message.contains("postgis"),
        "{message}"
    );
    cluster.ready("database", NAMESPACE, "db", 120);
    let client = |name: &str, inner: &str| {
        let pod = format!("{name}-{inner}");
        cluster.client_of(NAMESPACE, name, inner, &pod)
    };
    let [app, shop, stats] = ["app", "shop", "stats"].map(|it| client("db", it));

    // The rest works, and everybody is at home in one of them alone.
    let who = "select current_database(), current_user";
    assert_eq!(app.ask(who).as_deref(), Ok("app|app"));
    assert_eq!(stats.ask(who).as_deref(), Ok("stats|reporting"));
    let added = "select extname from pg_extension where extname <> 'plpgsql'";
    assert_eq!(shop.ask(added).as_deref(), Ok("pg_stat_statements"));
    for (client, other) in [(&app, "shop"), (&shop, "stats"), (&stats, "app")] {
        let said = client.ask(&format!("\\connect {other}"));
        let said = said.expect_err("another's");
        assert!(said.contains("permission denied for database"), "{said}");
    }
    for (client, rows) in [(&app, 10), (&shop, 200), (&stats, 3000)] {
        fill(client, rows);
    }
    cluster.ready("service", NAMESPACE, "web", 180);
    let exec = [
        "exec",
        "-n",
        NAMESPACE,
        "deployments.apps/web",
        "--",
        "sh",
        "-c",
    ];
    let line = "cat $SERVICE_BINDING_ROOT/db/username; echo /$SHOP";
    let said = cluster.run(&[&exec[..], &[line]].concat(), "");
    assert_eq!(said.trim(), "reporting/shop");

    // What is taken out of the list stays, and its owner is not let in.
    let listed = "{name: shop, extensions: [pg_stat_statements]}";
    database(&cluster, "db", listed, BACKUP);
    eventually(60, || {
        let secret = ["get", "secret", "db.stats-credentials", "-n", NAMESPACE];
        match cluster.kubectl(&secret, "").status.success() {
            true => Err("its Secret is still there".to_owned()),
            false => Ok(()),
        }
    });
    hasten(&cluster, "out");
    says(&cluster, "db", "DatabasesReady");
    let said = count(&stats).expect_err("it is not listed");
    assert!(said.contains("not permitted to log in"), "{said}");
    assert_eq!(count(&shop).as_deref(), Ok("200"));

    // A backup has all of them, and another Database begins with it.
    let done = "jsonpath={.status.backup.request}=all";
    cluster.wait("database", NAMESPACE, "db", done, 240);
    let message = condition(&cluster.get("database", NAMESPACE, "db"), "BackupReady");
    let message = message["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("3 tables and 3210 rows"), "{message}");
    let from = ", restore: {from: {database: db}}";
    database(&cluster, "clone", STATS, from);
    // Meanwhile it comes back as it was.
    database(&cluster, "db", &format!("{listed}, {STATS}"), BACKUP);
    cluster.wait("secret", NAMESPACE, "db.stats-credentials", "create", 60);
    hasten(&cluster, "back");
    says(&cluster, "db", "DatabasesReady");
    assert_eq!(count(&stats).as_deref(), Ok("3000"), "by the same password");
    says(&cluster, "clone", "DatabasesReady");
    cluster.ready("database", NAMESPACE, "clone", 120);
    let restored = client("clone", "stats");
    assert_eq!(count(&restored).as_deref(), Ok("3000"));
    let more = "insert into kept values ('more') returning word";
    assert_eq!(restored.ask(more).as_deref(), Ok("more"));
    assert_eq!(count(&client("clone", "app")).as_deref(), Ok("10"));
    let hidden = "select rolcanlogin from pg_roles where rolname = 'shop'";
    assert_eq!(restored.ask(hidden).as_deref(), Ok("f"), "nobody listed it");
}

/// Two databases of two owners in two servers, and no more than what is done another way there.
#[test]
fn several_servers_have_them_too() {
    let cluster = Cluster::connect();
    let _project = cluster.project("databases-several");
    let apply = |name: &str, databases: &str, more: &str| {
        let more = format!(", replicas: 2{more}");
        database_in(&cluster, SEVERAL, name, databases, &more);
    };
    let says = |name: &str, reason: &str| says_in(&cluster, SEVERAL, name, reason);
    let client = |name: &str, inner: &str, pod: &str| {
        let pod = format!("{name}-{pod}");
        cluster.client_of(SEVERAL, name, inner, &pod)
    };
    // Of a contrib module that its owner may not create.
    let shop = "{name: shop, extensions: [pg_stat_statements]}";
    apply("db", &format!("{shop}, {STATS}"), "");
    says("db", "DatabasesReady");
    let [app, web, stats] = ["app", "shop", "stats"].map(|it| client("db", it, it));
    let who = "select current_database(), current_user";
    assert_eq!(web.ask(who).as_deref(), Ok("shop|shop"));
    assert_eq!(stats.ask(who).as_deref(), Ok("stats|reporting"));
    let added = "select extname from pg_extension where extname <> 'plpgsql'";
    assert_eq!(web.ask(added).as_deref(), Ok("pg_stat_statements"));
    for (client, other) in [(&app, "shop"), (&web, "stats"), (&stats, "app")] {
        let said = client.ask(&format!("\\connect {other}"));
        let said = said.expect_err("another's");
        assert!(said.contains("permission denied for database"), "{said}");
    }
    for (client, rows) in [(&app, 10), (&web, 200), (&stats, 3000)] {
        fill(client, rows);
    }
    // The super-user was there for a while.
    eventually(60, || {
        let secret = ["get", "secret", "db-superuser", "-n", SEVERAL];
        match cluster.kubectl(&secret, "").status.success() {
            true => Err("its Secret is still there".to_owned()),
            false => Ok(()),
        }
    });

    // What is taken out of the list stays, in the backups too.
    apply("db", shop, BACKUP);
    says("db", "DatabasesReady");
    let said = count(&stats).expect_err("it is not listed");
    assert!(said.contains("not permitted to log in"), "{said}");
    let done = "jsonpath={.status.backup.request}=all";
    cluster.wait("database", SEVERAL, "db", done, 240);
    let message = condition(&cluster.get("database", SEVERAL, "db"), "BackupReady");
    let message = message["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("3 tables and 3210 rows"), "{message}");

    // Another one begins with it, while all credentials of this one change.
    apply("clone", STATS, ", restore: {from: {database: db}}");
    let rotate = ", credentials: {rotate: first}";
    apply(
        "db",
        &format!("{shop}, {STATS}"),
        &format!("{BACKUP}{rotate}"),
    );
    let done = "jsonpath={.status.credentials.rotate}=first";
    cluster.wait("database", SEVERAL, "db", done, 180);
    assert_eq!(
        count(&stats).as_deref(),
        Ok("3000"),
        "the first one is back"
    );
    let second = client("db", "shop", "again");
    let user = "select session_user, current_user";
    assert_eq!(second.ask(user).as_deref(), Ok("shop_2|shop"));
    assert_eq!(count(&web).as_deref(), Ok("200"), "those of before go on");
    says("clone", "DatabasesReady");
    let restored = client("clone", "stats", "stats");
    assert_eq!(count(&restored).as_deref(), Ok("3000"));
    assert_eq!(count(&client("clone", "app", "app")).as_deref(), Ok("10"));
    let hidden = "select rolcanlogin from pg_roles where rolname = 'shop'";
    assert_eq!(restored.ask(hidden).as_deref(), Ok("f"), "nobody listed it");
}
