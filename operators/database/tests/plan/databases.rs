//! Further databases in one Postgres: their Secrets, what the supervisor is told, and the condition.

use std::fmt::Write;

use expect_test::expect;
use k8s_openapi::api::core::v1::Secret;
use trackbed_api::{Database, common::condition::DATABASES_READY};
use trackbed_database::{
    observe::Seen,
    plan::{Children, told::Told},
};

use crate::{children, database, decide, pod, seen};

fn listing(databases: &str) -> Database {
    database(&format!(
        "{{engine: Postgres, version: '17', databases: [{databases}]}}"
    ))
}

fn value(secret: &Secret, key: &str) -> String {
    let data = secret.data.as_ref().and_then(|it| it.get(key));
    let data = data.map(|it| it.0.clone()).unwrap_or_default();
    String::from_utf8(data).expect("text")
}

/// Passwords are hashes: their first digits tell them apart.
fn short(text: &str) -> String {
    let mut short = String::new();
    let mut digits = 0;
    for c in text.chars() {
        digits = if c.is_ascii_hexdigit() { digits + 1 } else { 0 };
        if digits <= 12 {
            short.push(c);
        }
    }
    short
}

fn told(children: &Children) -> String {
    let mut text = String::new();
    for secret in &children.bindings {
        let name = secret.metadata.name.clone().unwrap_or_default();
        let owned = secret.metadata.owner_references.is_some();
        let uri = short(&value(secret, "uri"));
        writeln!(text, "{name} (goes with it: {owned}): {uri}").expect("text");
    }
    for secret in &children.gone {
        let name = secret.metadata.name.clone().unwrap_or_default();
        writeln!(text, "{name} is deleted").expect("text");
    }
    let held: serde_json::Value =
        serde_json::from_str(&value(&children.standby, "databases")).expect("JSON");
    let held = serde_saphyr::to_string(&held).expect("YAML");
    text + &short(&held)
}

/// What is there after a plan was carried out.
fn after(seen: &mut Seen, children: &Children) {
    seen.secret = Some(children.secret.clone());
    seen.standby = Some(children.standby.clone());
    seen.bindings.clone_from(&children.bindings);
    seen.fresh = trackbed_database::observe::Fresh::default();
}

