//! Plans of a Service: YAML in (the Service and what was seen), a summary in YAML out.

mod history;
mod releases;
mod sources;

use std::{fmt::Write, sync::Arc};

use expect_test::{Expect, expect};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1 as appsv1;
use kube::ResourceExt;
use serde::Deserialize;
use trackbed_api::{Build, Deployment, Service};
use trackbed_kit::{Config, conditions::conditions};
use trackbed_service::{
    observe::{Place, Seen},
    plan::plan,
    source::{Found, Look},
};

const COMMIT: &str = "3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6";
const LATER: &str = "a000000000000000000000000000000000000001";
const DIGEST: &str = "registry.example.com/apps/shop/web@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// What a case is made of; everything but the Service may be left out.
#[derive(Deserialize)]
struct Case {
    service: Service,
    #[serde(default)]
    builds: Vec<Build>,
    #[serde(default)]
    releases: Vec<Deployment>,
}

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).expect("a time")
}

fn found(commit: &str) -> Look {
    Look::Found(Found {
        commit: Some(commit.to_owned()),
        r#ref: Some("refs/heads/main".to_owned()),
        ..Found::default()
    })
}

/// A commit that touches nothing that the Service watches.
fn untouched(commit: &str) -> Look {
    match found(commit) {
        Look::Found(found) => Look::Found(Found {
            untouched: true,
            ..found
        }),
        other => other,
    }
}

fn service(rest: &str) -> String {
    format!(
        "service:\n  metadata: {{name: web, namespace: shop-production, uid: u-web, generation: 1}}\n  spec:\n    source: {{git: {{url: 'https://git.example.com/acme/shop'}}}}\n{rest}"
    )
}

/// The Service after `sequence` was taken up at `commit`.
fn taken(sequence: i64, commit: &str, spec: &str) -> String {
    let plain = service(spec);
    let case: Case = serde_saphyr::from_str(&plain).expect("the case is YAML");
    let inputs = trackbed_service::plan::source::inputs(&case.service);
    format!(
        "{plain}\n  status: {{source: {{sequence: {sequence}, commit: {commit}, ref: refs/heads/main, inputs: '{inputs}'}}}}\n"
    )
}

fn owner() -> &'static str {
    "ownerReferences: [{apiVersion: trackbed.dev/v1alpha1, kind: Service, name: web, uid: u-web, controller: true}]"
}

fn build(sequence: i64, commit: &str, status: &str) -> String {
    format!(
        "- metadata: {{name: web-{sequence}, namespace: shop-production, {}}}\n  spec: {{service: web, sequence: {sequence}, source: {{git: {{url: 'https://git.example.com/acme/shop', commit: {commit}}}}}}}\n  status: {{{status}}}\n",
        owner()
    )
}

fn release(sequence: i64, revision: i32, commit: &str, status: &str) -> String {
    let name = match revision {
        1 => format!("web-{sequence}"),
        _ => format!("web-{sequence}-{revision}"),
    };
    format!(
        "- metadata: {{name: {name}, namespace: shop-production, {}}}\n  spec: {{service: web, sequence: {sequence}, revision: {revision}, build: web-{sequence}, commit: {commit}, image: '{DIGEST}', run: {{}}}}\n  status: {{{status}}}\n",
        owner()
    )
}

/// The workload of a Service that has releases.
fn workload() -> appsv1::Deployment {
    serde_saphyr::from_str(
        "metadata: {name: web, namespace: shop-production}\nstatus: {replicas: 1, availableReplicas: 1}\n",
    )
    .expect("a workload")
}

fn seen(case: &Case, look: Look) -> Seen {
    Seen {
        place: Some(Place {
            preview_of: None,
            project: "shop".to_owned(),
            environment: "production".to_owned(),
        }),
        workload: (!case.releases.is_empty()).then(|| Arc::new(workload())),
        builds: case.builds.iter().cloned().map(Arc::new).collect(),
        releases: case.releases.iter().cloned().map(Arc::new).collect(),
        look,
        ..Seen::default()
    }
}

fn check(yaml: &str, look: Look, expected: &Expect) {
    let case: Case = serde_saphyr::from_str(yaml).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    let seen = seen(&case, look);
    expected.assert_eq(&summary(&case.service, &seen));
}

fn summary(service: &Service, seen: &Seen) -> String {
    let plan = plan(service, seen, &Config::example(), now());
    let mut out = String::new();
    let status = &plan.outcome.status;
    if let Some(source) = &status.source {
        let what = source.commit.as_deref().or(source.image.as_deref());
        writeln!(out, "source: {} {}", source.sequence, what.unwrap_or("-")).expect("text");
    }
    if let Some(build) = &plan.children.build {
        let source = &build.spec.source.git;
        let path = source.path.as_deref().unwrap_or(".");
        let of = build.metadata.owner_references.iter().flatten().next();
        let owner = of.map_or("nobody", |owner| owner.name.as_str());
        let name = build.name_any();
        writeln!(
            out,
            "build: {name} of {} in {path}, owned by {owner}",
            source.commit
        )
        .expect("text");
        for held in build.finalizers() {
            writeln!(out, "build held by {held}").expect("text");
        }
    }
    if let Some(release) = &plan.children.release {
        let (sequence, revision) = release.spec.order();
        let name = release.name_any();
        let image = release.spec.image.split('@').next().unwrap_or_default();
        writeln!(
            out,
            "release: {name} {sequence}.{revision} {image} env={}",
            release.spec.run.env.len()
        )
        .expect("text");
    }
    for old in &plan.children.old_builds {
        writeln!(out, "remove build: {}", old.name_any()).expect("text");
    }
    for old in &plan.children.old_releases {
        writeln!(out, "remove release: {}", old.name_any()).expect("text");
    }
    if let Some(active) = &status.active_deployment {
        writeln!(out, "active: {active}").expect("text");
    }
    let conditions = conditions(
        &[],
        Some(1),
        &plan.outcome.health,
        &plan.outcome.facts,
        now(),
    );
    for condition in conditions {
        let (kind, status) = (condition.type_, condition.status);
        writeln!(
            out,
            "{kind}={status} {}: {}",
            condition.reason, condition.message
        )
        .expect("text");
    }
    out
}

