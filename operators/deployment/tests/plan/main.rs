//! Plans of releases: YAML in (the releases and what was seen), status and conditions out.

mod failures;

use std::{fmt::Write, sync::Arc};

use expect_test::{Expect, expect};
use jiff::Timestamp;
use k8s_openapi::api::{apps::v1 as appsv1, core::v1::Pod};
use kube::ResourceExt;
use serde::Deserialize;
use trackbed_api::{Deployment, Service};
use trackbed_deployment::{
    observe::{Place, Seen},
    plan::{
        environment::{Lack, references},
        plan,
    },
};
use trackbed_kit::{Config, conditions::conditions};

/// What a case is made of. The first release is the one that decides.
#[derive(Deserialize)]
struct Case {
    releases: Vec<Deployment>,
    #[serde(default)]
    service: Option<Service>,
    /// What the Service's workload runs.
    #[serde(default)]
    workload: Option<appsv1::Deployment>,
    #[serde(default)]
    pods: Vec<Pod>,
    /// Nothing is there that the release refers to.
    #[serde(default)]
    missing: bool,
    #[serde(default)]
    log: Option<String>,
}

fn now() -> Timestamp {
    "2026-01-01T00:10:00Z".parse().expect("a time")
}

fn release(sequence: i64, status: &str) -> String {
    format!(
        "- metadata: {{name: web-{sequence}, namespace: shop-production, generation: 1}}\n  spec: {{service: web, sequence: {sequence}, image: 'registry.example.com/web@sha256:{}', run: {{env: [{{name: URL, valueFrom: {{databaseRef: {{name: db}}}}}}]}}}}\n  status: {{{status}}}\n",
        "0".repeat(64)
    )
}

fn releases(all: &[(i64, &str)]) -> String {
    let list: String = all
        .iter()
        .map(|(it, status)| release(*it, status))
        .collect();
    format!("releases:\n{list}")
}

/// The workload as release `sequence` applied it.
fn workload(sequence: i64, available: i32, rest: &str) -> String {
    format!(
        "workload:\n  metadata: {{name: web, generation: 1, annotations: {{trackbed.dev/order: '{sequence}.1'}}}}\n  spec: {{replicas: 1, selector: {{}}, template: {{metadata: {{labels: {{trackbed.dev/release: web-{sequence}}}}}}}}}\n  status: {{observedGeneration: 1, replicas: 1, updatedReplicas: 1, availableReplicas: {available}{rest}}}\n"
    )
}

/// A pod of release `sequence`, not ready.
fn pod(sequence: i64, status: &str) -> String {
    format!(
        "pods:\n- metadata: {{name: web-0, labels: {{trackbed.dev/release: web-{sequence}}}}}\n  status: {{phase: Running, {status}}}\n"
    )
}

fn container(status: &str) -> String {
    format!("containerStatuses: [{{name: app, image: web, imageID: '', ready: false, {status}}}]")
}

fn seen(case: Case) -> (Deployment, Seen) {
    let object = case.releases.first().expect("a release decides").clone();
    let needed = references(&object).into_iter();
    let missing = needed.filter(|_| case.missing);
    let seen = Seen {
        place: Some(Place {
            preview_of: None,
            project: "shop".to_owned(),
            environment: "production".to_owned(),
        }),
        service: case.service.map(Arc::new),
        releases: case.releases.into_iter().map(Arc::new).collect(),
        workload: case.workload.map(Arc::new),
        pods: case.pods.into_iter().map(Arc::new).collect(),
        missing: missing
            .map(|needed| needed.missing("shop-production", Lack::Object))
            .collect(),
        log: case.log,
        ..Seen::default()
    };
    (object, seen)
}

