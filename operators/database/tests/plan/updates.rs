//! Newer images: what looks for them, and what follows.

use std::{fmt::Write, sync::Arc};

use expect_test::expect;
use k8s_openapi::api::core::v1::PodSpec;
use trackbed_api::{Database, DatabaseStatus};
use trackbed_database::{
    observe::Seen,
    plan::{Plan, plan},
};
use trackbed_kit::Config;

use super::{
    backup::{COMPLETE, FAILED, add, container},
    database,
    restart::{NEW, OLD, UNPULLED, image, made, ready, serving, written},
};

fn updated(updates: &str) -> Database {
    database(&format!(
        "{{engine: Postgres, version: '17', updates: {{{updates}}}}}"
    ))
}

/// A look that began at that hour, and the image that its pod got.
fn look(seen: &mut Seen, name: &str, hour: u8, end: &str, digest: &str) {
    let words = r#"{"version":"17.6"}"#;
    let containers =
        container("look", 0, words).replace("imageID: x", &format!("imageID: '{}'", image(digest)));
    let containers = format!("containerStatuses: {containers}");
    add(seen, name, "update", hour, end, &containers);
    let pod = seen
        .backups
        .pods
        .last_mut()
        .map(Arc::make_mut)
        .expect("a pod");
    let spec = "containers: [{name: look, image: 'docker.io/library/postgres:17'}]";
    pod.spec = Some(serde_saphyr::from_str::<PodSpec>(spec).expect("a spec"));
}

fn at(object: &Database, seen: &Seen, time: &str) -> Plan {
    let now = format!("2026-01-01T{time}Z").parse().expect("a time");
    plan(object, seen, &Config::example(), now)
}

fn fact(plan: &Plan) -> String {
    let facts = plan.outcome.facts.iter();
    let facts = facts.filter(|it| it.kind == "UpToDate");
    facts.fold(String::new(), |mut text, it| {
        writeln!(text, "{:?} {}: {}", it.status, it.reason, it.message).expect("text");
        text
    })
}

/// The image of the next pod, and whether the one that runs is ended for it.
fn next(object: &Database, seen: &Seen, time: &str) -> (String, bool) {
    let first = at(object, seen, time);
    let children = first.children.clone().expect("children");
    assert!(children.restart.is_none(), "not before it is known");
    let image = first.outcome.status.image.clone().unwrap_or_default();
    let mut object = object.clone();
    object.status = Some(first.outcome.status);
    let children = at(&object, &written(seen, &children), time).children;
    (image, children.expect("children").restart.is_some())
}

fn remembers(object: &mut Database, status: DatabaseStatus) {
    object.status = Some(status);
}

