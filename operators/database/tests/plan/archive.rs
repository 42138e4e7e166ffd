//! The log of several servers goes into a bucket.

use std::{fmt::Write, sync::Arc};

use expect_test::expect;
use k8s_openapi::api::core::v1::Secret;
use trackbed_api::Database;
use trackbed_database::{
    observe::Seen,
    plan::{Children, Plan, archive::Fate, plan},
};
use trackbed_kit::{Config, config::Served};

use super::{
    backup::yaml,
    now,
    replicas::{HEALTHY, decide, said, seen, several, then},
};

pub(crate) const ARCHIVE: &str = ", archive: {s3: {bucket: acme, endpoint: 'https://s3.example.com/', prefix: shop, secretRef: {name: bucket}}}";
pub(crate) const KEYS: &str =
    "data: {AWS_ACCESS_KEY_ID: a2V5, AWS_SECRET_ACCESS_KEY: c2VjcmV0, ca.crt: Y2E=}";

pub(crate) fn secret(keys: &str) -> Option<Secret> {
    Some(
        yaml::<Secret>(&format!("metadata: {{name: bucket}}\n{keys}\n"))
            .as_ref()
            .clone(),
    )
}

/// Servers with an archive, that say this of it.
fn archived(object: &Database, conditions: &str, window: &str) -> Seen {
    let mut seen = seen();
    seen.archive.bucket = secret(KEYS);
    let status = HEALTHY.replace(
        "readyInstances",
        &format!("conditions: [{conditions}], readyInstances"),
    );
    let mut seen = then(object, seen, &status);
    let children = decide(object, &seen).children.expect("children");
    if let Some(mut store) = children.archives.store.object() {
        store.status = Some(
            serde_saphyr::from_str(&format!(
                "{{serverRecoveryWindow: {{fresh-identity: {{{window}}}}}}}"
            ))
            .expect("a status"),
        );
        seen.archive.store = Some(Arc::new(store));
    }
    seen.archive.copies = children.archives.copies.object().map(Arc::new);
    seen
}

const WORKS: &str = "{type: ContinuousArchiving, status: 'True', reason: ContinuousArchivingSuccess, message: it works, lastTransitionTime: '2025-12-31T00:00:00Z'}";
const FAILS: &str = "{type: ContinuousArchiving, status: 'False', reason: ContinuousArchivingFailing, message: it does not, lastTransitionTime: '2025-12-31T00:00:00Z'}";
const WINDOW: &str = "firstRecoverabilityPoint: '2025-12-30T00:00:00Z', lastSuccessfulBackupTime: '2025-12-31T03:00:00Z'";

pub(crate) fn fate<K>(fate: Fate<K>) -> &'static str {
    match fate {
        Fate::Is(_) => "is",
        Fate::Stays => "stays",
        Fate::Goes => "goes",
    }
}

/// What becomes of the archive.
pub(crate) fn fates(plan: &Plan) -> String {
    let children = plan.children.clone().expect("children");
    let archives = children.archives;
    let plugins = children.cluster.object().map(|it| it.spec.plugins.len());
    format!(
        "store {}, origin {}, copies {}, plugins {plugins:?}",
        fate(archives.store),
        fate(archives.origin),
        fate(archives.copies)
    )
}

