//! Several servers of Redis or Valkey: what is written, and when one of them is restarted.

use std::{fmt::Write, sync::Arc};

use expect_test::expect;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use trackbed_api::Database;
use trackbed_database::{
    observe::{Fresh, Seen},
    plan::storage::Report,
};

use super::{
    children, database, decide,
    health::health,
    restart::{OLD, made, written},
    tls::with_keys,
};

pub(crate) const UP: &str = "{conditions: [{type: Ready, status: 'True'}]}";
const DOWN: &str = "{conditions: [{type: Ready, status: 'False'}]}";
const STUCK: &str = "{containerStatuses: [{name: redis, image: x, imageID: '', ready: false, restartCount: 0, state: {waiting: {reason: ImagePullBackOff, message: no answer}}}]}";
const REFUSES: &str = r#"{containerStatuses: [{name: redis, image: i, imageID: i, ready: false, restartCount: 2, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 1, message: '{"reason": "DataMissing", "message": "the volume is empty"}'}}}]}"#;

pub(crate) fn redis(replicas: u8, more: &str) -> Database {
    database(&format!(
        "{{engine: Redis, version: '7', replicas: {replicas}, storage: {{size: 1Gi, className: fast}}{more}}}"
    ))
}

fn seen() -> Seen {
    let mut seen = super::seen();
    seen.fresh = Fresh {
        peers: "fresh-peers".to_owned(),
        ..with_keys().fresh
    };
    seen
}

/// Servers whose pods have these statuses, the primary by its number.
pub(crate) fn serving(object: &Database, statuses: &[&str], primary: Option<usize>) -> Seen {
    let seen = seen();
    let mut seen = written(&seen, &children(object, &seen));
    let pod = |(ordinal, status): (usize, &&str)| {
        let mut pod: Pod = Arc::unwrap_or_clone(made(&seen, 0, status));
        pod.metadata.name = Some(format!("db-{ordinal}"));
        Arc::new(pod)
    };
    seen.pods = statuses.iter().enumerate().map(pod).collect();
    seen.primary = primary.map(|it| format!("db-{it}"));
    seen.pod = seen.pods.get(primary.unwrap_or_default()).cloned();
    seen.claims = children(object, &seen)
        .claims
        .into_iter()
        .map(Arc::new)
        .collect();
    written(&seen, &children(object, &seen))
}