fn summary(yaml: &str) -> String {
    let case: Case = serde_saphyr::from_str(yaml).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    let (object, seen) = seen(case);
    let plan = plan(&object, &seen, &Config::example(), now());
    let mut out = String::new();
    let status = &plan.outcome.status;
    let applies = match &plan.children {
        Some(children) => format!("applies {}", children.workload.name_any()),
        None => "applies nothing".to_owned(),
    };
    writeln!(out, "{:?}, {applies}", status.phase).expect("text");
    if let Some(failure) = &status.failure {
        let again = if failure.retryable {
            "again"
        } else {
            "for good"
        };
        let code = failure
            .exit_code
            .map_or(String::new(), |code| format!(" exit {code}"));
        writeln!(out, "failed {again}: {}{code}", failure.reason.as_str()).expect("text");
    }
    if let Some(log) = &status.log_tail {
        writeln!(out, "log: {log}").expect("text");
    }
    let (health, facts) = (&plan.outcome.health, &plan.outcome.facts);
    for condition in conditions(&[], Some(1), health, facts, now()) {
        let (kind, status) = (condition.type_, condition.status);
        let (reason, message) = (condition.reason, condition.message);
        writeln!(out, "{kind}={status} {reason}: {message}").expect("text");
    }
    if let Some(wait) = plan.outcome.requeue {
        writeln!(out, "again in {} s", wait.as_secs()).expect("text");
    }
    out
}

fn check(yaml: &str, expected: &Expect) {
    expected.assert_eq(&summary(yaml));
}

const BEGUN: &str = "phase: Progressing, startTime: '2026-01-01T00:09:50Z'";
const LATE: &str = "phase: Progressing, startTime: '2026-01-01T00:00:00Z'";
const SERVES: &str = "phase: Active, activeSince: '2025-12-31T00:00:00Z'";