#[test]
fn each_database_has_a_secret_and_the_server_knows_all_of_them() {
    let mut seen = seen();
    let both = "{name: shop_eu, owner: web, extensions: [pg_trgm]}, {name: stats}, {name: app, extensions: [citext]}";
    let first = children(&listing(both), &seen);
    expect![[r#"
        db.shop-eu-credentials (goes with it: true): postgresql://web:73be68a1a11f@db.shop-production.svc.cluster.local:5432/shop_eu
        db.stats-credentials (goes with it: true): postgresql://stats:384add4dfa6f@db.shop-production.svc.cluster.local:5432/stats
        backup:
          password: 6fd345bcbf8e
          username: trackbed_backup
        databases:
        - extensions:
          - pg_trgm
          name: shop_eu
          owner: web
        - extensions: []
          name: stats
          owner: stats
        - extensions:
          - citext
          name: app
          owner: app
        owners:
        - current:
            password: 73be68a1a11f
            username: web
          ended: false
          name: web
          reserve:
            password: d38b6218e905
            username: web_2
          retired: false
          rotate: null
          since: "2026-01-01T00:00:00Z"
        - current:
            password: 384add4dfa6f
            username: stats
          ended: false
          name: stats
          reserve:
            password: 4bcf23736a85
            username: stats_2
          retired: false
          rotate: null
          since: "2026-01-01T00:00:00Z"
        version: 26877bde1d54
    "#]]
    .assert_eq(&told(&first));
    assert!(
        !value(&first.secret, "databases").contains("web"),
        "what applications mount tells of nobody else"
    );
    after(&mut seen, &first);
    assert_eq!(told(&children(&listing(both), &seen)), told(&first), "kept");

    // One that is taken out is not let in, and comes back as it was.
    let one = "{name: stats}";
    let second = children(&listing(one), &seen);
    expect![[r#"
        db.stats-credentials (goes with it: true): postgresql://stats:384add4dfa6f@db.shop-production.svc.cluster.local:5432/stats
        db.shop-eu-credentials is deleted
        backup:
          password: 6fd345bcbf8e
          username: trackbed_backup
        databases:
        - extensions: []
          name: stats
          owner: stats
        owners:
        - current:
            password: 73be68a1a11f
            username: web
          ended: true
          name: web
          reserve:
            password: d38b6218e905
            username: web_2
          retired: false
          rotate: null
          since: "2026-01-01T00:00:00Z"
        - current:
            password: 384add4dfa6f
            username: stats
          ended: false
          name: stats
          reserve:
            password: 4bcf23736a85
            username: stats_2
          retired: false
          rotate: null
          since: "2026-01-01T00:00:00Z"
        version: 1877b3b4cc52
    "#]]
    .assert_eq(&told(&second));
    after(&mut seen, &second);
    let third = children(&listing(both), &seen);
    assert_eq!(told(&third), told(&first));
    after(&mut seen, &second);
    let none = children(&listing(""), &seen);
    assert!(!value(&none.standby, "databases").is_empty(), "remembered");
    assert!(none.bindings.is_empty());
}

#[test]
fn a_database_without_a_list_remembers_nothing() {
    let children = children(&crate::postgres(), &seen());
    assert_eq!(value(&children.standby, "databases"), "");
    let restored =
        database("{engine: Postgres, version: '17', restore: {from: {database: other}}}");
    let children = crate::children(&restored, &seen());
    let held = value(&children.standby, "databases");
    assert!(held.contains("trackbed_backup"), "a backup may bring some");
}

#[test]
fn what_the_server_cannot_have_is_named() {
    let object = listing("{name: shop, extensions: [postgis]}, {name: stats}");
    let mut seen = seen();
    seen.pod = pod("{conditions: [{type: Ready, status: 'True'}]}");
    let version = |seen: &Seen| {
        let held = value(&children(&object, seen).standby, "databases");
        let held: serde_json::Value = serde_json::from_str(&held).expect("JSON");
        held["version"].as_str().expect("a version").to_owned()
    };
    let says = |seen: &Seen| {
        let facts = decide(&object, seen).outcome.facts;
        let fact = facts.into_iter().find(|it| it.kind == DATABASES_READY);
        let fact = fact.expect("a condition");
        format!("{:?} {}: {}\n", fact.status, fact.reason, fact.message)
    };
    let mut text = says(&seen);
    let metrics = |more: &str| {
        let version = version(&seen);
        let text = format!("trackbed_database_databases{{version=\"{version}\"}} 1\n{more}");
        Told::read(&text)
    };
    let done = metrics("");
    let lacks = metrics(
        "trackbed_database_extension_unavailable{database=\"shop\",extension=\"postgis\"} 1\n",
    );
    let differs = metrics("trackbed_database_owner_differs{database=\"stats\",owner=\"web\"} 1\n");
    for told in [lacks, differs, done] {
        seen.told = told;
        text += &says(&seen);
    }
    expect![[r#"
        None Progressing: the server has not said yet that it has them all, which takes up to two minutes after a change: 'kubectl logs db-0' says what it does
        Some(false) ExtensionUnavailable: the database shop cannot have the extension postgis: the image of Postgres 17 does not have it, or 'kubectl logs db-0' says why not
        Some(false) DatabaseOwnerDiffers: the database stats is there already and belongs to web: take it out of the list, and put it back with owner: web
        Some(true) DatabasesReady: shop, stats are as they are listed
    "#]]
    .assert_eq(&text);
    let status = decide(&object, &seen).outcome.status.databases;
    let status = serde_saphyr::to_string(&status).expect("YAML");
    expect![[r#"
        - name: shop
          owner: shop
          binding:
            name: db.shop-credentials
        - name: stats
          owner: stats
          binding:
            name: db.stats-credentials
    "#]]
    .assert_eq(&status);
}

/// A server that is ready, and has known both users since it was made.
fn ready(seen: &mut Seen) {
    let text = "metadata: {name: db-0, creationTimestamp: '2026-01-01T00:00:00Z'}\nspec: {containers: [], volumes: [{name: it, secret: {secretName: db-standby}}]}\nstatus: {conditions: [{type: Ready, status: 'True'}]}\n";
    let pod: k8s_openapi::api::core::v1::Pod = serde_saphyr::from_str(text).expect("a pod");
    seen.pod = Some(std::sync::Arc::new(pod));
}

#[test]
fn owners_change_with_the_application_and_once() {
    let object = |rotate: &str| {
        database(&format!(
            "{{engine: Postgres, version: '17', databases: [{{name: shop}}], credentials: {{keep: 10m{rotate}}}}}"
        ))
    };
    let look = |object: &Database, seen: &mut Seen, minutes: i64| {
        seen.fresh.owners = format!("seed{minutes}");
        seen.fresh.standby = format!("spare{minutes}");
        let now = crate::now() + jiff::SignedDuration::from_mins(minutes);
        let config = trackbed_kit::Config::example();
        let plan = trackbed_database::plan::plan(object, seen, &config, now);
        let told = plan.outcome.status.credentials.expect("credentials");
        let children = plan.children.expect("children");
        let user = |secret: &Secret| value(secret, "username");
        let held: serde_json::Value =
            serde_json::from_str(&value(&children.standby, "databases")).expect("JSON");
        let owner = &held["owners"][0];
        let line = format!(
            "{minutes} min: tells {} and {}, keeps {}{} {}",
            user(&children.secret),
            user(&children.bindings[0]),
            owner["reserve"]["username"].as_str().unwrap_or_default(),
            if owner["retired"] == true {
                " of before"
            } else {
                ""
            },
            told.message.unwrap_or_default()
        );
        (children, format!("{}\n", line.trim_end()))
    };
    let mut seen = seen();
    let mut text = String::new();
    let (children, line) = look(&object(""), &mut seen, 0);
    text += &line;
    after(&mut seen, &children);
    ready(&mut seen);
    let rotated = object(", rotate: one");
    let (_, line) = look(&rotated, &mut seen, 2);
    text += &line;
    let (children, line) = look(&rotated, &mut seen, 5);
    text += &line;
    // The operator ends between its first two writes.
    seen.standby = Some(children.standby);
    for minutes in [6, 9, 12, 16, 20] {
        let (children, line) = look(&rotated, &mut seen, minutes);
        text += &line;
        after(&mut seen, &children);
    }
    expect![[r#"
        0 min: tells app and shop, keeps shop_2
        2 min: tells app and shop, keeps shop_2 the change waits until the server surely knows the new password
        5 min: tells app_2 and shop_2, keeps shop of before
        6 min: tells app and shop_2, keeps shop of before the change waits until the server surely knows the new password
        9 min: tells app_2 and shop_2, keeps shop of before
        12 min: tells app_2 and shop_2, keeps shop of before
        16 min: tells app_2 and shop_2, keeps shop
        20 min: tells app_2 and shop_2, keeps shop
    "#]]
    .assert_eq(&text);
}
