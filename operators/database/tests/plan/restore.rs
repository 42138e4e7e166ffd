//! Databases that begin with a backup.

use expect_test::expect;
use kube::ResourceExt;
use trackbed_api::{Database, names};
use trackbed_database::{observe::Seen, plan::restore::Act};

use super::{
    backup::{BUCKET, COMPLETE, FAILED, VOLUME, add, container, running, yaml},
    database, decide, seen,
};

/// Name of the Job that does what a Database asks for.
pub(crate) fn job(object: &Database) -> String {
    let asked = serde_json::to_string(&object.spec.restore).expect("JSON");
    names::restore("db", &asked)
}

pub(crate) fn restored(from: &str) -> Database {
    database(&format!(
        "{{engine: Postgres, version: '17', restore: {{{from}}}}}"
    ))
}

/// Health, the restore's command, and whether there is a server.
fn begins(object: &Database, seen: &Seen) -> String {
    let plan = decide(object, seen);
    let (_, reason, message) = plan.outcome.health.ready();
    let children = plan.children.clone().expect("children");
    if let Act::Stop(job) = &children.restore {
        return format!("{reason}: {message}\nstops {}\n", job.name_any());
    }
    let job = serde_json::to_value(children.restore.made()).expect("JSON");
    let command = &job["spec"]["template"]["spec"]["containers"][0]["command"];
    let words: Vec<_> = command
        .as_array()
        .into_iter()
        .flatten()
        .skip(3)
        .filter_map(|it| it.as_str())
        .collect();
    format!(
        "{reason}: {message}\n[{}] server: {}\n",
        words.join(" "),
        children.set.is_some()
    )
}

#[test]
fn there_is_no_server_until_the_backup_is_restored() {
    let object = restored("backup: b3, from: {database: other}");
    let name = job(&object);
    let mut seen = seen();
    let mut text = begins(&object, &seen);
    let other = |more: &str| {
        yaml::<Database>(&format!(
            "metadata: {{name: other}}\nspec: {{engine: Postgres, version: '16'{more}}}\nstatus: {{identity: theirs}}\n"
        ))
    };
    seen.backups.origin = Some(other(""));
    text += &begins(&object, &seen);
    seen.backups.origin = Some(other(&format!(", backup: {{{VOLUME}}}")));
    text += &begins(&object, &seen);
    seen.backups.origin = Some(other(&format!(", backup: {{{BUCKET}}}")));
    text += &begins(&object, &seen);
    add(&mut seen, &name, "restore", 3, "", "");
    text += &begins(&object, &seen);
    seen.backups.jobs.clear();
    let bad = container(
        "restore",
        1,
        r#"{"reason":"BackupTruncated","message":"too short"}"#,
    );
    let bad = format!("containerStatuses: {bad}");
    add(&mut seen, &name, "restore", 3, FAILED, &bad);
    text += &begins(&object, &seen);
    seen.backups.jobs.clear();
    add(&mut seen, &name, "restore", 3, COMPLETE, "");
    text += &begins(&object, &seen);
    let by_claim = restored("from: {volume: {claimName: db-backups}, identity: theirs}");
    text += &begins(&by_claim, &super::seen());
    expect![[r#"
        ReferenceMissing: restore.from.database: Database other does not exist in this namespace
        [] server: false
        ReferenceMissing: restore.from.database: Database other has no backup in its spec
        [] server: false
        Progressing: the backup b3 is being restored
        [postgres --version=17 --folder=/backups --identity=theirs --backup=b3] server: false
        Progressing: the backup b3 is being restored
        [postgres --version=17 --bucket=acme --endpoint=https://s3.example.com --prefix=a/b --identity=theirs --backup=b3] server: false
        Progressing: the backup b3 is being restored: 'kubectl logs job/db-restore-219bf3a0' says how far it is
        [] server: false
        BackupTruncated: too short. Nothing was written: correct restore, which has it tried again; or, as it is, delete the Job db-restore-219bf3a0
        [] server: false
        Progressing: Postgres 17 is being started
        [] server: true
        Progressing: the newest backup is being restored
        [postgres --version=17 --folder=/backups --identity=theirs] server: false
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_database_with_data_is_not_restored_over() {
    let object = restored("from: {database: other}");
    let text = begins(&object, &running());
    assert!(text.ends_with("[] server: true\n"), "{text}");
}

#[test]
fn what_is_asked_for_otherwise_is_tried_anew() {
    let object = restored("backup: b3, from: {volume: {claimName: copies}}");
    let mut seen = seen();
    add(
        &mut seen,
        "db-restore-0ld",
        "restore",
        3,
        "",
        "phase: Running",
    );
    let mut text = begins(&object, &seen);
    // Its pod may still write.
    seen.backups.jobs.clear();
    text += &begins(&object, &seen);
    seen.backups.pods.clear();
    add(
        &mut seen,
        "db-restore-0ld",
        "restore",
        3,
        FAILED,
        "phase: Failed",
    );
    text += &begins(&object, &seen);
    let none = database("{engine: Postgres, version: '17'}");
    text += &begins(&none, &seen);
    add(
        &mut seen,
        "db-restore-1st",
        "restore",
        4,
        "",
        "phase: Running",
    );
    text += &begins(&none, &seen);
    expect![[r#"
        Progressing: what restore said before is being stopped
        stops db-restore-0ld
        Progressing: what restore said before is being stopped
        [] server: false
        Progressing: the backup b3 is being restored
        [postgres --version=17 --folder=/backups --backup=b3] server: false
        Progressing: Postgres 17 is being started
        [] server: true
        Progressing: what restore said before is being stopped
        stops db-restore-1st
    "#]]
    .assert_eq(&text);
}

#[test]
fn what_was_restored_for_a_database_that_is_gone_is_no_data_of_its_heir() {
    let object = restored("from: {volume: {claimName: copies}}");
    let mut heir = object.clone();
    heir.metadata.uid = Some("u-heir".to_owned());
    let mut seen = seen();
    add(
        &mut seen,
        &job(&object),
        "restore",
        3,
        COMPLETE,
        "phase: Succeeded",
    );
    let mut text = begins(&object, &seen) + &begins(&heir, &seen);
    // What still writes is waited for; its Job goes by itself.
    seen.backups.jobs.clear();
    add(&mut seen, &job(&object), "restore", 3, "", "phase: Running");
    text += &begins(&heir, &seen);
    expect![[r#"
        Progressing: Postgres 17 is being started
        [] server: true
        Progressing: the newest backup is being restored
        [postgres --version=17 --folder=/backups] server: false
        Progressing: what restore said before is being stopped
        [] server: false
    "#]]
    .assert_eq(&text);
}
