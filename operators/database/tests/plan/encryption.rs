//! Backups that are encrypted: who gets the key.

use std::fmt::Write;

use expect_test::expect;
use serde_json::Value;
use trackbed_api::Database;

use super::{
    backup::{BUCKET, VOLUME, yaml},
    children, database, seen,
};

const KEY: &str = "encryption: {secretRef: {name: ours}}";

/// What a pod's containers are told of the key, and which Secrets the pod has.
fn told(pod: &Value) -> String {
    let mut text = String::new();
    for kind in ["initContainers", "containers"] {
        for container in pod[kind].as_array().into_iter().flatten() {
            let list = |field: &str| container[field].as_array().cloned().unwrap_or_default();
            let told = list("command").iter().any(|it| it == KEY_FILE);
            let mounts = list("volumeMounts");
            let mounted = mounts.iter().any(|it| it["name"] == "encryption");
            writeln!(
                text,
                "{}: told {told}, mounted {mounted}",
                container["name"]
            )
            .expect("text");
        }
    }
    for volume in pod["volumes"].as_array().into_iter().flatten() {
        if volume["name"] == "encryption" {
            writeln!(text, "{volume}").expect("text");
        }
    }
    text
}

const KEY_FILE: &str = "--key-file=/etc/trackbed/encryption/age.agekey";

#[test]
fn those_who_write_and_read_backups_have_the_key_and_the_server_has_not() {
    let object = database(&format!(
        "{{engine: Postgres, version: '17', backup: {{schedule: '@daily', {KEY}, {VOLUME}}}}}"
    ));
    let children = children(&object, &seen());
    let cron = serde_json::to_value(children.backups.scheduled).expect("JSON");
    expect![[r#"
        "supervisor": told false, mounted false
        "backup": told true, mounted true
        "prove": told true, mounted true
        {"name":"encryption","secret":{"defaultMode":288,"optional":true,"secretName":"ours"}}
    "#]]
    .assert_eq(&told(
        &cron["spec"]["jobTemplate"]["spec"]["template"]["spec"],
    ));
    let set = serde_json::to_value(children.set).expect("JSON");
    expect![[r#"
        "supervisor": told false, mounted false
        "postgres": told false, mounted false
    "#]]
    .assert_eq(&told(&set["spec"]["template"]["spec"]));
}

#[test]
fn who_begins_with_a_backup_has_the_other_ones_key_or_one_of_its_own() {
    let restored = |from: &str| {
        let object = database(&format!(
            "{{engine: Postgres, version: '17', restore: {{from: {{{from}}}}}}}"
        ));
        let mut seen = seen();
        seen.backups.origin = Some(yaml::<Database>(&format!(
            "metadata: {{name: other}}\nspec: {{engine: Postgres, version: '17', backup: {{encryption: {{secretRef: {{name: theirs}}}}, {BUCKET}}}}}\nstatus: {{identity: x}}\n"
        )));
        let job = serde_json::to_value(children(&object, &seen).restore.made()).expect("JSON");
        told(&job["spec"]["template"]["spec"])
    };
    let claim = "volume: {claimName: old-backups}";
    let mut text = restored("database: other");
    text += &restored(&format!("database: other, {KEY}"));
    text += &restored(claim);
    text += &restored(&format!("{claim}, {KEY}"));
    expect![[r#"
        "supervisor": told false, mounted false
        "restore": told true, mounted true
        {"name":"encryption","secret":{"defaultMode":288,"optional":true,"secretName":"theirs"}}
        "supervisor": told false, mounted false
        "restore": told true, mounted true
        {"name":"encryption","secret":{"defaultMode":288,"optional":true,"secretName":"ours"}}
        "supervisor": told false, mounted false
        "restore": told false, mounted false
        "supervisor": told false, mounted false
        "restore": told true, mounted true
        {"name":"encryption","secret":{"defaultMode":288,"optional":true,"secretName":"ours"}}
    "#]]
    .assert_eq(&text);
}