#[test]
fn each_server_has_a_sentinel_and_a_volume_that_stays() {
    let object = redis(3, "");
    let children = children(&object, &seen());
    assert!(children.claim.is_none());
    let mut text = String::new();
    for claim in &children.claims {
        assert!(claim.metadata.owner_references.is_none(), "it stays");
        writeln!(text, "{} {:?}", claim.name_any(), claim.labels()).expect("text");
    }
    let set = serde_json::to_value(children.set).expect("JSON");
    let (spec, pod) = (&set["spec"], &set["spec"]["template"]["spec"]);
    let [server, sentinel] = [&pod["containers"][0], &pod["containers"][1]];
    for (what, value) in [
        ("replicas", &spec["replicas"]),
        ("template", &spec["volumeClaimTemplates"]),
        ("server", &server["command"]),
        ("env", &server["env"]),
        ("probe", &server["readinessProbe"]["exec"]["command"]),
        ("alive", &server["livenessProbe"]["tcpSocket"]),
        ("sentinel", sentinel),
        ("affinity", &pod["affinity"]),
        ("dns", &pod["dnsConfig"]),
    ] {
        writeln!(text, "{what}: {value}").expect("text");
    }
    let volumes = pod["volumes"].as_array().into_iter().flatten();
    let volumes: Vec<_> = volumes.map(|it| it["name"].to_string()).collect();
    writeln!(text, "volumes: {volumes:?}").expect("text");
    let budget = serde_json::to_value(children.budget).expect("JSON");
    writeln!(text, "budget: {}", budget["spec"]).expect("text");
    let headless = serde_json::to_value(children.headless).expect("JSON");
    let ready = &headless["spec"]["publishNotReadyAddresses"];
    writeln!(text, "before they are ready: {ready}").expect("text");
    let policy = serde_json::to_value(children.policy).expect("JSON");
    writeln!(text, "policy: {}", policy["spec"]["ingress"][2]).expect("text");
    for (key, value) in children.standby.data.iter().flatten() {
        writeln!(text, "{key}={}", String::from_utf8_lossy(&value.0)).expect("text");
    }
    let servers = &children.settings.data.expect("settings")["servers"];
    writeln!(text, "servers: {servers}").expect("text");
    expect![[r#"
        data-db-0 {"app.kubernetes.io/managed-by": "trackbed", "trackbed.dev/database": "db", "trackbed.dev/project": "shop"}
        data-db-1 {"app.kubernetes.io/managed-by": "trackbed", "trackbed.dev/database": "db", "trackbed.dev/project": "shop"}
        data-db-2 {"app.kubernetes.io/managed-by": "trackbed", "trackbed.dev/database": "db", "trackbed.dev/project": "shop"}
        replicas: 3
        template: [{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"labels":{"app.kubernetes.io/managed-by":"trackbed","trackbed.dev/database":"db","trackbed.dev/project":"shop"},"name":"data"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}},"storageClassName":"fast"}}]
        server: ["/opt/trackbed/bin/trackbed","supervisor","redis","--version=7","--domain=db-headless.shop-production.svc.cluster.local"]
        env: [{"name":"TRACKBED_POD","valueFrom":{"fieldRef":{"apiVersion":"v1","fieldPath":"metadata.name"}}}]
        probe: ["/opt/trackbed/bin/trackbed","supervisor","probe","redis","--version=7","--domain=db-headless.shop-production.svc.cluster.local"]
        alive: {"port":6380}
        sentinel: {"command":["/opt/trackbed/bin/trackbed","supervisor","sentinel","redis","--version=7","--domain=db-headless.shop-production.svc.cluster.local"],"env":[{"name":"TRACKBED_POD","valueFrom":{"fieldRef":{"apiVersion":"v1","fieldPath":"metadata.name"}}}],"image":"docker.io/library/redis:7","livenessProbe":{"failureThreshold":6,"periodSeconds":20,"tcpSocket":{"port":26379},"timeoutSeconds":5},"name":"sentinel","resources":{"limits":{"cpu":"500m","memory":"96Mi"},"requests":{"cpu":"10m","memory":"32Mi"}},"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]},"readOnlyRootFilesystem":true},"volumeMounts":[{"mountPath":"/data","name":"data"},{"mountPath":"/etc/trackbed/standby","name":"standby","readOnly":true},{"mountPath":"/etc/trackbed/state","name":"settings","readOnly":true},{"mountPath":"/tmp","name":"tmp"},{"mountPath":"/opt/trackbed/bin","name":"bin","readOnly":true}]}
        affinity: {"podAntiAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"podAffinityTerm":{"labelSelector":{"matchLabels":{"trackbed.dev/database":"db","trackbed.dev/role":"database"}},"topologyKey":"kubernetes.io/hostname"},"weight":100}]}}
        dns: {"options":[{"name":"ndots","value":"1"},{"name":"timeout","value":"1"},{"name":"attempts","value":"2"}]}
        volumes: ["\"credentials\"", "\"standby\"", "\"settings\"", "\"run\"", "\"tmp\"", "\"bin\""]
        budget: {"maxUnavailable":1,"selector":{"matchLabels":{"trackbed.dev/database":"db","trackbed.dev/role":"database"}}}
        before they are ready: true
        policy: {"from":[{"podSelector":{"matchLabels":{"trackbed.dev/database":"db","trackbed.dev/role":"database"}}}],"ports":[{"port":6380,"protocol":"TCP"},{"port":26379,"protocol":"TCP"}]}
        password=fresh-standby
        peers=fresh-peers
        username=app_2
        servers: 3
    "#]].assert_eq(&text);
}

#[test]
fn one_server_is_as_it_was() {
    let children = children(&redis(1, ""), &seen());
    assert!(children.claims.is_empty() && children.budget.is_none());
    assert_eq!(children.claim.expect("a claim").name_any(), "db-data");
    assert!(
        !children
            .settings
            .data
            .expect("settings")
            .contains_key("servers")
    );
    assert!(!children.standby.data.expect("keys").contains_key("peers"));
}

#[test]
fn the_password_among_servers_is_made_once() {
    let object = redis(3, "");
    let mut seen = serving(&object, &[UP, UP, UP], Some(0));
    seen.fresh = Fresh::default();
    let standby = children(&object, &seen).standby.data.expect("keys");
    assert_eq!(standby["peers"].0, b"fresh-peers");
}

#[test]
fn health_follows_the_pods() {
    let object = redis(3, "");
    let mut text = String::new();
    for statuses in [
        &[][..],
        &[DOWN, DOWN, DOWN],
        &[UP, DOWN, DOWN],
        &[UP, UP, DOWN],
        &[UP, REFUSES, UP],
        &[REFUSES, DOWN, DOWN],
        &[UP, UP, UP],
    ] {
        let plan = decide(&object, &serving(&object, statuses, None));
        let (status, reason, message) = plan.outcome.health.ready();
        writeln!(text, "Ready={status} {reason}: {message}").expect("text");
        for fact in plan
            .outcome
            .facts
            .iter()
            .filter(|it| it.kind == "Replicated")
        {
            writeln!(
                text,
                "  {:?} {}: {}",
                fact.status, fact.reason, fact.message
            )
            .expect("text");
        }
        let replication = plan.outcome.status.replication.expect("status");
        writeln!(text, "  {}", replication.ready).expect("text");
    }
    expect![[r#"
        Ready=False Progressing: Redis 7 is being started
          None Progressing: 0 of 3 servers are up: the others are starting
          0/3
        Ready=False Progressing: Redis 7 is starting
          None Progressing: 0 of 3 servers are up: the others are starting
          0/3
        Ready=False Progressing: Redis 7 takes no writes yet: no other server is up
          None Progressing: 1 of 3 servers are up: the others are starting
          1/3
        Ready=True Ready: Redis 7 answers at db.shop-production.svc.cluster.local, 2 of 3 servers are up
          None Progressing: 2 of 3 servers are up: the others are starting
          2/3
        Ready=True Ready: Redis 7 answers at db.shop-production.svc.cluster.local, 2 of 3 servers are up
          None Progressing: 2 of 3 servers are up: the volume is empty
          2/3
        Ready=False DataMissing: the volume is empty
          None Progressing: 0 of 3 servers are up: the volume is empty
          0/3
        Ready=True Ready: Redis 7 answers at db.shop-production.svc.cluster.local, 3 of 3 servers are up
          Some(true) Replicated: 3 of 3 servers are up
          3/3
    "#]].assert_eq(&text);
    let asleep = redis(3, ", suspend: true");
    health(
        &asleep,
        &serving(&asleep, &[], None),
        &expect![[r#"
        Ready=True Suspended: suspended: no pod runs, the data are kept
    "#]],
    );
    let set = children(&asleep, &seen()).set.and_then(|it| it.spec);
    assert_eq!(set.and_then(|it| it.replicas), Some(0));
}

#[test]
fn servers_are_restarted_one_at_a_time_the_primary_last() {
    let (before, after) = (redis(3, ""), redis(3, ", parameters: {maxclients: '100'}"));
    let mut text = String::new();
    for (statuses, primary) in [
        (&[UP, UP, UP][..], Some(2)),
        (&[UP, UP, UP], None),
        (&[UP, UP], Some(0)),
        (&[UP, DOWN, UP], Some(0)),
        (&[DOWN, DOWN, UP], Some(2)),
        (&[UP, STUCK, STUCK], Some(0)),
    ] {
        let seen = serving(&before, statuses, primary);
        let seen = written(&seen, &children(&after, &seen));
        let restart = children(&after, &seen).restart;
        let pod = restart.map(|it| it.pod.name_any());
        writeln!(
            text,
            "{} pods, primary {primary:?}: {pod:?}",
            statuses.len()
        )
        .expect("text");
    }
    // Those that were restarted are as they are to be.
    let mut seen = serving(&before, &[UP, UP, UP], Some(2));
    seen = written(&seen, &children(&after, &seen));
    let mut restarted = Vec::new();
    while let Some(restart) = children(&after, &seen).restart {
        let name = restart.pod.name_any();
        let mut pod: Pod = Arc::unwrap_or_clone(made(&seen, 1, UP));
        pod.metadata.name = Some(name.clone());
        let place = seen.pods.iter().position(|it| it.name_any() == name);
        seen.pods[place.expect("a pod")] = Arc::new(pod);
        restarted.push(name);
        assert!(restarted.len() < 4, "{restarted:?}");
    }
    writeln!(text, "{restarted:?}").expect("text");
    expect![[r#"
        3 pods, primary Some(2): Some("db-1")
        3 pods, primary None: None
        2 pods, primary Some(0): None
        3 pods, primary Some(0): Some("db-1")
        3 pods, primary Some(2): None
        3 pods, primary Some(0): Some("db-2")
        ["db-1", "db-0", "db-2"]
    "#]]
    .assert_eq(&text);
    let seen = serving(&before, &[UP, UP, UP], Some(2));
    assert!(children(&before, &seen).restart.is_none());
}

#[test]
fn servers_that_are_too_many_go_one_at_a_time() {
    let five = redis(5, "");
    let count = |statuses: &[&str], primary, wanted| {
        let seen = serving(&five, statuses, primary);
        let object = redis(wanted, "");
        let children = children(&object, &seen);
        let servers = children.settings.data.expect("settings")["servers"].clone();
        let set = children
            .set
            .and_then(|it| it.spec)
            .and_then(|it| it.replicas);
        assert_eq!(servers, set.expect("a number").to_string());
        assert!(children.restart.is_none(), "nobody is restarted for it");
        servers
    };
    assert_eq!(count(&[UP; 5], Some(4), 3), "4");
    assert_eq!(count(&[UP; 5], None, 3), "5", "nobody knows the primary");
    assert_eq!(count(&[UP, UP, UP, UP, DOWN], Some(0), 3), "5");
    assert_eq!(count(&[UP; 5], Some(0), 7), "7");
}

#[test]
fn volumes_of_servers_grow_and_never_shrink() {
    let object = redis(3, "");
    let seen = serving(&object, &[UP, UP, UP], Some(0));
    let grown = database(
        "{engine: Redis, version: '7', replicas: 3, storage: {size: 2Gi, className: fast}}",
    );
    let children = children(&grown, &seen);
    for claim in children.claims {
        let requests = claim
            .spec
            .and_then(|it| it.resources?.requests)
            .expect("a size");
        assert_eq!(requests["storage"].0, "2Gi");
    }
    let set = children.set.and_then(|it| it.spec).expect("a set");
    let live = seen
        .set
        .as_deref()
        .and_then(|it| it.spec.clone())
        .expect("a set");
    assert_eq!(
        set.volume_claim_templates, live.volume_claim_templates,
        "it cannot change"
    );
}

#[test]
fn what_decides_over_takeovers_is_not_for_parameters() {
    let object = redis(3, ", parameters: {min-replicas-to-write: '0'}");
    health(
        &object,
        &seen(),
        &expect![[r#"
        Ready=False InvalidParameter: parameters.min-replicas-to-write is Trackbed's to set, with several replicas: remove it
        nothing is written
    "#]],
    );
}

#[test]
fn a_supervisor_says_who_is_the_primary() {
    let read = |more: &str| {
        let metrics = format!(
            "trackbed_database_data_bytes 1\ntrackbed_database_volume_bytes 2\ntrackbed_database_volume_available_bytes 1\n{more}"
        );
        Report::read(&metrics).expect("a report")
    };
    let [one, primary, replica] = [
        "",
        "trackbed_database_primary 1\n",
        "trackbed_database_primary 0\n",
    ]
    .map(read);
    assert_eq!(
        [one.primary, primary.primary, replica.primary],
        [None, Some(true), Some(false)]
    );
    assert!(primary.differs(&replica, None));
}

#[test]
fn the_image_of_the_primary_is_that_of_all() {
    let object = redis(3, "");
    let digest = format!("docker.io/library/redis@{OLD}");
    let up = format!(
        "{{conditions: [{{type: Ready, status: 'True'}}], containerStatuses: [{{name: redis, image: x, imageID: '{digest}', ready: true, restartCount: 0}}]}}"
    );
    let seen = serving(&object, &[&up, &up, &up], Some(1));
    let children = children(&object, &seen);
    assert!(children.restart.is_none(), "they have it already");
    let set = children
        .set
        .and_then(|it| it.spec?.template.spec)
        .expect("a pod");
    for container in set.containers {
        assert_eq!(container.image.as_deref(), Some(digest.as_str()));
    }
}