#[test]
fn a_commit_is_written_down_first() {
    check(
        &service(""),
        found(COMMIT),
        &expect![[r#"
            source: 1 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
            Ready=False Progressing: takes up commit 3f2c8a1
            Reconciling=True Progressing: takes up commit 3f2c8a1
            SourceReady=True Ready: found commit 3f2c8a1 at refs/heads/main
            BuildSucceeded=Unknown Progressing: no Build yet
            Available=False NoRelease: no release serves yet
            HostsReady=True Ready: has web-shop.apps.example.com
        "#]],
    );
}

#[test]
fn a_commit_that_is_written_down_is_built() {
    let case = taken(1, COMMIT, "    build: {args: {A: b}}\n");
    check(
        &case,
        found(COMMIT),
        &expect![[r#"
            source: 1 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
            build: web-1 of 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6 in ., owned by web
            build held by trackbed.dev/image
            Ready=False Progressing: starts Build web-1 of commit 3f2c8a1
            Reconciling=True Progressing: starts Build web-1 of commit 3f2c8a1
            SourceReady=True Ready: found commit 3f2c8a1 at refs/heads/main
            BuildSucceeded=Unknown Progressing: no Build yet
            Available=False NoRelease: no release serves yet
            HostsReady=True Ready: has web-shop.apps.example.com
        "#]],
    );
}

#[test]
fn a_build_under_way_is_waited_for() {
    let case = taken(1, COMMIT, "") + "builds:\n" + &build(1, COMMIT, "phase: Building");
    check(
        &case,
        found(COMMIT),
        &expect![[r#"
            source: 1 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
            Ready=False Progressing: Build web-1 of commit 3f2c8a1: building
            Reconciling=True Progressing: Build web-1 of commit 3f2c8a1: building
            SourceReady=True Ready: found commit 3f2c8a1 at refs/heads/main
            BuildSucceeded=Unknown Progressing: Build web-1: building
            Available=False NoRelease: no release serves yet
            HostsReady=True Ready: has web-shop.apps.example.com
        "#]],
    );
}

#[test]
fn a_failed_build_is_named_and_the_old_release_keeps_serving() {
    let failed = "phase: Failed, failure: {reason: OutOfMemory, message: 'it needed more than 4Gi', retryable: false}";
    let case = taken(2, LATER, "")
        + "builds:\n"
        + &build(2, LATER, failed)
        + "releases:\n"
        + &release(1, 1, COMMIT, "phase: Active");
    check(
        &case,
        found(LATER),
        &expect![[r#"
            source: 2 a000000000000000000000000000000000000001
            active: web-1
            Ready=False OutOfMemory: Build web-2 of commit a000000 failed: it needed more than 4Gi ('kubectl describe tbuild web-2' has the log); Deployment web-1 keeps serving
            Stalled=True OutOfMemory: Build web-2 of commit a000000 failed: it needed more than 4Gi ('kubectl describe tbuild web-2' has the log); Deployment web-1 keeps serving
            SourceReady=True Ready: found commit a000000 at refs/heads/main
            BuildSucceeded=False OutOfMemory: Build web-2: it needed more than 4Gi
            Available=True Ready: 1 of 1 pods are available
            HostsReady=True Ready: has web-shop.apps.example.com
        "#]],
    );
}

#[test]
fn changed_build_settings_build_the_same_commit_again() {
    let before = taken(4, COMMIT, "");
    let case = before.replace("  spec:\n", "  spec:\n    build: {target: web}\n")
        + "releases:\n"
        + &release(4, 1, COMMIT, "phase: Active");
    check(
        &case,
        found(COMMIT),
        &expect![[r#"
            source: 5 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
            active: web-4
            Ready=False Progressing: takes up commit 3f2c8a1; Deployment web-4 keeps serving
            Reconciling=True Progressing: takes up commit 3f2c8a1; Deployment web-4 keeps serving
            SourceReady=True Ready: found commit 3f2c8a1 at refs/heads/main
            BuildSucceeded=Unknown Progressing: no Build yet
            Available=True Ready: 1 of 1 pods are available
            HostsReady=True Ready: has web-shop.apps.example.com
        "#]],
    );
}

#[test]
fn a_suspended_service_builds_and_releases_nothing() {
    let case = taken(1, COMMIT, "    suspend: true\n");
    check(
        &case,
        found(LATER),
        &expect![[r#"
            source: 1 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
            Ready=True Suspended: suspended: no pods run and nothing new is built or released
            SourceReady=True Ready: found commit a000000 at refs/heads/main
            BuildSucceeded=Unknown Progressing: no Build yet
            Available=False NoRelease: no release serves yet
            HostsReady=True Ready: has web-shop.apps.example.com
        "#]],
    );
}

#[test]
fn outside_of_an_environment_nothing_happens() {
    let case: Case = serde_saphyr::from_str(&service("")).expect("the case is YAML");
    let mut seen = seen(&case, found(COMMIT));
    seen.place = None;
    expect![[r#"
        Ready=False NamespaceNotManaged: this namespace belongs to no Project: create the Service in a namespace of a Project's environment, or name the environment in a Project
        Stalled=True NamespaceNotManaged: this namespace belongs to no Project: create the Service in a namespace of a Project's environment, or name the environment in a Project
    "#]].assert_eq(&summary(&case.service, &seen));
}
