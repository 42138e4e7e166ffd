//! Several servers, which CloudNativePG runs.

use std::{fmt::Write, sync::Arc};

use expect_test::expect;
use k8s_openapi::{ByteString, api::core::v1::Pod};
use trackbed_api::Database;
use trackbed_database::{
    cloudnative_pg::Cluster,
    observe::Seen,
    plan::{Plan, plan},
};
use trackbed_kit::{Config, config::Served};

use super::{
    backup::{COMPLETE, yaml},
    claim, database, now,
};

pub(crate) const HEALTHY: &str = "{managedRolesStatus: {passwordStatus: {app: {resourceVersion: '1'}, app_2: {resourceVersion: '1'}}}, readyInstances: 2, currentPrimary: db-1, targetPrimary: db-1, instancesStatus: {healthy: [db-1, db-2]}, phase: Cluster in healthy state}";
const FAILING: &str = "{managedRolesStatus: {passwordStatus: {app: {resourceVersion: '1'}, app_2: {resourceVersion: '1'}}}, readyInstances: 1, currentPrimary: db-1, targetPrimary: db-2, instancesStatus: {healthy: [db-2], failed: [db-1]}, phase: Failing over, phaseReason: db-1 does not answer}";
const ALONE: &str = "{managedRolesStatus: {passwordStatus: {app: {resourceVersion: '1'}, app_2: {resourceVersion: '1'}}}, readyInstances: 1, currentPrimary: db-2, targetPrimary: db-2, instancesStatus: {healthy: [db-2], failed: [db-1]}, phase: Waiting for the instances to become active}";

pub(crate) fn several(more: &str) -> Database {
    database(&format!(
        "{{engine: Postgres, version: '17', replicas: 2, storage: {{size: 1Gi, className: fast}}{more}}}"
    ))
}

pub(crate) fn decide(object: &Database, seen: &Seen) -> Plan {
    let config = Config {
        served: Served {
            cloudnative_pg: true,
            barman_cloud: true,
            ..Served::default()
        },
        ..Config::example()
    };
    plan(object, seen, &config, now())
}

/// Before the first look: the image has been found.
pub(crate) fn seen() -> Seen {
    let mut seen = super::seen();
    let name = trackbed_api::names::requested_update("db", "");
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let status = format!(
        "containerStatuses: [{{name: look, image: i, imageID: 'docker.io/library/postgres@{digest}', ready: false, restartCount: 0}}]"
    );
    let job = format!(
        "metadata: {{name: {name}, labels: {{trackbed.dev/role: update}}}}\nstatus: {{conditions: [{COMPLETE}]}}\n"
    );
    let pod = format!(
        "metadata: {{name: {name}-x, labels: {{batch.kubernetes.io/job-name: {name}}}}}\nspec: {{containers: [{{name: look, image: 'docker.io/library/postgres:17'}}]}}\nstatus: {{{status}}}\n"
    );
    seen.backups.jobs.push(yaml(&job));
    seen.backups.pods.push(yaml(&pod));
    seen
}

/// What there is after a look, with the servers like this.
pub(crate) fn then(object: &Database, mut seen: Seen, status: &str) -> Seen {
    let children = decide(object, &seen).children.expect("children");
    let mut secret = children.secret;
    secret.metadata.resource_version = Some("1".to_owned());
    seen.secret = Some(secret);
    let mut standby = children.standby;
    standby.metadata.resource_version = Some("2".to_owned());
    seen.standby = Some(standby);
    seen.settings = Some(children.settings);
    if let Some(mut cluster) = children.cluster.object() {
        cluster.metadata.creation_timestamp = serde_saphyr::from_str("2025-12-31T23:59:30Z").ok();
        cluster.status = Some(serde_saphyr::from_str(status).expect("a status"));
        seen.cluster = Some(Arc::new(cluster));
    }
    seen
}

pub(crate) fn said(plan: &Plan) -> String {
    let (status, reason, message) = plan.outcome.health.ready();
    let mut text = format!("Ready={status} {reason}: {message}\n");
    for fact in &plan.outcome.facts {
        let status = fact.status;
        writeln!(
            text,
            "  {}={status:?} {}: {}",
            fact.kind, fact.reason, fact.message
        )
        .expect("text");
    }
    text
}

