//! Several servers begin as others were at a moment.

use std::{fmt::Write, sync::Arc};

use expect_test::expect;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Pod;
use trackbed_api::Database;
use trackbed_database::{barman_cloud::ObjectStore, observe::Seen, plan::archive::Fate};

use super::{
    archive::{ARCHIVE, KEYS, fate, fates, secret},
    backup::yaml,
    replicas::{HEALTHY, decide, said, seen, several, then},
};

/// Another Database with an archive.
fn origin(more: &str, status: &str) -> Option<Arc<Database>> {
    Some(yaml(&format!(
        "metadata: {{name: other}}\nspec: {{engine: Postgres, version: '17', replicas: 2{more}}}\nstatus: {{{status}}}\n"
    )))
}

#[test]
fn a_moment_has_to_be_in_the_archive() {
    let mut text = String::new();
    let mut look = |time: &str, origin: Option<Arc<Database>>| {
        let object = several(&format!(
            ", restore: {{time: '{time}', from: {{database: other}}}}"
        ));
        let mut seen = seen();
        seen.backups.origin = origin;
        let plan = decide(&object, &seen);
        let cluster = plan.children.clone().expect("children").cluster.object();
        let spec = cluster.map(|it| (it.spec.bootstrap, it.spec.external_clusters));
        let spec = serde_json::to_string(&spec).expect("JSON");
        writeln!(text, "{time}: {}  {spec}", said(&plan)).expect("text");
    };
    let has = "identity: theirs, archive: {first: '2025-12-30T00:00:00Z'}";
    let good = || origin(ARCHIVE, has);
    look("2025-12-31T12:00:00Z", None);
    look("2025-12-31T12:00:00Z", origin("", has));
    look("2025-12-31T12:00:00Z", origin(ARCHIVE, "identity: theirs"));
    let mut older = good().expect("one").as_ref().clone();
    older.spec.version = "16".to_owned();
    look("2025-12-31T12:00:00Z", Some(Arc::new(older)));
    look("2025-12-29T12:00:00+01:00", good());
    look("2026-01-02T00:00:00Z", good());
    look("2025-13-01T00:00:00Z", good());
    look("2025-12-31T13:00:00.5+01:00", good());
    look("latest", good());
    expect![[r#"
        2025-12-31T12:00:00Z: Ready=False ReferenceMissing: restore.from.database: Database other does not exist in this namespace
          null
        2025-12-31T12:00:00Z: Ready=False ReferenceMissing: restore.from.database: Database other has no archive in its spec
          null
        2025-12-31T12:00:00Z: Ready=False ReferenceMissing: restore.from.database: Database other has no copy in its archive yet
          null
        2025-12-31T12:00:00Z: Ready=False MajorVersionMismatch: an archive is of one major version: Database other has 16, and this one is to have 17; restore a backup instead
          null
        2025-12-29T12:00:00+01:00: Ready=False RestoreTimeUnavailable: restore.time: 2025-12-29T11:00:00Z is before what Database other has in its archive, which begins at 2025-12-30T00:00:00Z
          null
        2026-01-02T00:00:00Z: Ready=False RestoreTimeUnavailable: restore.time: 2026-01-02T00:00:00Z is still to come
          null
        2025-13-01T00:00:00Z: Ready=False RestoreTimeUnavailable: restore.time: 2025-13-01T00:00:00Z is no moment
          null
        2025-12-31T13:00:00.5+01:00: Ready=False Progressing: Postgres 17 is being started
          [{"recovery":{"source":"origin","database":"app","owner":"app","secret":{"name":"db-credentials"},"recoveryTarget":{"targetTime":"2025-12-31T12:00:00.5Z"}}},[{"name":"origin","plugin":{"name":"barman-cloud.cloudnative-pg.io","parameters":{"barmanObjectName":"other-archive","serverName":"theirs"}}}]]
        latest: Ready=False Progressing: Postgres 17 is being started
          [{"recovery":{"source":"origin","database":"app","owner":"app","secret":{"name":"db-credentials"}}},[{"name":"origin","plugin":{"name":"barman-cloud.cloudnative-pg.io","parameters":{"barmanObjectName":"other-archive","serverName":"theirs"}}}]]
    "#]].assert_eq(&text);
}

#[test]
fn a_restore_can_be_corrected_until_it_has_ended() {
    let with = |time: &str| {
        several(&format!(
            ", restore: {{time: '{time}', timeout: 1h, from: {{s3: {{bucket: acme, secretRef: {{name: bucket}}}}, identity: theirs}}}}"
        ))
    };
    let object = with("2025-12-31T12:00:00Z");
    let mut text = String::new();
    let mut look = |what: &str, object: &Database, seen: &Seen| {
        let plan = decide(object, seen);
        let servers = fate(plan.children.clone().expect("children").cluster);
        writeln!(
            text,
            "{what}: {}  {}, servers: {servers}",
            said(&plan),
            fates(&plan)
        )
        .expect("text");
    };
    look("no Secret", &object, &seen());
    let mut begins = seen();
    begins.archive.origin_bucket = secret(KEYS);
    look("it begins", &object, &begins);
    let mut runs = then(&object, begins.clone(), "{phase: Setting up primary}");
    look("it goes on", &object, &runs);
    let pod: Pod = serde_saphyr::from_str("metadata: {name: db-1-full-recovery-x, labels: {cnpg.io/jobRole: full-recovery, job-name: db-1-full-recovery}}\nstatus: {phase: Failed}").expect("a pod");
    runs.instances = vec![pod];
    look("it failed", &object, &runs);
    let mut without = runs.clone();
    without.archive.origin_bucket = None;
    look("its keys are gone", &object, &without);
    let corrected = with("2025-12-31T13:00:00Z");
    look("it is corrected", &corrected, &runs);
    let mut gone = Seen {
        cluster: None,
        ..runs.clone()
    };
    gone.volumes = vec![
        serde_saphyr::from_str("metadata: {name: db-1, deletionTimestamp: '2026-01-01T00:00:00Z'}")
            .expect("a claim"),
    ];
    look("its volumes go", &corrected, &gone);
    let mut late = then(&object, begins.clone(), "{phase: Setting up primary}");
    let mut cluster = late.cluster.as_deref().expect("servers").clone();
    let created = cluster
        .metadata
        .creation_timestamp
        .as_mut()
        .expect("a time");
    created.0 -= SignedDuration::from_hours(2);
    late.cluster = Some(Arc::new(cluster));
    look("it takes long", &object, &late);
    let done = then(&object, begins, HEALTHY);
    look("it is corrected too late", &corrected, &done);
    expect![[r#"
        no Secret: Ready=False ReferenceMissing: restore.from.s3.secretRef: Secret bucket does not exist in this namespace
          store goes, origin goes, copies goes, plugins None, servers: stays
        it begins: Ready=False Progressing: Postgres 17 is being started
          store goes, origin is, copies goes, plugins Some(0), servers: is
        it goes on: Ready=False Progressing: the moment 2025-12-31T12:00:00Z is being restored: 'kubectl logs job/db-1-full-recovery' says how far it is
          Replicated=None Progressing: 0 of 2 servers are up: Setting up primary
          store goes, origin is, copies goes, plugins Some(0), servers: is
        it failed: Ready=False RestoreFailed: restoring the moment 2025-12-31T12:00:00Z failed 1 times: 'kubectl logs job/db-1-full-recovery' says why. Correct restore, which has it begin anew
          Replicated=None Progressing: 0 of 2 servers are up: Setting up primary
          store goes, origin is, copies goes, plugins Some(0), servers: is
        its keys are gone: Ready=False RestoreFailed: restoring the moment 2025-12-31T12:00:00Z failed 1 times: 'kubectl logs job/db-1-full-recovery' says why. Correct restore, which has it begin anew
          Replicated=None Progressing: 0 of 2 servers are up: Setting up primary
          store goes, origin stays, copies goes, plugins Some(0), servers: is
        it is corrected: Ready=False Progressing: what restore said before is being removed
          Replicated=None Progressing: 0 of 2 servers are up: Setting up primary
          store goes, origin is, copies goes, plugins None, servers: goes
        its volumes go: Ready=False Progressing: the volumes of before are going
          store goes, origin is, copies goes, plugins None, servers: stays
        it takes long: Ready=False RestoreFailed: restoring the moment 2025-12-31T12:00:00Z has not come to its end within restore.timeout (1h), and goes on: 'kubectl logs job/db-1-full-recovery' says how far it is
          Replicated=None Progressing: 0 of 2 servers are up: Setting up primary
          store goes, origin is, copies goes, plugins Some(0), servers: is
        it is corrected too late: Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          store goes, origin stays, copies goes, plugins Some(0), servers: is
    "#]].assert_eq(&text);
}

#[test]
fn what_it_began_with_is_not_needed_any_more() {
    let object = several(
        ", restore: {time: latest, from: {s3: {bucket: acme, secretRef: {name: bucket}}, identity: theirs}}",
    );
    let mut begins = seen();
    begins.archive.origin_bucket = secret(KEYS);
    let children = decide(&object, &begins).children.expect("children");
    let store: Option<ObjectStore> = children.archives.origin.object();
    let mut done = then(&object, begins, HEALTHY);
    done.archive.origin = store.map(Arc::new);
    done.archive.origin_bucket = None;
    let plan = decide(&object, &done);
    let children = plan.children.clone().expect("children");
    let servers = children.cluster.object().expect("servers");
    assert!(servers.spec.external_clusters.is_empty());
    assert!(servers.spec.bootstrap.initdb.is_some());
    assert!(
        matches!(children.archives.origin, Fate::Stays),
        "named still"
    );
    assert!(plan.outcome.status.initialised);
    let after = then(&object, done, HEALTHY);
    let archives = decide(&object, &after).children.expect("children").archives;
    assert!(matches!(archives.origin, Fate::Goes));
}
