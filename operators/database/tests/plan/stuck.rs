//! Jobs whose pods wait for what may never come.

use super::{
    backup::{COMPLETE, VOLUME, add, running},
    database, decide,
    restore::{job, restored},
    seen,
};

const UNSCHEDULED: &str = "conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: '0/1 nodes are available: 1 Insufficient cpu.'}]";

#[test]
fn a_restore_without_a_place_says_so() {
    let object = restored("from: {volume: {claimName: copies}}");
    let mut seen = seen();
    add(&mut seen, &job(&object), "restore", 3, "", UNSCHEDULED);
    let plan = decide(&object, &seen);
    let (_, reason, message) = plan.outcome.health.ready();
    assert_eq!(reason, "Unschedulable");
    assert!(message.starts_with("its pod has no place"), "{message}");
}

#[test]
fn a_backup_without_a_place_says_so_before_its_time_is_over() {
    let object = database(&format!(
        "{{engine: Postgres, version: '17', backup: {{{VOLUME}}}}}"
    ));
    let mut seen = running();
    add(&mut seen, "db-backup-1", "backup", 3, COMPLETE, "");
    add(&mut seen, "db-backup-2", "backup", 4, "", UNSCHEDULED);
    let plan = decide(&object, &seen);
    let fact = plan
        .outcome
        .facts
        .iter()
        .find(|it| it.kind == "BackupReady");
    let fact = fact.expect("it is said");
    assert_eq!(
        (fact.status, fact.reason.as_str()),
        (Some(false), "Unschedulable")
    );
    assert_eq!(
        fact.message,
        "a backup is to be taken, and its pod has no place: 0/1 nodes are available: 1 Insufficient cpu."
    );
}