fn parameters(cluster: &Cluster) -> String {
    let all = cluster.spec.postgresql.parameters.iter();
    all.map(|(name, value)| format!("{name}={value} "))
        .collect()
}

#[test]
fn cloudnative_pg_is_told_everything() {
    let object = several(", parameters: {work_mem: 8MB}");
    let children = decide(&object, &seen()).children.expect("children");
    expect![[r#"
        apiVersion: postgresql.cnpg.io/v1
        kind: Cluster
        metadata:
          annotations:
            cnpg.io/hibernation: "off"
            trackbed.dev/identity: fresh-identity
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/database: db
            trackbed.dev/project: shop
          name: db
          namespace: shop-production
        spec:
          instances: 2
          imageName: >-
            docker.io/library/postgres:17@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
          postgresUID: 999
          postgresGID: 999
          enableSuperuserAccess: false
          smartShutdownTimeout: 5
          stopDelay: 120
          primaryUpdateStrategy: unsupervised
          primaryUpdateMethod: switchover
          bootstrap:
            initdb:
              database: app
              owner: app
              secret:
                name: db-credentials
              encoding: UTF8
              localeCollate: C.UTF-8
              localeCType: C.UTF-8
              dataChecksums: true
              postInitApplicationSQL:
              - create role "app_2" login
              - grant "app" to "app_2"
              - alter role "app_2" set role to "app"
          postgresql:
            parameters:
              max_connections: "100"
              max_slot_wal_keep_size: 307MB
              max_wal_size: 102MB
              min_wal_size: 32MB
              password_encryption: scram-sha-256
              shared_buffers: 128MB
              ssl_min_protocol_version: TLSv1.2
              timezone: UTC
              wal_keep_size: 204MB
              work_mem: 8MB
            synchronous:
              method: any
              number: 1
              dataDurability: preferred
              failoverQuorum: true
          managed:
            roles:
            - name: app
              ensure: present
              login: true
              passwordSecret:
                name: db-credentials
            - name: app_2
              ensure: present
              login: true
              inRoles:
              - app
              passwordSecret:
                name: db-standby
          monitoring:
            customQueriesConfigMap:
            - name: db-settings
              key: queries
          storage:
            size: 1Gi
            storageClass: fast
          resources:
            limits:
              cpu: "1"
              memory: 512Mi
            requests:
              cpu: 100m
              memory: 256Mi
          inheritedMetadata:
            labels:
              trackbed.dev/database: db
              trackbed.dev/project: shop
    "#]]
    .assert_eq(&serde_saphyr::to_string(&children.cluster.clone().object()).expect("YAML"));
    expect![[r#"
        egress:
        - to:
          - podSelector: {}
        - ports:
          - port: 443
            protocol: TCP
          - port: 6443
            protocol: TCP
        - ports:
          - port: 53
            protocol: UDP
          - port: 53
            protocol: TCP
        ingress:
        - from:
          - podSelector: {}
          ports:
          - port: 5432
            protocol: TCP
        - from:
          - namespaceSelector:
              matchLabels:
                kubernetes.io/metadata.name: trackbed-system
          ports:
          - port: 9187
            protocol: TCP
        - from:
          - namespaceSelector:
              matchLabels:
                kubernetes.io/metadata.name: cnpg-system
          - podSelector: {}
          ports:
          - port: 8000
            protocol: TCP
        podSelector:
          matchLabels:
            cnpg.io/cluster: db
        policyTypes:
        - Ingress
        - Egress
    "#]]
    .assert_eq(&serde_saphyr::to_string(&children.policy.spec).expect("YAML"));
    let selector = children.service.expect("an address").spec;
    let selector = selector.and_then(|it| it.selector).expect("a selector");
    assert_eq!(selector["cnpg.io/instanceRole"], "primary");
    assert!(children.set.is_none() && children.claim.is_none() && children.headless.is_none());
    for secret in [&children.secret, &children.standby] {
        let labels = secret.metadata.labels.as_ref().expect("labels");
        assert_eq!(labels["cnpg.io/reload"], "true");
    }
    let cluster = children.cluster.object().expect("servers");
    assert!(cluster.metadata.owner_references.is_none(), "they stay");
}

#[test]
fn how_they_are_is_said() {
    let object = several("");
    let mut text = said(&decide(&object, &seen()));
    for status in [
        "{}",
        HEALTHY,
        FAILING,
        ALONE,
        &HEALTHY.replace("app:", "other:"),
        "{phase: Cluster is unrecoverable and needs manual intervention}",
    ] {
        text += &said(&decide(&object, &then(&object, seen(), status)));
    }
    let mut known = object.clone();
    known.status = serde_saphyr::from_str("{conditions: [{type: Replicated, status: 'True', reason: Replicated, message: '', lastTransitionTime: '2026-01-01T00:00:00Z'}], initialised: true}").ok();
    for status in [FAILING, ALONE] {
        text += &said(&decide(&known, &then(&object, seen(), status)));
    }
    let mut seen = then(&object, seen(), "{phase: Setting up primary}");
    let waiting = "containerStatuses: [{name: postgres, image: i, imageID: '', ready: false, restartCount: 0, state: {waiting: {reason: ImagePullBackOff, message: not found}}}]";
    let pod: Arc<Pod> = yaml(&format!(
        "metadata: {{name: db-1}}\nstatus: {{{waiting}}}\n"
    ));
    seen.instances = vec![pod.as_ref().clone()];
    text += &said(&decide(&object, &seen));
    let asleep = several(", suspend: true");
    let seen = then(&asleep, super::seen(), HEALTHY);
    text += &said(&decide(&asleep, &seen));
    let hibernated = "{conditions: [{type: cnpg.io/hibernation, status: 'True', reason: Hibernated, message: '', lastTransitionTime: '2026-01-01T00:00:00Z'}]}";
    let seen = then(&asleep, super::seen(), hibernated);
    text += &said(&decide(&asleep, &seen));
    text += &said(&decide(&object, &then(&object, super::seen(), hibernated)));
    expect![[r#"
        Ready=False Progressing: Postgres 17 is being started
        Ready=False Progressing: Postgres 17 is being started
        Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up
          Replicated=Some(true) Replicated: 2 of 2 servers are up
        Ready=False Progressing: Postgres 17 does not take writes yet: Failing over: db-1 does not answer
          Replicated=None Progressing: 1 of 2 servers are up: Failing over: db-1 does not answer
        Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 1 of 2 servers are up
          Replicated=None Progressing: 1 of 2 servers are up: Waiting for the instances to become active
        Ready=False Progressing: Postgres 17 is being told whom to let in
          Replicated=Some(true) Replicated: 2 of 2 servers are up
        Ready=False DatabaseNotReady: Postgres 17 does not start: Cluster is unrecoverable and needs manual intervention
          Replicated=None Progressing: 0 of 2 servers are up: Cluster is unrecoverable and needs manual intervention
        Ready=False Progressing: Postgres 17 does not take writes yet: Failing over: db-1 does not answer
          Replicated=Some(false) ReplicasMissing: 1 of 2 servers are up, no other could take over: Failing over: db-1 does not answer
        Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 1 of 2 servers are up
          Replicated=Some(false) ReplicasMissing: 1 of 2 servers are up, no other could take over: Waiting for the instances to become active
        Ready=False ImagePullFailed: the image of Postgres 17 cannot be pulled: not found
          Replicated=None Progressing: 0 of 2 servers are up: Setting up primary
        Ready=False Progressing: the image of Postgres 17 is being looked for
        Ready=False Progressing: the image of Postgres 17 is being looked for
        Ready=False Progressing: the image of Postgres 17 is being looked for
    "#]].assert_eq(&text);
}

#[test]
fn nothing_is_made_over_data_or_without_anybody_to_run_it() {
    let object = several("");
    let missing = plan(&object, &seen(), &Config::example(), now());
    let mut text = said(&missing);
    assert!(missing.children.is_none());
    let healthy = then(&object, seen(), HEALTHY);
    let mut secret = decide(&object, &healthy).children.expect("children").secret;
    let mut gone = seen();
    gone.secret = Some(secret.clone());
    let lost = decide(&object, &gone);
    text += &said(&lost);
    assert!(lost.children.is_none());
    gone.volumes = vec![claim("1Gi").expect("a claim").as_ref().clone()];
    let back = decide(&object, &gone);
    text += &said(&back);
    assert!(
        back.children.expect("children").cluster.object().is_some(),
        "it takes them up"
    );
    let mut foreign = seen();
    let mut cluster = healthy.cluster.as_deref().expect("servers").clone();
    cluster.metadata.labels = None;
    foreign.cluster = Some(Arc::new(cluster));
    let conflict = decide(&object, &foreign);
    text += &said(&conflict);
    assert!(conflict.children.is_none());
    assert!(!conflict.outcome.status.initialised, "by another's servers");
    let mut other = healthy.clone();
    let annotations = secret.metadata.annotations.as_mut().expect("annotations");
    annotations.insert("trackbed.dev/identity".to_owned(), "another".to_owned());
    other.secret = Some(secret);
    text += &said(&decide(&object, &other));
    other.secret = None;
    text += &said(&decide(&object, &other));
    expect![[r#"
        Ready=False CloudNativePgMissing: replicas: 2 need CloudNativePG, which this cluster did not have when the operator started: have it installed and the operator restarted, or create the Database with one
        Ready=False DataMissing: there were data, and neither the Cluster db nor a volume of it exists: restore its volumes, or delete the Secret db-credentials to begin anew
        Ready=False Progressing: Postgres 17 is being started
        Ready=False NameConflict: a Cluster db exists and is not Trackbed's: rename or remove it, or give the Database another name
        Ready=False DataBelongsToAnother: the Cluster db has the data of another Database than the Secret db-credentials is of: restore that one's Secret, or delete the Cluster if its data are not wanted
        Ready=False CredentialsMissing: the Cluster db exists and the Secret db-credentials with its password does not: restore the Secret, or delete what exists if its data are not wanted
    "#]].assert_eq(&text);
}

#[test]
fn what_they_would_not_take_leaves_them_as_they_are() {
    let object = several(", parameters: {work_mem: 8MB}");
    let seen = then(&object, seen(), HEALTHY);
    let wrong = several(", parameters: {work_mem: 9MB, archive_mode: 'off'}");
    let plan = decide(&wrong, &seen);
    let kept = plan
        .children
        .clone()
        .expect("children")
        .cluster
        .object()
        .expect("servers");
    let text = said(&plan) + &parameters(&kept) + "\n" + &said(&decide(&wrong, &super::seen()));
    expect![[r#"
        Ready=False InvalidParameter: parameters.archive_mode is CloudNativePG's to set, with several replicas: remove it; Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up, with the parameters of before
          Replicated=Some(true) Replicated: 2 of 2 servers are up
        max_connections=100 max_slot_wal_keep_size=307MB max_wal_size=102MB min_wal_size=32MB password_encryption=scram-sha-256 shared_buffers=128MB ssl_min_protocol_version=TLSv1.2 timezone=UTC wal_keep_size=204MB work_mem=8MB 
        Ready=False InvalidParameter: parameters.archive_mode is CloudNativePG's to set, with several replicas: remove it
    "#]].assert_eq(&text);
}

#[test]
fn certificates_are_those_of_the_database() {
    let object = several(", tls: {mode: Require, secretRef: {name: ours}}");
    let mut seen = seen();
    let pem = |what: &str| ByteString(format!("-----BEGIN {what}-----\n").into_bytes());
    seen.certificate = Some(k8s_openapi::api::core::v1::Secret {
        data: Some(
            [
                ("ca.crt", pem("CERTIFICATE")),
                ("tls.crt", pem("CERTIFICATE")),
                ("tls.key", pem("PRIVATE KEY")),
            ]
            .map(|(key, value)| (key.to_owned(), value))
            .into(),
        ),
        ..Default::default()
    });
    let cluster = decide(&object, &seen).children.expect("children").cluster;
    let spec = cluster.object().expect("servers").spec;
    let text = format!("{:?}\n{:?}\n", spec.certificates, spec.postgresql.pg_hba);
    expect![[r#"
        Some(Certificates { server_tls_secret: "ours", server_ca_secret: "ours" })
        ["hostssl all all all scram-sha-256", "hostnossl all all all reject"]
    "#]]
    .assert_eq(&text);
}