#[test]
fn a_release_says_that_it_begins_before_it_is_applied() {
    check(
        &releases(&[(1, "")]),
        &expect![[r#"
        Progressing, applies nothing
        Ready=False Progressing: the release is being applied
        Reconciling=True Progressing: the release is being applied
        Available=False Progressing: the release is being applied
        again in 301 s
    "#]],
    );
    check(
        &releases(&[(1, BEGUN)]),
        &expect![[r#"
        Progressing, applies web
        Ready=False Progressing: 0 of 1 pod is ready
        Reconciling=True Progressing: 0 of 1 pod is ready
        Available=False Progressing: 0 of 1 pod is ready
        again in 291 s
    "#]],
    );
}

#[test]
fn a_missing_reference_is_waited_for() {
    let case = releases(&[(1, "")]) + "missing: true\n";
    check(
        &case,
        &expect![[r#"
        Pending, applies nothing
        Ready=False ReferenceMissing: Database db does not exist in namespace shop-production: create it, or remove URL
        Reconciling=True ReferenceMissing: Database db does not exist in namespace shop-production: create it, or remove URL
        Available=False ReferenceMissing: Database db does not exist in namespace shop-production: create it, or remove URL
    "#]],
    );
}

#[test]
fn a_release_is_active_only_when_its_pods_are_available() {
    let case = |available| releases(&[(2, BEGUN), (1, SERVES)]) + &workload(2, available, "");
    check(
        &case(0),
        &expect![[r#"
        Progressing, applies web
        Ready=False Progressing: 0 of 1 pod is ready
        Reconciling=True Progressing: 0 of 1 pod is ready
        Available=False Progressing: 0 of 1 pod is ready
        again in 291 s
    "#]],
    );
    check(
        &case(1),
        &expect![[r#"
        Active, applies web
        Ready=True Ready: serves with 1 pod
        Available=True Available: serves with 1 pod
    "#]],
    );
}

#[test]
fn the_release_before_serves_until_the_next_one_is_available() {
    let case = releases(&[(1, SERVES), (2, BEGUN)]) + &workload(1, 1, "");
    check(
        &case,
        &expect![[r#"
        Active, applies web
        Ready=True Ready: serves with 1 pod
        Available=True Available: serves with 1 pod
    "#]],
    );
    let case = releases(&[(1, SERVES), (2, SERVES)]) + &workload(2, 1, "");
    check(
        &case,
        &expect![[r#"
        Superseded, applies nothing
        Ready=False Superseded: another release of Service web took over
        Available=False Superseded: another release of Service web took over
    "#]],
    );
}

#[test]
fn a_lower_sequence_never_replaces_a_higher_one() {
    // Found first, or late: it says so and stays off the workload.
    let late = releases(&[(1, ""), (2, BEGUN)]);
    check(
        &late,
        &expect![[r#"
        Superseded, applies nothing
        Ready=False Superseded: another release of Service web took over
        Available=False Superseded: another release of Service web took over
    "#]],
    );
    let case = releases(&[(1, ""), (2, SERVES)]) + &workload(2, 1, "");
    check(
        &case,
        &expect![[r#"
        Superseded, applies nothing
        Ready=False Superseded: another release of Service web took over
        Available=False Superseded: another release of Service web took over
    "#]],
    );
    // Begun, and overtaken before its status was seen by anybody.
    let case = releases(&[(1, BEGUN), (2, BEGUN)]) + &workload(2, 0, "");
    check(
        &case,
        &expect![[r#"
        Superseded, applies nothing
        Ready=False Superseded: another release of Service web took over
        Available=False Superseded: another release of Service web took over
    "#]],
    );
}

#[test]
fn a_pin_brings_an_earlier_release_back() {
    let pin = "service:\n  metadata: {name: web}\n  spec: {source: {image: {reference: web}}, pin: web-1}\n";
    let superseded = "phase: Superseded, activeSince: '2025-12-30T00:00:00Z'";
    let case = releases(&[(1, superseded), (2, SERVES)]) + &workload(2, 1, "") + pin;
    check(
        &case,
        &expect![[r#"
        Progressing, applies nothing
        Ready=False Progressing: the release is being applied
        Reconciling=True Progressing: the release is being applied
        Available=False Progressing: the release is being applied
        again in 301 s
    "#]],
    );
    let case = releases(&[(1, BEGUN), (2, SERVES)]) + &workload(2, 1, "") + pin;
    check(
        &case,
        &expect![[r#"
        Progressing, applies web
        Ready=False Progressing: 0 of 1 pod is ready
        Reconciling=True Progressing: 0 of 1 pod is ready
        Available=False Progressing: 0 of 1 pod is ready
        again in 291 s
    "#]],
    );
}

#[test]
fn a_failed_release_gives_way_to_the_one_before() {
    let failed = "phase: Failed, startTime: '2026-01-01T00:00:00Z', failure: {reason: CrashLoop, message: crashed, retryable: false}";
    let case = releases(&[(1, SERVES), (2, failed)]) + &workload(2, 0, "");
    check(
        &case,
        &expect![[r#"
        Active, applies web
        Ready=False Progressing: the release is being put back
        Reconciling=True Progressing: the release is being put back
        Available=False Progressing: the release is being put back
    "#]],
    );
    let case = releases(&[(2, failed), (1, SERVES)]) + &workload(1, 1, "");
    check(
        &case,
        &expect![[r#"
        RolledBack, applies nothing
        failed for good: CrashLoop
        Ready=False CrashLoop: crashed; the release before it serves again
        Stalled=True CrashLoop: crashed; the release before it serves again
        Available=False CrashLoop: crashed; the release before it serves again
    "#]],
    );
}

#[test]
fn outside_of_every_project_nothing_is_applied() {
    let case: Case = serde_saphyr::from_str(&releases(&[(1, "")])).expect("YAML");
    let (object, seen) = seen(case);
    let seen = Seen {
        place: None,
        ..seen
    };
    let plan = plan(&object, &seen, &Config::example(), now());
    assert_eq!(plan.children, None);
    assert_eq!(plan.outcome.health.ready().1, "NamespaceNotManaged");
}