#[test]
fn a_job_beside_the_server_looks_for_what_the_settings_say() {
    let object = updated("schedule: '0 4 * * 0', timeZone: Europe/Berlin, request: today");
    let looks = at(&object, &serving(&object), "00:00:00").children;
    let looks = looks.expect("children").looks;
    let job = looks.requested.expect("a Job");
    let cron = looks.scheduled.and_then(|it| it.spec).expect("a CronJob");
    assert_eq!(
        cron.job_template.spec.expect("a spec").template,
        job.spec.clone().expect("a spec").template
    );
    let pod = job.spec.and_then(|it| it.template.spec).expect("a pod");
    assert_eq!(pod.automount_service_account_token, Some(false));
    expect![[r#"
        Some("db-update-e0f4f767") 0 4 * * 0 Some("Europe/Berlin") Some(1800) Some("Forbid")
        podAffinity:
          preferredDuringSchedulingIgnoredDuringExecution:
          - podAffinityTerm:
              labelSelector:
                matchLabels:
                  trackbed.dev/database: db
                  trackbed.dev/role: database
              topologyKey: kubernetes.io/hostname
            weight: 100

        - command:
          - /opt/trackbed/bin/trackbed
          - supervisor
          - look
          - postgres
          - --version=17
          image: docker.io/library/postgres:17
          imagePullPolicy: Always
          name: look
          resources:
            limits:
              cpu: 500m
              memory: 128Mi
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
            readOnly: true
    "#]]
    .assert_eq(&format!(
        "{:?} {} {:?} {:?} {:?}\n{}\n{}",
        job.metadata.name,
        cron.schedule,
        cron.time_zone,
        cron.starting_deadline_seconds,
        cron.concurrency_policy,
        serde_saphyr::to_string(&pod.affinity).expect("YAML"),
        serde_saphyr::to_string(&pod.containers).expect("YAML"),
    ));
}

#[test]
fn nothing_is_looked_for_unasked_or_twice_or_without_a_pod() {
    let asked = |object: &Database, seen: &Seen| {
        let looks = at(object, seen, "00:00:00")
            .children
            .expect("children")
            .looks;
        (looks.requested.is_some(), looks.scheduled.is_some())
    };
    let plain = database("{engine: Postgres, version: '17'}");
    assert_eq!(asked(&plain, &serving(&plain)), (false, false));
    let mut object = updated("request: today");
    let mut seen = serving(&object);
    assert_eq!(asked(&object, &seen), (true, false));
    seen.pod = None;
    assert_eq!(asked(&object, &seen), (false, false));
    seen.pod = Some(made(&seen, 0, UNPULLED));
    assert_eq!(
        asked(&object, &seen),
        (true, false),
        "another image may help"
    );
    let name = trackbed_api::names::requested_update("db", "today");
    look(&mut seen, &name, 1, "", OLD);
    assert_eq!(asked(&object, &seen), (false, false), "it is under way");
    seen.backups.jobs.clear();
    look(&mut seen, &name, 1, FAILED, OLD);
    let status = at(&object, &seen, "01:00:00").outcome.status;
    remembers(&mut object, status);
    seen.backups.jobs.clear();
    assert_eq!(asked(&object, &seen), (false, false), "it is done");
}

#[test]
fn another_image_restarts_the_server_and_the_same_does_not() {
    let object = updated("request: today");
    let name = trackbed_api::names::requested_update("db", "today");
    let mut seen = serving(&object);
    look(&mut seen, &name, 1, COMPLETE, OLD);
    assert_eq!(next(&object, &seen, "01:00:30"), (image(OLD), false));
    seen.backups.jobs.clear();
    look(&mut seen, &name, 2, COMPLETE, NEW);
    assert_eq!(next(&object, &seen, "02:00:30"), (image(NEW), true));
    assert_eq!(
        next(&object, &seen, "23:00:00"),
        (image(NEW), true),
        "whenever the operator is back"
    );
    expect![[r#"
        Some(true) ImageFound: docker.io/library/postgres:17 is docker.io/library/postgres@sha256:2222222222222222222222222222222222222222222222222222222222222222, as of 2026-01-01T02:00:00Z
    "#]].assert_eq(&fact(&at(&object, &seen, "02:00:30")));
}

#[test]
fn what_was_counted_is_not_counted_again() {
    let mut object = updated("schedule: '@weekly', request: today");
    let name = trackbed_api::names::requested_update("db", "today");
    let mut seen = serving(&object);
    look(&mut seen, &name, 1, COMPLETE, OLD);
    look(&mut seen, "scheduled", 2, COMPLETE, NEW);
    let plan = at(&object, &seen, "02:01:00");
    assert_eq!(plan.outcome.status.image, Some(image(NEW)));
    let seen = written(&seen, &plan.children.expect("children"));
    remembers(&mut object, plan.outcome.status);
    // The pod that began with a tag is still there, and the older look too.
    let later = at(&object, &seen, "09:00:00");
    assert_eq!(later.outcome.status.image, Some(image(NEW)));
}

#[test]
fn one_of_the_schedule_restarts_nothing_later() {
    let object = updated("schedule: '@weekly'");
    let mut seen = serving(&object);
    look(&mut seen, "scheduled", 1, COMPLETE, NEW);
    assert_eq!(next(&object, &seen, "01:29:00"), (image(NEW), true));
    assert_eq!(next(&object, &seen, "01:31:00"), (image(OLD), false));
}

#[test]
fn an_image_that_is_not_had_changes_nothing_and_is_said() {
    let object = updated("request: today");
    let name = trackbed_api::names::requested_update("db", "today");
    let mut text = fact(&at(&object, &serving(&object), "00:00:00"));
    let ended =
        |code: i32, words: &str| format!("containerStatuses: {}", container("look", code, words));
    let other = r#"{"reason":"UpdateFailed","message":"the image has version 18.1 of the server, where 17 is wanted"}"#;
    for (end, containers) in [
        ("", UNPULLED.trim_matches(['{', '}']).to_owned()),
        (
            "{type: Failed, status: 'True', reason: DeadlineExceeded}",
            "phase: Failed".to_owned(),
        ),
        (FAILED, ended(3, other)),
        (COMPLETE, ended(0, r#"{"version":"17.6"}"#)),
    ] {
        let mut seen = serving(&object);
        add(&mut seen, &name, "update", 1, end, &containers);
        assert_eq!(next(&object, &seen, "01:00:30"), (image(OLD), false));
        text += &fact(&at(&object, &seen, "01:00:30"));
    }
    expect![[r#"
        None NotLookedYet: no newer image was looked for yet: updates.schedule and updates.request say when
        Some(false) ImagePullFailed: docker.io/library/postgres:17 could not be looked for, the server runs on as it is: the image of Postgres 17 cannot be pulled: no answer
        Some(false) UpdateFailed: docker.io/library/postgres:17 could not be looked for, the server runs on as it is: it had not run after 15m
        Some(false) UpdateFailed: docker.io/library/postgres:17 could not be looked for, the server runs on as it is: the image has version 18.1 of the server, where 17 is wanted
        Some(false) UpdateFailed: docker.io/library/postgres:17 could not be looked for, the server runs on as it is: the node that has it names no digest of it in its repository
    "#]].assert_eq(&text);
}

#[test]
fn the_version_that_the_server_says_is_told() {
    let object = updated("request: today");
    let mut seen = serving(&object);
    seen.pod = Some(made(&seen, 0, &ready(OLD)));
    seen.version = Some("17.6".to_owned());
    let status = at(&object, &seen, "00:00:00").outcome.status;
    assert_eq!(status.server_version.as_deref(), Some("17.6"));
    let mut stopped = object.clone();
    remembers(&mut stopped, status);
    seen.version = None;
    let status = at(&stopped, &seen, "00:00:00").outcome.status;
    assert_eq!(
        status.server_version.as_deref(),
        Some("17.6"),
        "it is not forgotten"
    );
}
