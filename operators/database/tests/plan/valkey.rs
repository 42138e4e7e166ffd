//! Valkey has what Redis has, by its own names; who binds to it finds a Redis.

use std::fmt::Write;

use expect_test::expect;
use trackbed_api::Database;

use super::{
    backup::{VOLUME, running},
    children, database,
    health::health,
    pod, seen,
};

fn valkey(version: &str, more: &str) -> Database {
    database(&format!("{{engine: Valkey, version: '{version}', {more}}}"))
}

#[test]
fn the_server_is_valkeys_and_its_settings_are_of_the_same_kind() {
    let object = valkey(
        "8",
        "resources: {limits: {memory: 1Gi}}, parameters: {maxmemory-policy: allkeys-lru}",
    );
    let children = children(&object, &seen());
    let set = serde_json::to_value(children.set).expect("JSON");
    let pod = &set["spec"]["template"]["spec"];
    let server = &pod["containers"][0];
    let mut text = String::new();
    for field in ["name", "image", "command", "ports"] {
        writeln!(text, "{field}: {}", server[field]).expect("text");
    }
    let probe = &server["readinessProbe"]["exec"]["command"];
    writeln!(text, "probe: {probe}\nuser: {}", pod["securityContext"]).expect("text");
    for (name, value) in children.settings.data.iter().flatten() {
        writeln!(text, "{name}: {value}").expect("text");
    }
    expect![[r#"
        name: "valkey"
        image: "docker.io/valkey/valkey:8"
        command: ["/opt/trackbed/bin/trackbed","supervisor","valkey","--version=8"]
        ports: [{"containerPort":6379,"name":"valkey","protocol":"TCP"},{"containerPort":9187,"name":"metrics","protocol":"TCP"}]
        probe: ["/opt/trackbed/bin/trackbed","supervisor","probe","valkey","--version=8"]
        user: {"fsGroup":999,"fsGroupChangePolicy":"OnRootMismatch","runAsGroup":999,"runAsNonRoot":true,"runAsUser":999,"seccompProfile":{"type":"RuntimeDefault"}}
        identity: fresh-identity
        initialised: false
        valkey.conf: maxmemory 805306368
        maxmemory-policy noeviction
        maxmemory-policy allkeys-lru

    "#]].assert_eq(&text);
}

#[test]
fn clients_find_a_redis() {
    let secret = children(&valkey("9", ""), &seen()).secret;
    let mut text = format!("{}\n", secret.type_.unwrap_or_default());
    for (key, value) in secret.data.iter().flatten() {
        writeln!(text, "{key}={}", String::from_utf8_lossy(&value.0)).expect("text");
    }
    expect![[r#"
        servicebinding.io/redis
        REDIS_URL=redis://app:fresh-password@db.shop-production.svc.cluster.local:6379/0
        database=0
        host=db.shop-production.svc.cluster.local
        password=fresh-password
        port=6379
        provider=trackbed
        type=redis
        uri=redis://app:fresh-password@db.shop-production.svc.cluster.local:6379/0
        username=app
    "#]]
    .assert_eq(&text);
}

#[test]
fn it_is_backed_up_and_restored_as_redis_is() {
    let object = valkey("9", &format!("backup: {{schedule: '@daily', {VOLUME}}}"));
    let backups = children(&object, &running()).backups;
    let cron = serde_json::to_value(backups.scheduled).expect("JSON");
    let pod = &cron["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let restored = valkey("9", "restore: {from: {volume: {claimName: redis-backups}}}");
    let job = children(&restored, &seen()).restore;
    let job = serde_json::to_value(job.made()).expect("JSON");
    let restore = &job["spec"]["template"]["spec"]["containers"][0];
    let mut text = String::new();
    for container in [&pod["initContainers"][1], &pod["containers"][0], restore] {
        let (image, words) = (&container["image"], &container["command"]);
        writeln!(text, "{image} {words}").expect("text");
    }
    expect![[r#"
        "docker.io/valkey/valkey:9" ["/opt/trackbed/bin/trackbed","supervisor","backup","valkey","--version=9","--folder=/backups","--keep=7","--timeout=21600","--data=/scratch"]
        "docker.io/valkey/valkey:9" ["/opt/trackbed/bin/trackbed","supervisor","prove","valkey","--version=9","--data=/scratch","--folder=/backups"]
        "docker.io/valkey/valkey:9" ["/opt/trackbed/bin/trackbed","supervisor","restore","valkey","--version=9","--folder=/backups"]
    "#]].assert_eq(&text);
}

#[test]
fn each_version_has_its_own_parameters() {
    // Valkey's own, one that only 9 knows, one of Redis that it gave up, and what is not theirs.
    let more = "parameters: {commandlog-execution-slower-than: '1', hash-seed: x, dynamic-hz: 'yes', primaryauth: x, maxmemory-polcy: noeviction}";
    let refused = |version: &str| valkey(version, more);
    health(
        &refused("8"),
        &seen(),
        &expect![[r#"
        Ready=False InvalidParameter: parameters.dynamic-hz is not known to Valkey 8: remove it; parameters.hash-seed is not known to Valkey 8: remove it; parameters.maxmemory-polcy is not known to Valkey 8: did you mean maxmemory-policy?; parameters.primaryauth is Trackbed's to set: remove it
        nothing is written
    "#]],
    );
    health(
        &refused("9"),
        &seen(),
        &expect![[r#"
        Ready=False InvalidParameter: parameters.dynamic-hz is not known to Valkey 9: remove it; parameters.maxmemory-polcy is not known to Valkey 9: did you mean maxmemory-policy?; parameters.primaryauth is Trackbed's to set: remove it
        nothing is written
    "#]],
    );
    let mut seen = seen();
    seen.pod = pod("{conditions: [{type: Ready, status: 'True'}]}");
    health(
        &valkey("9", "parameters: {io-threads: '4', hash-seed: x}"),
        &seen,
        &expect![[r#"
            Ready=True Ready: Valkey 9 answers at db.shop-production.svc.cluster.local
        "#]],
    );
}
