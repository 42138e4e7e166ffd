//! Encrypted connections: whose certificate a server shows, and what clients are told.

use std::sync::Arc;

use expect_test::expect;
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Secret};
use serde_json::Value;
use trackbed_api::Database;
use trackbed_database::{
    observe::{Keys, Seen},
    plan::{Children, plan},
};
use trackbed_kit::Config;

use super::{backup::yaml, database, decide, seen};

const POSTGRES: &str = "engine: Postgres, version: '17'";

fn encrypted(tls: &str) -> Database {
    database(&format!("{{{POSTGRES}, tls: {{{tls}}}}}"))
}

pub(crate) fn with_keys() -> Seen {
    let key = || rcgen::KeyPair::generate().expect("a key").serialize_pem();
    let mut seen = seen();
    seen.fresh.keys = Keys {
        authority: key(),
        server: key(),
    };
    seen
}

fn at(object: &Database, seen: &Seen, time: &str) -> Children {
    let now = time.parse().expect("a time");
    let plan = plan(object, seen, &Config::example(), now);
    plan.children.expect("children")
}

fn value(secret: &Secret, key: &str) -> String {
    let data = secret.data.as_ref().expect("data");
    let found = data.get(key).unwrap_or_else(|| panic!("no {key}"));
    String::from_utf8(found.0.clone()).expect("text")
}

/// The settings, what the pod has of the certificate, and what clients are told.
fn told(children: &Children) -> String {
    let data = children.settings.data.clone().expect("data");
    let of_tls = |text: &str| -> String {
        let lines = text.lines().filter(|it| it.starts_with("ssl"));
        lines.map(|it| format!("{it}\n")).collect()
    };
    let mut text = of_tls(&data["postgresql.conf"]) + &data["pg_hba.conf"];
    let set = serde_json::to_value(&children.set).expect("JSON");
    let volumes = set["spec"]["template"]["spec"]["volumes"].as_array();
    let volume = volumes
        .into_iter()
        .flatten()
        .find(|it| it["name"] == "certificate");
    text += &format!("{}\n", volume.unwrap_or(&Value::Null));
    for key in ["uri", "sslmode", "PGSSLMODE"] {
        if children
            .secret
            .data
            .as_ref()
            .is_some_and(|it| it.contains_key(key))
        {
            text += &format!("{key}: {}\n", value(&children.secret, key));
        }
    }
    text
}

