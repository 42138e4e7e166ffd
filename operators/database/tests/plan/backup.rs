//! Backups: what takes them, and how they went.

use std::{fmt::Write, sync::Arc};

use expect_test::expect;
use k8s_openapi::api::{
    batch::v1::{CronJob, Job},
    core::v1::Pod,
};
use serde::de::DeserializeOwned;
use trackbed_api::{Database, DatabaseStatus};
use trackbed_database::{observe::Seen, plan::Plan};

use super::{children, database, decide, pod, seen};

const READY: &str = "{conditions: [{type: Ready, status: 'True'}]}";
pub(crate) const VOLUME: &str = "destination: {volume: {size: 2Gi}}";
pub(crate) const BUCKET: &str = "destination: {s3: {bucket: acme, endpoint: 'https://s3.example.com/', prefix: a/b, secretRef: {name: keys}}}";

pub(crate) fn yaml<T: DeserializeOwned>(text: &str) -> Arc<T> {
    Arc::new(serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

pub(crate) fn backed_up(backup: &str) -> Database {
    database(&format!(
        "{{engine: Postgres, version: '17', backup: {{{backup}}}}}"
    ))
}

pub(crate) fn running() -> Seen {
    Seen {
        pod: pod(READY),
        ..seen()
    }
}

/// A Job with that role that began at that hour, and its pod.
pub(crate) fn add(seen: &mut Seen, name: &str, role: &str, hour: u8, end: &str, containers: &str) {
    let labels = format!("trackbed.dev/role: {role}");
    let at = format!("creationTimestamp: '2026-01-01T{hour:02}:00:00Z'");
    let owner = "ownerReferences: [{apiVersion: trackbed.dev/v1alpha1, kind: Database, name: db, uid: u-db, controller: true}]";
    let job: Arc<Job> = yaml(&format!(
        "metadata: {{name: {name}, {at}, {owner}, labels: {{{labels}}}}}\nspec: {{activeDeadlineSeconds: 60, template: {{}}}}\nstatus: {{conditions: [{end}]}}\n"
    ));
    let pod: Arc<Pod> = yaml(&format!(
        "metadata: {{name: {name}-x, {at}, labels: {{batch.kubernetes.io/job-name: {name}, {labels}}}}}\nstatus: {{{containers}}}\n"
    ));
    seen.backups.jobs.push(job);
    seen.backups.pods.push(pod);
}

pub(crate) fn container(name: &str, code: i32, words: &str) -> String {
    format!(
        "[{{name: {name}, image: x, imageID: x, ready: false, restartCount: 0, state: {{terminated: {{exitCode: {code}, message: '{words}'}}}}}}]"
    )
}

pub(crate) fn taken(hour: u8) -> String {
    let words = format!(
        r#"{{"count":3,"newest":[{{"name":"b{hour}","takenAt":"2026-01-01T{hour:02}:00:01Z","storedBytes":9}}]}}"#
    );
    container("backup", 0, &words)
}

pub(crate) fn proven(hour: u8) -> String {
    let words = format!(
        r#"{{"name":"b{hour}","takenAt":"2026-01-01T{hour:02}:00:01Z","tables":2,"rows":7}}"#
    );
    container("prove", 0, &words)
}

/// What a Database without data remembers of its backups.
pub(crate) fn remembered(status: DatabaseStatus) -> Option<DatabaseStatus> {
    Some(DatabaseStatus {
        backup: status.backup,
        ..DatabaseStatus::default()
    })
}

pub(crate) const COMPLETE: &str = "{type: Complete, status: 'True'}";
pub(crate) const FAILED: &str = "{type: Failed, status: 'True'}";

/// What status says of backups.
pub(crate) fn told(plan: &Plan) -> String {
    let mut text = String::new();
    let backup = plan.outcome.status.backup.clone().unwrap_or_default();
    let time = |time: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
        time.map_or_else(|| "never".to_owned(), |it| it.0.to_string())
    };
    let names: Vec<_> = backup.newest.iter().map(|it| it.name.as_str()).collect();
    writeln!(
        text,
        "{} of {}, last {}, verified {}, request {}",
        names.join(" "),
        backup.count,
        time(backup.last),
        time(backup.last_verified),
        backup.request.unwrap_or_default()
    )
    .expect("text");
    for fact in &plan.outcome.facts {
        if fact.kind == "BackupReady" {
            writeln!(text, "{:?} {}: {}", fact.status, fact.reason, fact.message).expect("text");
        }
    }
    text
}

#[test]
fn a_schedule_takes_and_proves_backups_beside_the_server() {
    let object = backed_up(&format!(
        "schedule: '0 2 * * *', timeZone: Europe/Berlin, retain: {{count: 3, age: 48h}}, {VOLUME}"
    ));
    let backups = children(&object, &seen()).backups;
    let claim = backups.claim.expect("a claim");
    assert!(claim.metadata.owner_references.is_none(), "it stays");
    assert!(backups.requested.is_none());
    let cron: CronJob = backups.scheduled.expect("a CronJob");
    expect![[r#"
        concurrencyPolicy: Forbid
        failedJobsHistoryLimit: 1
        jobTemplate:
          metadata:
            labels:
              app.kubernetes.io/managed-by: trackbed
              trackbed.dev/database: db
              trackbed.dev/project: shop
              trackbed.dev/role: backup
          spec:
            activeDeadlineSeconds: 21600
            backoffLimit: 1
            podFailurePolicy:
              rules:
              - action: FailJob
                onExitCodes:
                  operator: In
                  values:
                  - 3
            template:
              metadata:
                labels:
                  app.kubernetes.io/managed-by: trackbed
                  trackbed.dev/database: db
                  trackbed.dev/project: shop
                  trackbed.dev/role: backup
              spec:
                automountServiceAccountToken: false
                containers:
                - command:
                  - /opt/trackbed/bin/trackbed
                  - supervisor
                  - prove
                  - postgres
                  - --version=17
                  - --data=/scratch
                  - --folder=/backups
                  image: docker.io/library/postgres:17
                  name: prove
                  resources:
                    limits:
                      cpu: "1"
                      memory: 512Mi
                    requests:
                      cpu: 100m
                      memory: 256Mi
                  securityContext:
                    allowPrivilegeEscalation: false
                    capabilities:
                      drop:
                      - ALL
                    readOnlyRootFilesystem: true
                  volumeMounts:
                  - mountPath: /backups
                    name: backups
                    readOnly: true
                  - mountPath: /scratch
                    name: scratch
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
                - command:
                  - /opt/trackbed/bin/trackbed
                  - supervisor
                  - backup
                  - postgres
                  - --version=17
                  - --folder=/backups
                  - --keep=3
                  - --timeout=21600
                  - --keep-for=172800
                  image: docker.io/library/postgres:17
                  name: backup
                  resources:
                    limits:
                      cpu: "1"
                      memory: 256Mi
                    requests:
                      cpu: 50m
                      memory: 128Mi
                  securityContext:
                    allowPrivilegeEscalation: false
                    capabilities:
                      drop:
                      - ALL
                    readOnlyRootFilesystem: true
                  volumeMounts:
                  - mountPath: /backups
                    name: backups
                  - mountPath: /etc/trackbed/credentials
                    name: credentials
                    readOnly: true
                  - mountPath: /etc/trackbed/standby
                    name: standby
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
                restartPolicy: Never
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
                - name: backups
                  persistentVolumeClaim:
                    claimName: db-backups
                - name: credentials
                  secret:
                    defaultMode: 288
                    secretName: db-credentials
                - name: standby
                  secret:
                    defaultMode: 288
                    optional: true
                    secretName: db-standby
                - configMap:
                    name: db-settings
                  name: settings
                - emptyDir:
                    sizeLimit: 1Gi
                  name: scratch
                - emptyDir:
                    medium: Memory
                  name: run
                - emptyDir: {}
                  name: tmp
                - emptyDir: {}
                  name: bin
        schedule: 0 2 * * *
        startingDeadlineSeconds: 3600
        successfulJobsHistoryLimit: 1
        suspend: false
        timeZone: Europe/Berlin
    "#]]
    .assert_eq(&serde_saphyr::to_string(&cron.spec).expect("YAML"));
}

#[test]
fn a_bucket_is_told_without_its_keys() {
    let object = backed_up(&format!("schedule: '@daily', {BUCKET}"));
    let backups = children(&object, &seen()).backups;
    assert!(backups.claim.is_none());
    let cron = serde_json::to_value(backups.scheduled).expect("JSON");
    let pod = &cron["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    expect![[r#"
        ["/opt/trackbed/bin/trackbed","supervisor","backup","postgres","--version=17","--bucket=acme","--endpoint=https://s3.example.com","--prefix=a/b","--keep=7","--timeout=21600"]
        {"name":"bucket","secret":{"defaultMode":288,"optional":true,"secretName":"keys"}}
    "#]]
    .assert_eq(&format!(
        "{}\n{}\n",
        pod["initContainers"][1]["command"], pod["volumes"][0]
    ));
}

#[test]
fn redis_tells_all_data_to_a_file_beside_it() {
    let object = database(&format!(
        "{{engine: Redis, version: '7', backup: {{schedule: '@daily', {VOLUME}}}}}"
    ));
    let backups = children(&object, &seen()).backups;
    let cron = serde_json::to_value(backups.scheduled).expect("JSON");
    let pod = &cron["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let mut text = String::new();
    for container in [&pod["initContainers"][1], &pod["containers"][0]] {
        let mounts = container["volumeMounts"].as_array().expect("mounts").iter();
        let paths: Vec<_> = mounts.filter_map(|it| it["mountPath"].as_str()).collect();
        let limit = &container["resources"]["limits"]["memory"];
        writeln!(
            text,
            "{} {} {limit}",
            container["command"],
            paths.contains(&"/scratch")
        )
        .expect("text");
    }
    expect![[r#"
        ["/opt/trackbed/bin/trackbed","supervisor","backup","redis","--version=7","--folder=/backups","--keep=7","--timeout=21600","--data=/scratch"] true "512Mi"
        ["/opt/trackbed/bin/trackbed","supervisor","prove","redis","--version=7","--data=/scratch","--folder=/backups"] true "512Mi"
    "#]].assert_eq(&text);
}

#[test]
fn a_request_is_done_once_and_when_the_server_is_there() {
    let object = backed_up(&format!("request: before-1.4, {VOLUME}"));
    let requested = |object: &Database, seen: &Seen| {
        let job = children(object, seen).backups.requested;
        job.and_then(|job| job.metadata.name)
    };
    assert_eq!(requested(&object, &seen()), None, "there is no server");
    let mut seen = running();
    let name = requested(&object, &seen).expect("a Job");
    expect!["db-backup-67f238eb"].assert_eq(&name);
    add(&mut seen, &name, "backup", 3, "", "");
    assert_eq!(requested(&object, &seen), None, "it is there");
    assert_eq!(
        decide(&object, &seen)
            .outcome
            .status
            .backup
            .and_then(|it| it.request),
        None
    );
    seen.backups.jobs.clear();
    add(&mut seen, &name, "backup", 3, COMPLETE, "");
    let status = decide(&object, &seen).outcome.status;
    let mut done = object;
    done.status = remembered(status);
    seen.backups.jobs.clear();
    assert_eq!(requested(&done, &seen), None, "it was done");
    done.spec.backup.as_mut().expect("one").request = Some("before-1.5".to_owned());
    assert!(requested(&done, &seen).is_some());
}
