//! Databases that begin with a backup.

use expect_test::expect;
use trackbed_api::Database;
use trackbed_database::observe::Seen;

use super::{
    backup::{BUCKET, COMPLETE, FAILED, VOLUME, add, container, running, yaml},
    database, decide, seen,
};

fn restored(from: &str) -> Database {
    database(&format!(
        "{{engine: Postgres, version: '17', restore: {{{from}}}}}"
    ))
}

/// Health, the restore's command, and whether there is a server.
fn begins(object: &Database, seen: &Seen) -> String {
    let plan = decide(object, seen);
    let children = plan.children.clone().expect("children");
    let job = serde_json::to_value(children.restore).expect("JSON");
    let command = &job["spec"]["template"]["spec"]["containers"][0]["command"];
    let words: Vec<_> = command
        .as_array()
        .into_iter()
        .flatten()
        .skip(3)
        .filter_map(|it| it.as_str())
        .collect();
    let (_, reason, message) = plan.outcome.health.ready();
    format!(
        "{reason}: {message}\n[{}] server: {}\n",
        words.join(" "),
        children.set.is_some()
    )
}

#[test]
fn there_is_no_server_until_the_backup_is_restored() {
    let object = restored("backup: b3, from: {database: other}");
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
    add(&mut seen, "db-restore", "restore", 3, "", "");
    text += &begins(&object, &seen);
    seen.backups.jobs.clear();
    let bad = container(
        "restore",
        1,
        r#"{"reason":"BackupTruncated","message":"too short"}"#,
    );
    let bad = format!("containerStatuses: {bad}");
    add(&mut seen, "db-restore", "restore", 3, FAILED, &bad);
    text += &begins(&object, &seen);
    seen.backups.jobs.clear();
    add(&mut seen, "db-restore", "restore", 3, COMPLETE, "");
    text += &begins(&object, &seen);
    let by_claim = restored("from: {volume: {claimName: db-backups}, identity: theirs}");
    text += &begins(&by_claim, &super::seen());
    expect![[r#"
        ReferenceMissing: restore.from.database: Database other does not exist in this namespace
        [] server: false
        ReferenceMissing: restore.from.database: Database other has no backup in its spec
        [] server: false
        Progressing: the backup is being restored
        [postgres --version=17 --folder=/backups --identity=theirs --backup=b3] server: false
        Progressing: the backup is being restored
        [postgres --version=17 --bucket=acme --endpoint=https://s3.example.com --prefix=a/b --identity=theirs --backup=b3] server: false
        Progressing: the backup is being restored: 'kubectl logs job/db-restore' says how far it is
        [] server: false
        BackupTruncated: too short. Nothing was written: delete the Job db-restore to have it tried again, or create the Database again with another restore
        [] server: false
        Progressing: Postgres 17 is being started
        [] server: true
        Progressing: the backup is being restored
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