#[test]
fn clients_may_encrypt_or_have_to() {
    let mut text = told(&at(
        &encrypted("mode: Allow"),
        &with_keys(),
        "2026-01-01T00:00:00Z",
    ));
    let children = at(
        &encrypted("mode: Require"),
        &with_keys(),
        "2026-01-01T00:00:00Z",
    );
    text += &told(&children);
    let own = children.certificate.as_ref().expect("its own");
    assert_eq!(value(&children.secret, "ca.crt"), value(own, "ca.crt"));
    let none = decide(&database("{engine: Postgres, version: '17'}"), &with_keys());
    assert!(none.children.expect("children").certificate.is_none());
    expect![[r#"
        ssl = on
        ssl_cert_file = '/etc/trackbed/tls/tls.crt'
        ssl_key_file = '/etc/trackbed/tls/tls.key'
        local all all peer
        host all all all scram-sha-256
        {"name":"certificate","secret":{"defaultMode":288,"items":[{"key":"tls.crt","path":"tls.crt"},{"key":"tls.key","path":"tls.key"}],"secretName":"db-tls"}}
        uri: postgresql://app:fresh-password@db.shop-production.svc.cluster.local:5432/app
        ssl = on
        ssl_cert_file = '/etc/trackbed/tls/tls.crt'
        ssl_key_file = '/etc/trackbed/tls/tls.key'
        local all all peer
        host all all 127.0.0.1/32 scram-sha-256
        host all all ::1/128 scram-sha-256
        hostssl all all all scram-sha-256
        {"name":"certificate","secret":{"defaultMode":288,"items":[{"key":"tls.crt","path":"tls.crt"},{"key":"tls.key","path":"tls.key"}],"secretName":"db-tls"}}
        uri: postgresql://app:fresh-password@db.shop-production.svc.cluster.local:5432/app?sslmode=require
        sslmode: require
        PGSSLMODE: require
    "#]].assert_eq(&text);
}

#[test]
fn a_certificate_is_renewed_before_it_ends_and_its_authority_stays() {
    let object = encrypted("mode: Allow");
    let mut seen = with_keys();
    let first = at(&object, &seen, "2026-01-01T00:00:00Z").certificate;
    seen = with_keys();
    seen.certificate = first.clone();
    let first = first.expect("a certificate");
    let kept = at(&object, &seen, "2026-03-01T00:00:00Z").certificate;
    assert_eq!(kept.as_ref(), Some(&first));
    let renewed = at(&object, &seen, "2026-03-03T00:00:00Z")
        .certificate
        .expect("one");
    assert_eq!(value(&renewed, "ca.crt"), value(&first, "ca.crt"));
    assert_eq!(value(&renewed, "ca.key"), value(&first, "ca.key"));
    assert_ne!(value(&renewed, "tls.crt"), value(&first, "tls.crt"));
    assert_ne!(value(&renewed, "tls.key"), value(&first, "tls.key"));
}

#[test]
fn a_certificate_of_somebody_has_to_be_there() {
    let object = encrypted("mode: Require, secretRef: {name: mine}");
    let mut seen = with_keys();
    let said = |seen: &Seen| {
        let plan = decide(&object, seen);
        let (_, reason, message) = plan.outcome.health.ready();
        format!("{reason}: {message}\n")
    };
    let mut text = said(&seen);
    let secret = |keys: &str| {
        Arc::unwrap_or_clone(yaml::<Secret>(&format!(
            "metadata: {{name: mine}}\ndata: {{{keys}}}\n"
        )))
    };
    // "-----BEGIN CERTIFICATE-----" and "-----BEGIN PRIVATE KEY-----"
    let certificate = "tls.crt: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t";
    let key = "tls.key: LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t";
    seen.certificate = Some(secret(certificate));
    text += &said(&seen);
    seen.certificate = Some(secret(&format!("{certificate}, {key}, ca.crt: ''")));
    let public = decide(&object, &seen).children.expect("children").secret;
    assert!(!public.data.expect("data").contains_key("ca.crt"));
    seen.certificate = Some(secret(&format!("{certificate}, {key}, ca.crt: Q0E=")));
    let children = decide(&object, &seen).children.expect("children");
    assert!(children.certificate.is_none());
    assert_eq!(value(&children.secret, "ca.crt"), "CA");
    text += &told(&children);
    expect![[r#"
        SecretInvalid: tls.secretRef: there is no Secret mine in this namespace
        SecretInvalid: tls.secretRef: the Secret mine has no tls.key in PEM
        ssl = on
        ssl_cert_file = '/etc/trackbed/tls/tls.crt'
        ssl_key_file = '/etc/trackbed/tls/tls.key'
        local all all peer
        host all all 127.0.0.1/32 scram-sha-256
        host all all ::1/128 scram-sha-256
        hostssl all all all scram-sha-256
        {"name":"certificate","secret":{"defaultMode":288,"items":[{"key":"tls.crt","path":"tls.crt"},{"key":"tls.key","path":"tls.key"}],"secretName":"mine"}}
        uri: postgresql://app:fresh-password@db.shop-production.svc.cluster.local:5432/app?sslmode=require
        sslmode: require
        PGSSLMODE: require
    "#]].assert_eq(&text);
}

#[test]
fn a_server_goes_on_while_the_next_certificate_is_waited_for() {
    let mut object = encrypted("mode: Require, secretRef: {name: mine}");
    let mut seen = with_keys();
    let files = "tls.crt: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t, tls.key: LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t, ca.crt: Q0E=";
    let mine = yaml::<Secret>(&format!("metadata: {{name: mine}}\ndata: {{{files}}}\n"));
    seen.certificate = Some(Arc::unwrap_or_clone(mine));
    let before = decide(&object, &seen).children.expect("children");
    // Of the next one there is nothing yet.
    seen.certificate = None;
    seen.secret = Some(before.secret.clone());
    seen.settings = Some(before.settings.clone());
    seen.set = before.set.clone().map(Arc::new);
    object = encrypted("mode: Allow, secretRef: {name: next}");
    object.spec.parameters = [("work_mem".to_owned(), "8MB".to_owned())].into();
    let plan = decide(&object, &seen);
    let (_, reason, message) = plan.outcome.health.ready();
    assert_eq!(
        (reason, message),
        (
            "SecretInvalid",
            "tls.secretRef: there is no Secret next in this namespace"
        )
    );
    assert_eq!(
        plan.outcome.requeue,
        Some(std::time::Duration::from_secs(30))
    );
    let children = plan.children.expect("children");
    assert!(
        children.set.is_none(),
        "its pod would wait for the certificate"
    );
    assert_eq!(children.secret.data, before.secret.data);
    let data = children.settings.data.expect("data");
    assert!(data["postgresql.conf"].contains("work_mem = '8MB'"));
    assert_eq!(
        data["pg_hba.conf"],
        before.settings.data.expect("data")["pg_hba.conf"]
    );
    object.spec.suspend = true;
    let set = decide(&object, &seen).children.and_then(|it| it.set);
    let spec = set.and_then(|it| it.spec).expect("a set");
    assert_eq!(spec.replicas, Some(0));
    let set = StatefulSet {
        spec: Some(spec),
        ..StatefulSet::default()
    };
    let text = serde_json::to_string(&set).expect("JSON");
    assert!(text.contains("\"secretName\":\"mine\""), "{text}");
}

const OTHERS: [&str; 2] = [
    "engine: Redis, version: '7'",
    "engine: Valkey, version: '9'",
];

/// Which keys clients are told, and the addresses.
fn keys(secret: &Secret) -> String {
    let data = secret.data.as_ref().expect("data");
    let names: Vec<&str> = data.keys().map(String::as_str).collect();
    let addresses = ["uri", "REDIS_URL"].map(|key| value(secret, key));
    format!("{}\n{}\n", names.join(" "), addresses.join("\n"))
}

#[test]
fn clients_of_redis_and_valkey_are_told_by_the_address() {
    for engine in OTHERS {
        let object = database(&format!("{{{engine}, tls: {{mode: Require}}}}"));
        let children = at(&object, &with_keys(), "2026-01-01T00:00:00Z");
        let own = children.certificate.as_ref().expect("its own");
        assert_eq!(value(&children.secret, "ca.crt"), value(own, "ca.crt"));
        expect![[r#"
            REDIS_URL ca.crt database host password port provider type uri username
            rediss://app:fresh-password@db.shop-production.svc.cluster.local:6379/0
            rediss://app:fresh-password@db.shop-production.svc.cluster.local:6379/0
        "#]]
        .assert_eq(&keys(&children.secret));
        // The server goes by the certificate that its pod has.
        let clear = database(&format!("{{{engine}}}"));
        let clear = decide(&clear, &with_keys()).children.expect("children");
        assert_eq!(children.settings.data, clear.settings.data);
        let volumes = |set: Option<StatefulSet>| {
            let set = serde_json::to_value(set).expect("JSON");
            set["spec"]["template"]["spec"]["volumes"].to_string()
        };
        assert!(volumes(children.set).contains("db-tls"));
        assert!(!volumes(clear.set).contains("db-tls"));
    }
}

#[test]
fn a_renewed_certificate_restarts_no_server() {
    for engine in [POSTGRES, OTHERS[0], OTHERS[1]] {
        let object = database(&format!("{{{engine}, tls: {{mode: Require}}}}"));
        let mut seen = with_keys();
        let before = at(&object, &seen, "2026-01-01T00:00:00Z");
        seen = with_keys();
        seen.certificate = before.certificate.clone();
        seen.secret = Some(before.secret.clone());
        let after = at(&object, &seen, "2026-03-03T00:00:00Z");
        assert_ne!(after.certificate, before.certificate);
        assert_eq!(after.set, before.set);
        assert_eq!(after.settings, before.settings);
    }
}

#[test]
fn clients_of_redis_encrypt_while_the_next_certificate_is_waited_for() {
    let with = |tls: &str| database(&format!("{{{}{tls}}}", OTHERS[0]));
    let mut seen = with_keys();
    let wait = |seen: &mut Seen, before: Children| {
        seen.secret = Some(before.secret.clone());
        seen.set = before.set.map(Arc::new);
        let next = with(", tls: {mode: Require, secretRef: {name: next}}");
        let children = decide(&next, seen).children.expect("children");
        assert!(children.set.is_none(), "its pod would wait for it");
        assert_eq!(children.secret.data, before.secret.data);
        children.secret
    };
    let clear = decide(&with(""), &seen).children.expect("children");
    let told = wait(&mut seen, clear);
    assert!(value(&told, "uri").starts_with("redis://"));
    seen = with_keys();
    let own = at(
        &with(", tls: {mode: Require}"),
        &seen,
        "2026-01-01T00:00:00Z",
    );
    let told = wait(&mut seen, own);
    assert!(value(&told, "uri").starts_with("rediss://"));
}