#[test]
fn the_plugin_is_told_where_the_log_goes() {
    let object = several(ARCHIVE);
    let plan = decide(&object, &archived(&object, WORKS, WINDOW));
    let Children {
        cluster, archives, ..
    } = plan.children.expect("children");
    let cluster = cluster.object().expect("servers");
    let text = [
        serde_saphyr::to_string(&cluster.spec.plugins),
        serde_saphyr::to_string(&archives.store.object()),
        serde_saphyr::to_string(&archives.copies.object()),
    ];
    expect![[r#"
        - name: barman-cloud.cloudnative-pg.io
          isWALArchiver: true
          parameters:
            barmanObjectName: db-archive
            serverName: fresh-identity
        ---
        apiVersion: barmancloud.cnpg.io/v1
        kind: ObjectStore
        metadata:
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/database: db
            trackbed.dev/project: shop
          name: db-archive
          namespace: shop-production
        spec:
          configuration:
            destinationPath: s3://acme/shop/archive
            endpointURL: https://s3.example.com
            endpointCA:
              name: bucket
              key: ca.crt
            s3Credentials:
              accessKeyId:
                name: bucket
                key: AWS_ACCESS_KEY_ID
              secretAccessKey:
                name: bucket
                key: AWS_SECRET_ACCESS_KEY
            wal:
              compression: gzip
              maxParallel: 2
            data:
              compression: gzip
              immediateCheckpoint: true
          retentionPolicy: 14d
          instanceSidecarConfiguration:
            env:
            - name: AWS_DEFAULT_REGION
              value: us-east-1
            - name: AWS_REQUEST_CHECKSUM_CALCULATION
              value: when_required
            - name: AWS_RESPONSE_CHECKSUM_VALIDATION
              value: when_required
            resources:
              limits:
                cpu: "1"
                memory: 512Mi
              requests:
                cpu: 10m
                memory: 64Mi
        ---
        apiVersion: postgresql.cnpg.io/v1
        kind: ScheduledBackup
        metadata:
          annotations:
            trackbed.dev/destination: s3://acme/shop/archive https://s3.example.com
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/database: db
            trackbed.dev/project: shop
          name: db-archive
          namespace: shop-production
          ownerReferences:
          - apiVersion: trackbed.dev/v1alpha1
            controller: true
            kind: Database
            name: db
            uid: u-db
        spec:
          cluster:
            name: db
          schedule: 0 0 3 * * *
          suspend: false
          immediate: true
          backupOwnerReference: self
          method: plugin
          target: primary
          pluginConfiguration:
            name: barman-cloud.cloudnative-pg.io
    "#]]
    .assert_eq(&text.map(|it| it.expect("YAML")).join("---\n"));
}

#[test]
fn it_says_how_the_archive_is() {
    let object = several(ARCHIVE);
    let mut text = String::new();
    let mut look = |what: &str, seen: &Seen| {
        let plan = decide(&object, seen);
        let archive = plan.outcome.status.archive.clone();
        writeln!(
            text,
            "{what}: {}  {}\n  {archive:?}",
            said(&plan),
            fates(&plan)
        )
        .expect("text");
    };
    look("no Secret", &seen());
    let mut begins = seen();
    begins.archive.bucket = secret(KEYS);
    look("it begins", &begins);
    look("no copy", &archived(&object, WORKS, ""));
    look("works", &archived(&object, WORKS, WINDOW));
    let mut gone = archived(&object, WORKS, WINDOW);
    gone.archive.bucket = secret("data: {AWS_ACCESS_KEY_ID: a2V5}");
    look("its Secret changed", &gone);
    look("no log", &archived(&object, FAILS, WINDOW));
    let mut away = archived(&object, WORKS, WINDOW);
    let mut cluster = away.cluster.as_deref().expect("servers").clone();
    let status = cluster.status.as_mut().expect("a status");
    status.phase =
        "Cluster cannot proceed to reconciliation due to an error while interacting with plugins"
            .to_owned();
    status.phase_reason = "no connection".to_owned();
    away.cluster = Some(Arc::new(cluster));
    look("no plugin", &away);
    let missed = format!("{WINDOW}, lastFailedBackupTime: '2026-01-01T03:00:00Z'");
    let why = WORKS
        .replace("ContinuousArchiving,", "LastBackupSucceeded,")
        .replace("'True'", "'False'");
    look(
        "a copy failed",
        &archived(&object, &format!("{WORKS}, {why}"), &missed),
    );
    expect![[r#"
        no Secret: Ready=False Progressing: Postgres 17 is being started
          Archived=Some(false) ReferenceMissing: archive.s3.secretRef: Secret bucket does not exist in this namespace
          store stays, origin goes, copies stays, plugins Some(0)
          Some(ArchiveStatus { first: None, last_copy: None })
        it begins: Ready=False Progressing: Postgres 17 is being started
          Archived=None Progressing: the first copy of all data is being taken
          store is, origin goes, copies stays, plugins Some(1)
          Some(ArchiveStatus { first: None, last_copy: None })
        no copy: Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          Archived=None Progressing: the first copy of all data is being taken
          store is, origin goes, copies is, plugins Some(1)
          Some(ArchiveStatus { first: None, last_copy: None })
        works: Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          Archived=Some(true) Archived: every moment since 2025-12-30T00:00:00Z can be restored
          store is, origin goes, copies is, plugins Some(1)
          Some(ArchiveStatus { first: Some(Time(2025-12-30T00:00:00Z)), last_copy: Some(Time(2025-12-31T03:00:00Z)) })
        its Secret changed: Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          Archived=Some(false) ReferenceMissing: archive.s3.secretRef: Secret bucket has no key AWS_SECRET_ACCESS_KEY
          store stays, origin goes, copies stays, plugins Some(1)
          Some(ArchiveStatus { first: Some(Time(2025-12-30T00:00:00Z)), last_copy: Some(Time(2025-12-31T03:00:00Z)) })
        no log: Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          Archived=Some(false) ArchiveFailed: the log does not reach the archive, and fills the volume: it does not; 'kubectl logs db-1 -c plugin-barman-cloud' has the reason
          store is, origin goes, copies is, plugins Some(1)
          Some(ArchiveStatus { first: Some(Time(2025-12-30T00:00:00Z)), last_copy: Some(Time(2025-12-31T03:00:00Z)) })
        no plugin: Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          Archived=Some(false) ArchiveFailed: CloudNativePG does not reach its plugin Barman Cloud, and no server takes over meanwhile: no connection
          store is, origin goes, copies is, plugins Some(1)
          Some(ArchiveStatus { first: Some(Time(2025-12-30T00:00:00Z)), last_copy: Some(Time(2025-12-31T03:00:00Z)) })
        a copy failed: Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          Archived=Some(false) ArchiveFailed: the last copy of all data could not be taken: it works; 'kubectl logs db-1 -c plugin-barman-cloud' has the reason; every moment since 2025-12-30T00:00:00Z can be restored
          store is, origin goes, copies is, plugins Some(1)
          Some(ArchiveStatus { first: Some(Time(2025-12-30T00:00:00Z)), last_copy: Some(Time(2025-12-31T03:00:00Z)) })
    "#]].assert_eq(&text);
}

#[test]
fn it_goes_where_nobody_wants_it() {
    let object = several(ARCHIVE);
    let with = archived(&object, WORKS, WINDOW);
    let mut text = String::new();
    let mut look = |what: &str, object: &Database, seen: &Seen| {
        writeln!(text, "{what}: {}", fates(&decide(object, seen))).expect("text");
    };
    look("as it is", &object, &with);
    look(
        "elsewhere",
        &several(&ARCHIVE.replace("shop", "other")),
        &with,
    );
    let without = several("");
    look("no longer", &without, &with);
    let mut left = with.clone();
    left.cluster = then(&without, with.clone(), HEALTHY).cluster;
    look("once they left it", &without, &left);
    let config = Config {
        served: Served {
            cloudnative_pg: true,
            ..Served::default()
        },
        ..Config::example()
    };
    let plan = plan(&object, &with, &config, now());
    writeln!(text, "no plugin: {}{}", said(&plan), fates(&plan)).expect("text");
    expect![[r#"
        as it is: store is, origin goes, copies is, plugins Some(1)
        elsewhere: store is, origin goes, copies goes, plugins Some(1)
        no longer: store stays, origin goes, copies goes, plugins Some(0)
        once they left it: store goes, origin goes, copies goes, plugins Some(0)
        no plugin: Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          Archived=Some(false) BarmanCloudMissing: archive needs CloudNativePG's plugin Barman Cloud, which this cluster did not have when the operator started
        store stays, origin stays, copies stays, plugins Some(0)
    "#]].assert_eq(&text);
}
