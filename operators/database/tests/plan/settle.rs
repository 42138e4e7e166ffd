//! Further databases of several servers: a Job makes them, and the super-user is let in for it alone.

use std::fmt::Write;

use expect_test::expect;
use k8s_openapi::api::core::v1::Secret;
use trackbed_api::{Database, names};
use trackbed_database::{observe::Seen, plan::restore::Act};

use super::{
    backup::{COMPLETE, VOLUME, add, yaml},
    replicas::{HEALTHY, decide, said, seen, several, then},
    restore,
};

/// Servers whose super-user is let in.
fn let_in() -> String {
    let seen = "{secretsResourceVersion: {superuserSecretVersion: '7'}, ";
    HEALTHY.replacen('{', seen, 1)
}

fn list(secret: &Secret) -> String {
    let data = secret.data.as_ref().and_then(|it| it.get("databases"));
    let text = data.map(|it| it.0.clone()).unwrap_or_default();
    String::from_utf8(text).expect("text")
}

/// Name of the Job that does what is remembered.
fn job(seen: &Seen) -> String {
    let list = list(seen.standby.as_ref().expect("a reserve"));
    names::databases("db", &names::hash(list.as_bytes()))
}

/// Checksums are of times and hashes, and stay the same from run to run.
fn look(object: &Database, seen: &Seen) -> String {
    let plan = decide(object, seen);
    let children = plan.children.clone().expect("children");
    let servers = children.cluster.object().expect("servers");
    let act = match &children.restore {
        Act::Nothing => "waits".to_owned(),
        Act::Make(job) => format!("makes {}", job.metadata.name.as_deref().unwrap_or_default()),
        Act::Stop(job) => format!("stops {}", job.metadata.name.as_deref().unwrap_or_default()),
    };
    let superuser = servers.spec.enable_superuser_access;
    let mut text = said(&plan);
    writeln!(text, "  super-user: {superuser}, {act}").expect("text");
    text
}

/// The Job has ended like this.
fn done(seen: &mut Seen, name: &str, message: &str) {
    let pod = format!(
        "phase: Succeeded, containerStatuses: [{{name: databases, image: i, imageID: i, ready: false, restartCount: 0, state: {{terminated: {{exitCode: 0, message: '{message}'}}}}}}]"
    );
    add(seen, name, "databases", 3, COMPLETE, &pod);
}

