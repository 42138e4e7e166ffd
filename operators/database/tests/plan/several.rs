//! What several servers begin with, and how their users change.

use std::{fmt::Write, sync::Arc, time::Duration};

use expect_test::expect;
use trackbed_api::Database;
use trackbed_database::{observe::Seen, plan::restore::Act};

use super::{
    backup::{COMPLETE, FAILED, VOLUME, add, yaml},
    claim,
    replicas::{HEALTHY, decide, said, seen, several, then},
    restore,
};

#[test]
fn they_begin_with_an_image_by_its_content() {
    let object = several("");
    let mut seen = seen();
    let mut text = String::new();
    let mut look = |seen: &Seen| {
        let plan = decide(&object, seen);
        let children = plan.children.clone().expect("children");
        let image = children.cluster.object().map(|it| it.spec.image_name);
        let asked = children.looks.requested.map(|it| it.metadata.name);
        writeln!(text, "{}  {image:?}, {asked:?}", said(&plan)).expect("text");
    };
    look(&super::seen());
    let found = seen.backups.jobs[0].as_ref().clone();
    for status in [
        None,
        Some(serde_saphyr::from_str(&format!("{{conditions: [{FAILED}]}}")).expect("a status")),
    ] {
        let mut job = found.clone();
        job.status = status;
        let mut seen = seen.clone();
        seen.backups.jobs = vec![Arc::new(job)];
        look(&seen);
    }
    look(&seen);
    seen = then(&object, seen, HEALTHY);
    seen.backups = super::seen().backups;
    look(&seen);
    expect![[r#"
        Ready=False Progressing: the image of Postgres 17 is being looked for
          None, Some(Some("db-update-e3b0c442"))
        Ready=False Progressing: the image of Postgres 17 is being looked for
          None, None
        Ready=False Progressing: Postgres 17 is being started
          Some("docker.io/library/postgres:17"), None
        Ready=False Progressing: Postgres 17 is being started
          Some("docker.io/library/postgres:17@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"), None
        Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          Some("docker.io/library/postgres:17@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"), None
    "#]].assert_eq(&text);
}

#[test]
fn a_backup_is_restored_before_there_is_an_address() {
    let object = several(", restore: {from: {database: other}}");
    let job = restore::job(&object);
    let mut text = String::new();
    let mut look = |seen: &Seen| {
        let plan = decide(&object, seen);
        let children = plan.children.clone().expect("children");
        let job = serde_json::to_value(children.restore.made()).expect("JSON");
        let pod = &job["spec"]["template"]["spec"];
        let volumes = pod["volumes"].as_array().into_iter().flatten();
        let volumes: Vec<_> = volumes.filter_map(|it| it["name"].as_str()).collect();
        text += &said(&plan);
        text += &format!(
            "  servers: {}, address: {}, {} {volumes:?}\n",
            children.cluster.object().is_some(),
            children.service.is_some(),
            pod["containers"][0]["command"],
        );
    };
    look(&seen());
    let mut seen = seen();
    seen.backups.origin = Some(yaml::<Database>(&format!(
        "metadata: {{name: other}}\nspec: {{engine: Postgres, version: '16', backup: {{{VOLUME}}}}}\nstatus: {{identity: theirs}}\n"
    )));
    look(&seen);
    let mut seen = then(&object, seen, HEALTHY);
    look(&seen);
    add(&mut seen, &job, "restore", 3, "", "");
    look(&seen);
    seen.backups.jobs.pop();
    add(&mut seen, &job, "restore", 3, COMPLETE, "");
    look(&seen);
    expect![[r#"
        Ready=False ReferenceMissing: restore.from.database: Database other does not exist in this namespace
          servers: true, address: false, null []
        Ready=False Progressing: Postgres 17 is being started
          servers: true, address: false, null []
        Ready=False Progressing: the newest backup is being restored
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          servers: true, address: false, ["/opt/trackbed/bin/trackbed","supervisor","restore","postgres","--version=17","--folder=/backups","--identity=theirs","--into=db-rw"] ["backups", "credentials", "superuser", "settings", "run", "tmp", "bin"]
        Ready=False Progressing: the newest backup is being restored: 'kubectl logs job/db-restore-9f7496ba' says how far it is
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          servers: true, address: false, null []
        Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          servers: true, address: true, null []
    "#]].assert_eq(&text);
}

#[test]
fn sql_runs_before_there_is_an_address() {
    let object = several(", init: {configMapKeyRef: {name: schema, key: first.sql}}");
    let asked = serde_json::to_string(&object.spec.init).expect("JSON");
    let job = trackbed_api::names::begin("db", &asked);
    let mut text = String::new();
    let mut look = |seen: &Seen| {
        let plan = decide(&object, seen);
        let children = plan.children.clone().expect("children");
        let made = serde_json::to_value(children.restore.made()).expect("JSON");
        let stopped = matches!(children.restore, Act::Stop(_));
        let pod = &made["spec"]["template"]["spec"];
        text += &said(&plan);
        writeln!(
            text,
            "  address: {}, stops: {stopped}, {} {} {} {}",
            children.service.is_some(),
            pod["restartPolicy"],
            pod["containers"][0]["command"],
            pod["volumes"][1],
            made["spec"]["podFailurePolicy"],
        )
        .expect("text");
    };
    look(&seen());
    let begun = then(&object, seen(), HEALTHY);
    look(&begun);
    let mut seen = begun.clone();
    add(&mut seen, "db-begin-other", "begin", 3, "", "");
    look(&seen);
    seen = begun.clone();
    let wrong = r#"containerStatuses: [{name: begin, image: i, imageID: i, ready: false, restartCount: 2, state: {running: {}}, lastState: {terminated: {exitCode: 1, message: '{"reason":"InitFailed","message":"its SQL does not run: syntax error"}'}}}]"#;
    add(&mut seen, &job, "begin", 3, "", wrong);
    look(&seen);
    seen = begun.clone();
    add(&mut seen, &job, "begin", 3, COMPLETE, "");
    look(&seen);
    expect![[r#"
        Ready=False Progressing: Postgres 17 is being started
          address: false, stops: false, null null null null
        Ready=False Progressing: its SQL is being run
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          address: false, stops: false, "OnFailure" ["/opt/trackbed/bin/trackbed","supervisor","begin","--version=17","--into=db-rw","--init=/etc/trackbed/init/init.sql"] {"configMap":{"items":[{"key":"first.sql","path":"init.sql"}],"name":"schema","optional":true},"name":"init"} null
        Ready=False Progressing: its SQL is being run
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          address: false, stops: true, null null null null
        Ready=False InitFailed: its SQL does not run: syntax error
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          address: false, stops: false, null null null null
        Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          address: true, stops: false, null null null null
    "#]].assert_eq(&text);
}

#[test]
fn credentials_change_once_all_know_the_next() {
    let object = several(", credentials: {rotate: first}");
    let seen = then(&several(""), seen(), HEALTHY);
    let mut text = String::new();
    let mut look = |seen: &Seen| {
        let plan = decide(&object, seen);
        let credentials = plan
            .outcome
            .status
            .credentials
            .clone()
            .expect("credentials");
        let cluster = plan.children.expect("children").cluster.object();
        let cluster = cluster.expect("servers");
        let roles = cluster.spec.managed.roles.into_iter();
        let roles: Vec<_> = roles
            .map(|it| format!("{} by {}", it.name, it.password_secret.name))
            .collect();
        let begins = cluster.spec.bootstrap.initdb.expect("initdb").secret.name;
        writeln!(
            text,
            "{}: {:?}; {}; begins with {begins}",
            credentials.username,
            credentials.message,
            roles.join(", ")
        )
        .expect("text");
    };
    look(&seen);
    let known = |version: &str| {
        let status = HEALTHY.replace(
            "app_2: {resourceVersion: '1'}",
            &format!("app_2: {{resourceVersion: '{version}'}}"),
        );
        let mut cluster = seen.cluster.as_deref().expect("servers").clone();
        cluster.status = Some(serde_saphyr::from_str(&status).expect("a status"));
        Seen {
            cluster: Some(Arc::new(cluster)),
            ..seen.clone()
        }
    };
    look(&known("2"));
    expect![[r#"
        app: Some("the change waits until the server surely knows the new password"); app by db-credentials, app_2 by db-standby; begins with db-credentials
        app_2: None; app by db-standby, app_2 by db-credentials; begins with db-standby
    "#]].assert_eq(&text);
}

#[test]
fn volumes_do_not_shrink_nor_change_their_class() {
    let grown = several("").spec;
    let mut object = several("");
    object.spec.storage.size = "5Gi".into();
    let seen = then(&object, seen(), HEALTHY);
    object.spec.storage = trackbed_api::database::Storage {
        class_name: None,
        ..grown.storage
    };
    let cluster = decide(&object, &seen).children.expect("children").cluster;
    let spec = cluster.object().expect("servers").spec;
    assert_eq!(spec.storage.size, "5Gi");
    assert_eq!(spec.storage.storage_class.as_deref(), Some("fast"));
    assert_eq!(spec.postgresql.parameters["wal_keep_size"], "1024MB");
    // It is told once all have it.
    let mut look = seen.clone();
    let mut told = |sizes: &[&str]| {
        let claims = sizes.iter().filter_map(|it| claim(it));
        look.volumes = claims.map(|it| it.as_ref().clone()).collect();
        let outcome = decide(&object, &look).outcome;
        (outcome.status.storage, outcome.requeue)
    };
    let size = |text: &str| Some(text.to_owned());
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(told(&["5Gi", "1Gi"]), (size("1Gi"), seconds(15)));
    assert_eq!(told(&["5Gi", "5Gi"]), (size("5Gi"), seconds(15)));
    assert_eq!(told(&[]), (None, seconds(600)));
}

/// What cannot grow keeps its size: CloudNativePG would try for good, and take nothing back.
#[test]
fn volumes_that_cannot_grow_keep_their_size() {
    let mut object = several("");
    let mut seen = then(&object, seen(), HEALTHY);
    object.spec.storage.size = "5Gi".into();
    let storage = |seen: &Seen| {
        let cluster = decide(&object, seen).children.expect("children").cluster;
        let spec = cluster.object().expect("servers").spec;
        let kept = spec.postgresql.parameters["wal_keep_size"].clone();
        (spec.storage.size, kept)
    };
    let told = |size: &str, kept: &str| (size.to_owned(), kept.to_owned());
    let grown = |seen: &Seen| {
        let children = decide(&object, seen).children.expect("children");
        let grown = children.grown.into_iter();
        grown
            .map(|it| format!("{} to {}", it.claim, it.size))
            .collect::<Vec<_>>()
    };
    let volumes = ["5Gi", "1Gi"].map(|it| claim(it).expect("a claim").as_ref().clone());
    seen.volumes = volumes.into();
    assert_eq!(storage(&seen), told("5Gi", "1024MB"));
    // Whatever CloudNativePG does.
    assert_eq!(grown(&seen), ["db-data to 5Gi"]);
    seen.cannot_grow = Some("the class cannot".to_owned());
    assert_eq!(storage(&seen), told("1Gi", "204MB"));
    assert_eq!(grown(&seen), [""; 0]);
}

#[test]
fn servers_without_room_are_named() {
    let object = several("");
    let status = "{managedRolesStatus: {passwordStatus: {app: {resourceVersion: '1'}, app_2: {resourceVersion: '1'}}}, readyInstances: 0, currentPrimary: db-1, targetPrimary: db-1, instancesStatus: {failed: [db-1, db-2]}, phase: Not enough disk space, phaseReason: Insufficient disk space detected}";
    let seen = then(&object, seen(), status);
    expect![[r#"
        Ready=False StorageFull: Postgres 17 does not start without room on its volume: raise storage.size
          StorageAmple=Some(false) StorageAlmostFull: no room is left on the volume: raise storage.size, or make room
          Replicated=None Progressing: 0 of 2 servers are up: Not enough disk space: Insufficient disk space detected
    "#]].assert_eq(&super::replicas::said(&decide(&object, &seen)));
}
