//! Several servers of Redis or Valkey that encrypt: what their pods are given, and how all of them
//! change at once.

use std::{fmt::Write, sync::Arc};

use expect_test::expect;
use k8s_openapi::api::core::v1::Secret;
use trackbed_api::Database;
use trackbed_database::{observe::Seen, plan::Children};

use super::{
    backup::yaml,
    children, decide,
    restart::written,
    sentinels::{UP, redis, serving},
    tls::with_keys,
};

const TLS: &str = ", tls: {mode: Require}";

#[test]
fn servers_and_sentinels_have_the_certificate_and_its_authority() {
    let children = children(&redis(3, TLS), &with_keys());
    let set = serde_json::to_value(children.set).expect("JSON");
    let pod = &set["spec"]["template"]["spec"];
    let mut text = String::new();
    for container in pod["containers"].as_array().into_iter().flatten() {
        let mounts = container["volumeMounts"].as_array().into_iter().flatten();
        let of_tls = mounts.filter(|it| it["name"] == "certificate" || it["name"] == "run");
        for mount in of_tls {
            writeln!(text, "{}: {mount}", container["name"]).expect("text");
        }
    }
    let volumes = pod["volumes"].as_array().into_iter().flatten();
    for volume in volumes.filter(|it| it["name"] == "certificate") {
        writeln!(text, "{volume}").expect("text");
    }
    expect![[r#"
        "redis": {"mountPath":"/run/trackbed","name":"run"}
        "redis": {"mountPath":"/etc/trackbed/tls","name":"certificate","readOnly":true}
        "sentinel": {"mountPath":"/run/trackbed","name":"run","readOnly":true}
        "sentinel": {"mountPath":"/etc/trackbed/tls","name":"certificate","readOnly":true}
        {"name":"certificate","secret":{"defaultMode":288,"items":[{"key":"tls.crt","path":"tls.crt"},{"key":"tls.key","path":"tls.key"},{"key":"ca.crt","path":"ca.crt"}],"secretName":"db-tls"}}
    "#]].assert_eq(&text);
}

#[test]
fn a_certificate_of_somebody_needs_its_authority() {
    let object = redis(3, ", tls: {mode: Require, secretRef: {name: mine}}");
    let mut seen = with_keys();
    // "-----BEGIN CERTIFICATE-----" and "-----BEGIN PRIVATE KEY-----"
    let files = "tls.crt: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t, tls.key: LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t";
    let mine = |more: &str| {
        let text = format!("metadata: {{name: mine}}\ndata: {{{files}{more}}}\n");
        Some(Arc::unwrap_or_clone(yaml::<Secret>(&text)))
    };
    seen.certificate = mine("");
    let plan = decide(&object, &seen);
    let (_, reason, message) = plan.outcome.health.ready();
    expect!["SecretInvalid: tls.secretRef: the Secret mine has no ca.crt, by which several servers check each other"].assert_eq(&format!("{reason}: {message}"));
    seen.certificate = mine(", ca.crt: Q0E=");
    assert!(decide(&object, &seen).children.is_some());
}

/// How many servers there are to be, how many they are told of, which is restarted, and health.
fn says(what: &str, object: &Database, seen: &Seen) -> (String, Children) {
    let plan = decide(object, seen);
    let (_, reason, message) = plan.outcome.health.ready();
    let health = format!("{reason}: {message}");
    let children = plan.children.expect("children");
    let spec = children.set.as_ref().and_then(|it| it.spec.as_ref());
    let replicas = spec.and_then(|it| it.replicas).expect("a number");
    let told = &children.settings.data.as_ref().expect("settings")["servers"];
    let restart = children.restart.is_some();
    let text = format!("{what}: {replicas}, told {told}, restarts one: {restart}, {health}\n");
    (text, children)
}

#[test]
fn all_servers_end_before_one_begins_in_another_way() {
    let mine = ", tls: {mode: Require, secretRef: {name: mine}}";
    let mut text = String::new();
    for (what, before, after) in [("on", "", TLS), ("off", TLS, ""), ("another", TLS, mine)] {
        let (before, after) = (redis(3, before), redis(3, after));
        let mut seen = Seen {
            certificate: None,
            ..serving(&before, &[UP, UP, UP], Some(1))
        };
        let files = "tls.crt: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t, tls.key: LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t, ca.crt: Q0E=";
        let secret = yaml::<Secret>(&format!("metadata: {{name: mine}}\ndata: {{{files}}}\n"));
        if what == "another" {
            seen.certificate = Some(Arc::unwrap_or_clone(secret));
        }
        let (said, children) = says(what, &after, &seen);
        text += &said;
        seen = written(&seen, &children);
        // One has ended.
        seen.pods.pop();
        let (said, children) = says("they end", &after, &seen);
        text += &said;
        seen = written(&seen, &children);
        seen.pods.clear();
        let (said, children) = says("they ended", &after, &seen);
        text += &said;
        seen = written(&seen, &children);
        text += &says("they begin", &after, &seen).0;
    }
    expect![[r#"
        on: 0, told 3, restarts one: false, Progressing: Redis 7 is restarted for tls: all servers end first, as those with it and those without would turn each other away
        they end: 0, told 3, restarts one: false, Progressing: Redis 7 is restarted for tls: all servers end first, as those with it and those without would turn each other away
        they ended: 3, told 3, restarts one: false, Progressing: Redis 7 is being started
        they begin: 3, told 3, restarts one: false, Progressing: Redis 7 is being started
        off: 0, told 3, restarts one: false, Progressing: Redis 7 is restarted for tls: all servers end first, as those with it and those without would turn each other away
        they end: 0, told 3, restarts one: false, Progressing: Redis 7 is restarted for tls: all servers end first, as those with it and those without would turn each other away
        they ended: 3, told 3, restarts one: false, Progressing: Redis 7 is being started
        they begin: 3, told 3, restarts one: false, Progressing: Redis 7 is being started
        another: 0, told 3, restarts one: false, Progressing: Redis 7 is restarted for tls: all servers end first, as those with it and those without would turn each other away
        they end: 0, told 3, restarts one: false, Progressing: Redis 7 is restarted for tls: all servers end first, as those with it and those without would turn each other away
        they ended: 3, told 3, restarts one: false, Progressing: Redis 7 is being started
        they begin: 3, told 3, restarts one: false, Progressing: Redis 7 is being started
    "#]].assert_eq(&text);
}

#[test]
fn servers_that_are_too_many_come_back_with_the_others() {
    let five = redis(5, "");
    let mut seen = serving(&five, &[UP; 5], Some(4));
    let object = redis(3, TLS);
    let mut text = String::new();
    for what in ["all end", "they ended", "they begin"] {
        let (said, children) = says(what, &object, &seen);
        text += &said;
        seen = written(&seen, &children);
        seen.pods.clear();
    }
    expect![[r#"
        all end: 0, told 5, restarts one: false, Progressing: Redis 7 is restarted for tls: all servers end first, as those with it and those without would turn each other away
        they ended: 5, told 5, restarts one: false, Progressing: Redis 7 is being started
        they begin: 5, told 5, restarts one: false, Progressing: Redis 7 is being started
    "#]].assert_eq(&text);
}
