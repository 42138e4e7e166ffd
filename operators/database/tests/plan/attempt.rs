//! How backups went, as status and the condition tell it.

use std::fmt::Write;

use expect_test::expect;

use super::{
    backup::{
        COMPLETE, FAILED, VOLUME, add, backed_up, container, proven, remembered, running, taken,
        told,
    },
    database, decide,
};

#[test]
fn status_has_the_newest_and_the_newest_that_was_proven() {
    let mut object = backed_up(&format!("schedule: '@daily', {VOLUME}"));
    let mut seen = running();
    expect![[r#"
         of 0, last never, verified never, request 
        None NoBackupYet: no backup was taken yet: backup.schedule and backup.request say when
    "#]]
    .assert_eq(&told(&decide(&object, &seen)));
    let good = format!(
        "initContainerStatuses: {}, containerStatuses: {}",
        taken(3),
        proven(3)
    );
    add(&mut seen, "one", "backup", 3, COMPLETE, &good);
    let plan = decide(&object, &seen);
    expect![[r#"
        b3 of 3, last 2026-01-01T03:00:01Z, verified 2026-01-01T03:00:01Z, request 
        Some(true) BackupProven: the backup b3 was restored into a server of its own, with 2 tables and 7 rows
    "#]]
    .assert_eq(&told(&plan));
    object.status = remembered(plan.outcome.status);
    let bad = container(
        "prove",
        1,
        r#"{"reason":"BackupTampered","message":"not whole"}"#,
    );
    let unproven = format!(
        "initContainerStatuses: {}, containerStatuses: {bad}",
        taken(4)
    );
    add(&mut seen, "two", "backup", 4, FAILED, &unproven);
    expect![[r#"
        b4 of 3, last 2026-01-01T04:00:01Z, verified 2026-01-01T03:00:01Z, request 
        Some(false) BackupUnverified: not whole
    "#]]
    .assert_eq(&told(&decide(&object, &seen)));
    seen.backups.jobs.clear();
    seen.backups.pods.clear();
    expect![[r#"
        b3 of 3, last 2026-01-01T03:00:01Z, verified 2026-01-01T03:00:01Z, request 
        None NoBackupYet: no backup was taken yet: backup.schedule and backup.request say when
    "#]]
    .assert_eq(&told(&decide(&object, &seen)));
}

#[test]
fn a_good_backup_beside_which_too_many_lie_is_good() {
    let object = database(&format!(
        "{{engine: Redis, version: '7', backup: {{{VOLUME}}}}}"
    ));
    let mut seen = running();
    let words = r#"{"count":8,"newest":[],"left":"the bucket refuses the access"}"#;
    let containers = format!(
        "initContainerStatuses: {}, containerStatuses: {}",
        container("backup", 0, words),
        proven(3)
    );
    add(&mut seen, "db-1", "backup", 3, COMPLETE, &containers);
    expect![[r#"
         of 8, last never, verified 2026-01-01T03:00:01Z, request 
        Some(true) BackupProven: the backup b3 was restored into a server of its own, with 7 keys; those that are too many could not be removed: the bucket refuses the access
    "#]].assert_eq(&told(&decide(&object, &seen)));
}

#[test]
fn every_way_to_fail_has_its_reason() {
    let object = backed_up(&format!("schedule: '@daily', {VOLUME}"));
    let fails = |end: &str, containers: &str| {
        let mut seen = running();
        add(&mut seen, "job", "backup", 3, end, containers);
        told(&decide(&object, &seen))
            .lines()
            .last()
            .map(str::to_owned)
            .unwrap_or_default()
    };
    let init = |code: i32, words: &str| {
        format!(
            "initContainerStatuses: {}",
            container("backup", code, words)
        )
    };
    let mut text = String::new();
    for (end, containers) in [
        (
            FAILED,
            init(1, r#"{"reason":"DestinationFull","message":"no room"}"#),
        ),
        (
            FAILED,
            init(1, r#"{"reason":"InvalidBackupName","message":"odd"}"#),
        ),
        (FAILED, init(137, "")),
        (FAILED, String::new()),
        (
            "{type: Failed, status: 'True', reason: DeadlineExceeded}",
            String::new(),
        ),
    ] {
        writeln!(text, "{}", fails(end, &containers)).expect("text");
    }
    expect![[r#"
        Some(false) DestinationFull: no room
        Some(false) BackupFailed: odd
        Some(false) BackupFailed: the container backup ended with exit code 137: 'kubectl logs job/job -c backup' says more
        Some(false) BackupFailed: the pod of Job job was taken away before it had ended
        Some(false) BackupTimeout: it had not ended after 60 seconds: raise its timeout
    "#]]
    .assert_eq(&text);
}