#[test]
fn a_job_makes_them_and_says_what_cannot_be() {
    let both = "{name: shop, extensions: [postgis]}, {name: stats, owner: reporting}";
    let object = several(&format!(", databases: [{both}]"));
    let mut text = look(&object, &seen());
    text += &look(&object, &then(&object, seen(), HEALTHY));
    let begun = then(&object, seen(), &let_in());
    text += &look(&object, &begun);
    let name = job(&begun);
    let mut runs = begun.clone();
    add(&mut runs, &name, "databases", 3, "", "phase: Running");
    text += &look(&object, &runs);
    let list: serde_json::Value =
        serde_json::from_str(&list(begun.standby.as_ref().expect("a reserve"))).expect("JSON");
    let version = list["version"].as_str().expect("a version");
    for (unavailable, differing) in [("", ""), (r#"["shop","postgis"]"#, r#"["stats","web"]"#)] {
        let mut seen = begun.clone();
        let message = format!(
            r#"{{"version":"{version}","unavailable":[{unavailable}],"differing":[{differing}]}}"#
        );
        done(&mut seen, &name, &message);
        text += &look(&object, &seen);
    }
    // One is taken out: what did something else goes first.
    let one = several(", databases: [{name: shop}]");
    let mut seen = begun.clone();
    done(&mut seen, &name, "{}");
    text += &look(&one, &seen);
    seen.backups.jobs.pop();
    text += &look(&one, &seen);
    let asleep = several(&format!(", suspend: true, databases: [{both}]"));
    text += &look(&asleep, &begun);
    expect![[r#"
        Ready=False Progressing: Postgres 17 is being started
          DatabasesReady=None Progressing: the server has not said yet that it has them all, which takes some seconds after a change: 'kubectl logs job/db-databases-4738443e' says what it does
          super-user: true, waits
        Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          DatabasesReady=None Progressing: the server has not said yet that it has them all, which takes some seconds after a change: 'kubectl logs job/db-databases-4738443e' says what it does
          super-user: true, waits
        Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          DatabasesReady=None Progressing: the server has not said yet that it has them all, which takes some seconds after a change: 'kubectl logs job/db-databases-4738443e' says what it does
          super-user: true, makes db-databases-4738443e
        Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          DatabasesReady=None Progressing: the server has not said yet that it has them all, which takes some seconds after a change: 'kubectl logs job/db-databases-4738443e' says what it does
          super-user: true, waits
        Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          DatabasesReady=Some(true) DatabasesReady: shop, stats are as they are listed
          super-user: false, waits
        Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          DatabasesReady=Some(false) DatabaseOwnerDiffers: the database stats is there already and belongs to web: take it out of the list, and put it back with owner: web; the database shop cannot have the extension postgis: the image of Postgres 17 does not have it, or 'kubectl logs job/db-databases-4738443e' says why not
          super-user: false, waits
        Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          DatabasesReady=None Progressing: the server has not said yet that it has them all, which takes some seconds after a change: 'kubectl logs job/db-databases-4168efb5' says what it does
          super-user: true, stops db-databases-4738443e
        Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          DatabasesReady=None Progressing: the server has not said yet that it has them all, which takes some seconds after a change: 'kubectl logs job/db-databases-4168efb5' says what it does
          super-user: true, makes db-databases-4168efb5
        Ready=False Progressing: suspended: its pods are ending
          super-user: false, waits
    "#]].assert_eq(&text);
}

#[test]
fn the_job_has_the_passwords_in_files() {
    let object = several(", databases: [{name: shop}]");
    let seen = then(&object, seen(), &let_in());
    let children = decide(&object, &seen).children.expect("children");
    let job = children.restore.made().expect("a Job");
    expect![[r#"
        activeDeadlineSeconds: 604800
        backoffLimit: 2000
        template:
          metadata:
            labels:
              app.kubernetes.io/managed-by: trackbed
              trackbed.dev/database: db
              trackbed.dev/project: shop
              trackbed.dev/role: databases
          spec:
            automountServiceAccountToken: false
            containers:
            - command:
              - /opt/trackbed/bin/trackbed
              - supervisor
              - databases
              - --version=17
              - --into=db-rw
              - --list=31377fb3fe0703bca32e836c54915a63971b5fc55ac5d191d637ec5eb3147b38
              image: >-
                docker.io/library/postgres@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
              name: databases
              resources:
                limits:
                  cpu: 500m
                  memory: 128Mi
                requests:
                  cpu: 10m
                  memory: 32Mi
              securityContext:
                allowPrivilegeEscalation: false
                capabilities:
                  drop:
                  - ALL
                readOnlyRootFilesystem: true
              volumeMounts:
              - mountPath: /etc/trackbed/credentials
                name: credentials
                readOnly: true
              - mountPath: /etc/trackbed/standby
                name: standby
                readOnly: true
              - mountPath: /etc/trackbed/superuser
                name: superuser
                readOnly: true
              - mountPath: /etc/trackbed/state
                name: settings
                readOnly: true
              - mountPath: /run/trackbed
                name: run
              - mountPath: /tmp
                name: tmp
              - mountPath: /opt/trackbed/bin
                name: bin
                readOnly: true
            enableServiceLinks: false
            initContainers:
            - command:
              - /trackbed
              - supervisor
              - install
              - --to
              - /opt/trackbed/bin/trackbed
              image: docker.io/trackbed/operator:1
              name: supervisor
              resources:
                limits:
                  cpu: 500m
                  memory: 64Mi
                requests:
                  cpu: 10m
                  memory: 16Mi
              securityContext:
                allowPrivilegeEscalation: false
                capabilities:
                  drop:
                  - ALL
                readOnlyRootFilesystem: true
              volumeMounts:
              - mountPath: /opt/trackbed/bin
                name: bin
            restartPolicy: OnFailure
            securityContext:
              fsGroup: 999
              fsGroupChangePolicy: OnRootMismatch
              runAsGroup: 999
              runAsNonRoot: true
              runAsUser: 999
              seccompProfile:
                type: RuntimeDefault
            terminationGracePeriodSeconds: 5
            volumes:
            - name: credentials
              secret:
                defaultMode: 288
                secretName: db-credentials
            - name: standby
              secret:
                defaultMode: 288
                secretName: db-standby
            - name: superuser
              secret:
                defaultMode: 288
                items:
                - key: username
                  path: username
                - key: password
                  path: password
                secretName: db-superuser
            - configMap:
                name: db-settings
              name: settings
            - emptyDir:
                medium: Memory
              name: run
            - emptyDir: {}
              name: tmp
            - emptyDir: {}
              name: bin
    "#]].assert_eq(&serde_saphyr::to_string(&job.spec).expect("YAML"));
}

#[test]
fn a_backup_is_restored_with_the_super_user_and_what_is_listed_comes_after_it() {
    let object = several(", restore: {from: {database: other}}, databases: [{name: shop}]");
    let restored = restore::job(&object);
    let mut seen = seen();
    seen.backups.origin = Some(yaml::<Database>(&format!(
        "metadata: {{name: other}}\nspec: {{engine: Postgres, version: '17', backup: {{{VOLUME}}}}}\nstatus: {{identity: theirs}}\n"
    )));
    let mut seen = then(&object, seen, &let_in());
    let mut text = look(&object, &seen);
    add(&mut seen, &restored, "restore", 3, COMPLETE, "");
    text += &look(&object, &seen);
    let name = job(&seen);
    done(&mut seen, &name, "");
    text += &look(&object, &seen);
    expect![[r#"
        Ready=False Progressing: the newest backup is being restored
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          DatabasesReady=None Progressing: the server has not said yet that it has them all, which takes some seconds after a change: 'kubectl logs job/db-databases-31377fb3' says what it does
          super-user: true, makes db-restore-9f7496ba
        Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          DatabasesReady=None Progressing: the server has not said yet that it has them all, which takes some seconds after a change: 'kubectl logs job/db-databases-31377fb3' says what it does
          super-user: true, makes db-databases-31377fb3
        Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          DatabasesReady=None Progressing: the server has not said yet that it has them all, which takes some seconds after a change: 'kubectl logs job/db-databases-31377fb3' says what it does
          super-user: false, waits
    "#]].assert_eq(&text);
}

#[test]
fn sql_that_they_begin_with_may_need_the_extensions() {
    let object = several(
        ", init: {configMapKeyRef: {name: schema, key: first.sql}}, databases: [{name: app, extensions: [citext]}]",
    );
    let mut seen = then(&object, seen(), &let_in());
    let mut text = look(&object, &seen);
    let name = job(&seen);
    done(&mut seen, &name, "");
    text += &look(&object, &seen);
    expect![[r#"
        Ready=False Progressing: its databases are being made
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          DatabasesReady=None Progressing: the server has not said yet that it has them all, which takes some seconds after a change: 'kubectl logs job/db-databases-6339dbef' says what it does
          super-user: true, makes db-databases-6339dbef
        Ready=False Progressing: its SQL is being run
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          DatabasesReady=None Progressing: the server has not said yet that it has them all, which takes some seconds after a change: 'kubectl logs job/db-databases-6339dbef' says what it does
          super-user: false, makes db-begin-cab8c3bf
    "#]].assert_eq(&text);
}

#[test]
fn owners_change_once_the_servers_know_all_of_them() {
    let object = |rotate: &str| several(&format!(", databases: [{{name: shop}}]{rotate}"));
    let rotated = object(", credentials: {rotate: one}");
    let known = let_in().replace(
        "app_2: {resourceVersion: '1'}",
        "app_2: {resourceVersion: '2'}",
    );
    let mut seen = then(&object(""), seen(), &known);
    let tells = |seen: &Seen| {
        let plan = decide(&rotated, seen);
        let credentials = plan.outcome.status.credentials.expect("credentials");
        let children = plan.children.expect("children");
        let owner = children.bindings[0].data.as_ref().expect("data")["username"].clone();
        format!(
            "{} and {} {}\n",
            credentials.username,
            String::from_utf8_lossy(&owner.0),
            credentials.message.unwrap_or_default()
        )
    };
    let mut text = tells(&seen);
    let name = job(&seen);
    done(&mut seen, &name, "");
    text += &tells(&seen);
    text += &look(&rotated, &seen);
    expect![[r#"
        app and shop the change waits until the server surely knows the new password
        app_2 and shop_2 
        Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local, 2 of 2 servers are up
          Replicated=Some(true) Replicated: 2 of 2 servers are up
          DatabasesReady=None Progressing: the server has not said yet that it has them all, which takes some seconds after a change: 'kubectl logs job/db-databases-fbd1fe91' says what it does
          super-user: true, stops db-databases-31377fb3
    "#]].assert_eq(&text);
}
