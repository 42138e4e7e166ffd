//! What a server and its supervisor are told.

use std::fmt::Write;

use expect_test::expect;
use trackbed_api::{Database, DatabaseStatus};
use trackbed_database::{
    observe::Seen,
    plan::settings::{BACKUPS, hash},
};

use super::{
    backup::{COMPLETE, FAILED, VOLUME, add, container, running},
    children, database, decide, seen,
};

#[test]
fn redis_leaves_memory_for_its_forks() {
    let object = database(
        "{engine: Redis, version: '7', resources: {limits: {memory: 1Gi}}, parameters: {timeout: '60'}}",
    );
    let settings = children(&object, &seen()).settings.data.expect("settings");
    expect![[r#"
        maxmemory 805306368
        maxmemory-policy noeviction
        timeout 60
    "#]]
    .assert_eq(&settings["redis.conf"]);
}

#[test]
fn what_is_denied_is_told_without_a_restart() {
    let with = |denied: &str| {
        let object = database(&format!(
            "{{engine: Redis, version: '7', deniedCommands: [{denied}]}}"
        ));
        let settings = children(&object, &seen()).settings;
        let told = settings.data.clone().expect("settings").remove("denied");
        (told, hash(&settings, &object.spec))
    };
    let (told, restarts_for) = with("");
    assert_eq!(told, None);
    let told = "flushall\nsort\nsort_ro\n@dangerous\n".to_owned();
    let expected = (Some(told), restarts_for);
    assert_eq!(with("SORT, '@dangerous', FLUSHALL"), expected);
    assert_eq!(
        with("FLUSHALL, SORT, '@dangerous'"),
        expected,
        "in any order"
    );
}

fn backed_up(backup: &str) -> Database {
    database(&format!(
        "{{engine: Postgres, version: '17', backup: {{{backup}, {VOLUME}}}}}"
    ))
}

/// The file that the supervisor reads.
fn told(object: &Database, seen: &Seen) -> Option<String> {
    children(object, seen).settings.data?.remove(BACKUPS)
}

/// A backup that was taken at that hour, and that it was proven or not.
fn attempt(seen: &mut Seen, hour: u8, proof: i32, end: &str) {
    let at = format!("2026-01-01T{hour:02}:00:01Z");
    let taken =
        format!(r#"{{"count":1,"newest":[{{"name":"b","takenAt":"{at}","storedBytes":9}}]}}"#);
    let proven = format!(r#"{{"name":"b","takenAt":"{at}","tables":2,"rows":7}}"#);
    let containers = format!(
        "initContainerStatuses: {}, containerStatuses: {}",
        container("backup", 0, &taken),
        container("prove", proof, &proven)
    );
    add(
        seen,
        &format!("at-{hour}"),
        "backup",
        hour,
        end,
        &containers,
    );
}

#[test]
fn the_supervisor_is_told_how_backups_stand() {
    let mut object = backed_up("schedule: '@daily'");
    let mut seen = running();
    let mut text = String::new();
    let mut tell = |when: &str, object: &Database, seen: &Seen| {
        let told = told(object, seen).unwrap_or_else(|| "nothing".to_owned());
        writeln!(text, "{when}: {told}").expect("text");
    };
    tell("none yet", &object, &seen);
    attempt(&mut seen, 3, 0, COMPLETE);
    tell("proven", &object, &seen);
    attempt(&mut seen, 4, 1, FAILED);
    tell("unproven", &object, &seen);
    let outcome = decide(&object, &seen).outcome;
    let conditions = "[{type: BackupReady, status: 'False', reason: BackupUnverified, message: '', lastTransitionTime: '2026-01-01T04:00:00Z'}]";
    object.status = Some(DatabaseStatus {
        backup: outcome.status.backup,
        conditions: serde_saphyr::from_str(conditions).expect("conditions"),
        ..DatabaseStatus::default()
    });
    tell("its Job is gone", &object, &running());
    object.spec.backup.as_mut().expect("one").schedule = None;
    tell("by request", &object, &running());
    object.spec.backup = None;
    tell("not any more", &object, &running());
    expect![[r#"
        none yet: {"scheduled":true,"failed":false}
        proven: {"scheduled":true,"failed":false,"last":1767236401,"lastVerified":1767236401}
        unproven: {"scheduled":true,"failed":true,"last":1767240001,"lastVerified":1767236401}
        its Job is gone: {"scheduled":true,"failed":true,"last":1767240001,"lastVerified":1767236401}
        by request: {"scheduled":false,"failed":true,"last":1767240001,"lastVerified":1767236401}
        not any more: nothing
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_backup_restarts_no_server() {
    let object = backed_up("schedule: '@daily'");
    let without = database("{engine: Postgres, version: '17'}");
    let mut seen = running();
    let before = children(&object, &seen);
    attempt(&mut seen, 3, 0, COMPLETE);
    let after = children(&object, &seen);
    assert_ne!(before.settings.data, after.settings.data, "it is told");
    let hashes = [
        hash(&before.settings, &object.spec),
        hash(&after.settings, &object.spec),
        hash(&children(&without, &seen).settings, &without.spec),
    ];
    assert!(hashes.iter().all(|it| *it == hashes[0]), "{hashes:?}");
    assert_eq!(before.set, after.set);
}

#[test]
fn what_did_not_change_is_told_in_the_same_words() {
    let mut object = backed_up("schedule: '@daily'");
    let mut seen = running();
    attempt(&mut seen, 3, 0, COMPLETE);
    let first = decide(&object, &seen);
    let status = DatabaseStatus {
        backup: first.outcome.status.backup,
        ..DatabaseStatus::default()
    };
    object.status = Some(status);
    let first = first.children.expect("children");
    assert_eq!(children(&object, &seen).settings, first.settings);
}
