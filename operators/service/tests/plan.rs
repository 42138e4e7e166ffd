//! Plans of a Service: YAML in (the Service and what was seen), a summary in YAML out.

use std::{fmt::Write, sync::Arc};

use expect_test::{Expect, expect};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1 as appsv1;
use kube::ResourceExt;
use serde::Deserialize;
use trackbed_api::{Build, Deployment, Service, reason::Reason};
use trackbed_kit::{Config, conditions::conditions};
use trackbed_service::{
    observe::{Place, Seen},
    plan::plan,
    source::{Ask, Found, Look},
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
    "#]],
    );
}

#[test]
fn a_changed_spec_is_not_ready_before_its_source_was_looked_at() {
    let case = taken(1, COMMIT, "") + "releases:\n" + &release(1, 1, COMMIT, "phase: Active");
    check(
        &case,
        Look::Pending,
        &expect![[r#"
        source: 1 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
        active: web-1
        Ready=False Progressing: the source is being looked at; Deployment web-1 keeps serving
        Reconciling=True Progressing: the source is being looked at; Deployment web-1 keeps serving
        SourceReady=Unknown Progressing: the source is being looked at
        BuildSucceeded=Unknown Progressing: no Build yet
        Available=True Ready: 1 of 1 pods are available
    "#]],
    );
}

#[test]
fn a_commit_that_touches_nothing_is_taken_up_without_a_build() {
    let done = format!("phase: Succeeded, image: '{DIGEST}'");
    let case = taken(1, COMMIT, "")
        + "builds:\n"
        + &build(1, COMMIT, &done)
        + "releases:\n"
        + &release(1, 1, COMMIT, "phase: Active");
    check(
        &case,
        untouched(LATER),
        &expect![[r#"
        source: 1 a000000000000000000000000000000000000001
        active: web-1
        Ready=True Ready: Deployment web-1 serves commit 3f2c8a1 with 1 of 1 pods
        SourceReady=True Ready: found commit a000000 at refs/heads/main
        BuildSucceeded=True Ready: Build web-1 made registry.example.com/apps/shop/web@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
        Available=True Ready: 1 of 1 pods are available
    "#]],
    );
    let read: Case = serde_saphyr::from_str(&case).expect("the case is YAML");
    let plan = plan(
        &read.service,
        &seen(&read, untouched(LATER)),
        &Config::example(),
        now(),
    );
    let source = plan.outcome.status.source.expect("a source");
    assert_eq!(source.built_commit.as_deref(), Some(COMMIT));
    assert_eq!(source.message, None, "that is another commit's");
}

#[test]
fn what_was_built_last_is_compared_not_what_was_seen_last() {
    let ask = |status: &str, spec: &str| {
        let mut case: Case = serde_saphyr::from_str(&taken(1, COMMIT, "")).expect("YAML");
        let git = case.service.spec.source.git.as_mut().expect("git");
        git.watch_paths = vec!["apps/web/**".into()];
        if spec == "pinned" {
            git.commit = Some(LATER.into());
        }
        let inputs = trackbed_service::plan::source::inputs(&case.service);
        let source = case
            .service
            .status
            .as_mut()
            .and_then(|it| it.source.as_mut());
        let source = source.expect("a source");
        if status == "skipped" {
            source.built_commit = Some("0".repeat(40));
        }
        let now = if spec == "changed" { "other" } else { &inputs };
        let found = Found {
            commit: Some(LATER.to_owned()),
            ..Found::default()
        };
        let ask = Ask::between(&case.service, "shop-production", &found, now);
        ask.map(|ask| format!("{ask:?}"))
    };
    assert!(ask("", "").is_some_and(|it| it.contains(COMMIT)));
    let skipped = ask("skipped", "").expect("a question");
    assert!(skipped.contains(&"0".repeat(40)), "{skipped}");
    assert_eq!(ask("", "pinned"), None, "somebody asked for just that one");
    assert_eq!(ask("", "changed"), None, "it is built anyway");
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
    "#]],
    );
}

#[test]
fn a_build_that_succeeded_is_released() {
    let done = format!("phase: Succeeded, image: '{DIGEST}'");
    let case = taken(1, COMMIT, "    run: {env: [{name: A, value: b}]}\n")
        + "builds:\n"
        + &build(1, COMMIT, &done);
    check(
        &case,
        found(COMMIT),
        &expect![[r#"
        source: 1 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
        release: web-1 1.1 registry.example.com/apps/shop/web env=1
        Ready=False Progressing: releases Deployment web-1
        Reconciling=True Progressing: releases Deployment web-1
        SourceReady=True Ready: found commit 3f2c8a1 at refs/heads/main
        BuildSucceeded=True Ready: Build web-1 made registry.example.com/apps/shop/web@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
        Available=False NoRelease: no release serves yet
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
    "#]],
    );
}

#[test]
fn a_build_that_finishes_late_is_not_released() {
    let done = format!("phase: Succeeded, image: '{DIGEST}'");
    let case = taken(3, LATER, "")
        + "builds:\n"
        + &build(2, COMMIT, &done)
        + &build(3, LATER, &done)
        + "releases:\n"
        + &release(3, 1, LATER, "phase: Active");
    check(
        &case,
        found(LATER),
        &expect![[r#"
        source: 3 a000000000000000000000000000000000000001
        active: web-3
        Ready=True Ready: Deployment web-3 serves commit a000000 with 1 of 1 pods
        SourceReady=True Ready: found commit a000000 at refs/heads/main
        BuildSucceeded=True Ready: Build web-3 made registry.example.com/apps/shop/web@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
        Available=True Ready: 1 of 1 pods are available
    "#]],
    );
}

#[test]
fn a_changed_configuration_is_a_release_of_the_same_image() {
    let case = taken(1, COMMIT, "    run: {env: [{name: A, value: b}]}\n")
        + "releases:\n"
        + &release(1, 1, COMMIT, "phase: Active");
    check(
        &case,
        found(COMMIT),
        &expect![[r#"
        source: 1 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
        release: web-1-2 1.2 registry.example.com/apps/shop/web env=1
        active: web-1
        Ready=False Progressing: releases Deployment web-1-2; Deployment web-1 keeps serving
        Reconciling=True Progressing: releases Deployment web-1-2; Deployment web-1 keeps serving
        SourceReady=True Ready: found commit 3f2c8a1 at refs/heads/main
        BuildSucceeded=Unknown Progressing: no Build yet
        Available=True Ready: 1 of 1 pods are available
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
    "#]],
    );
}

#[test]
fn a_serving_release_is_ready() {
    let case = taken(1, COMMIT, "") + "releases:\n" + &release(1, 1, COMMIT, "phase: Active");
    check(
        &case,
        found(COMMIT),
        &expect![[r#"
        source: 1 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
        active: web-1
        Ready=True Ready: Deployment web-1 serves commit 3f2c8a1 with 1 of 1 pods
        SourceReady=True Ready: found commit 3f2c8a1 at refs/heads/main
        BuildSucceeded=Unknown Progressing: no Build yet
        Available=True Ready: 1 of 1 pods are available
    "#]],
    );
}

#[test]
fn a_release_that_went_back_is_stalled() {
    let failure = "phase: RolledBack, failure: {reason: CrashLoop, message: 'it ends with exit code 1', retryable: false}";
    let case = taken(2, LATER, "")
        + "releases:\n"
        + &release(1, 1, COMMIT, "phase: Active")
        + &release(2, 1, LATER, failure);
    check(
        &case,
        found(LATER),
        &expect![[r#"
        source: 2 a000000000000000000000000000000000000001
        active: web-1
        Ready=False CrashLoop: Deployment web-2 failed: it ends with exit code 1 ('kubectl describe tdep web-2' has the log); Deployment web-1 keeps serving
        Stalled=True CrashLoop: Deployment web-2 failed: it ends with exit code 1 ('kubectl describe tdep web-2' has the log); Deployment web-1 keeps serving
        SourceReady=True Ready: found commit a000000 at refs/heads/main
        BuildSucceeded=Unknown Progressing: no Build yet
        Available=True Ready: 1 of 1 pods are available
    "#]],
    );
}

#[test]
fn a_host_that_is_away_changes_nothing_for_what_serves() {
    let case = taken(1, COMMIT, "") + "releases:\n" + &release(1, 1, COMMIT, "phase: Active");
    let look = Look::Failed(
        Reason::HostUnreachable,
        "git.example.com did not answer".to_owned(),
    );
    check(
        &case,
        look,
        &expect![[r#"
        source: 1 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
        active: web-1
        Ready=True Ready: Deployment web-1 serves commit 3f2c8a1 with 1 of 1 pods
        SourceReady=False HostUnreachable: git.example.com did not answer
        BuildSucceeded=Unknown Progressing: no Build yet
        Available=True Ready: 1 of 1 pods are available
    "#]],
    );
}

#[test]
fn a_source_that_cannot_be_read_is_named() {
    let look = Look::Failed(
        Reason::AuthenticationFailed,
        "the host refused the credentials of Secret shop-git".to_owned(),
    );
    check(
        &service(""),
        look,
        &expect![[r#"
        Ready=False AuthenticationFailed: the host refused the credentials of Secret shop-git
        Stalled=True AuthenticationFailed: the host refused the credentials of Secret shop-git
        SourceReady=False AuthenticationFailed: the host refused the credentials of Secret shop-git
        BuildSucceeded=Unknown Progressing: no Build yet
        Available=False NoRelease: no release serves yet
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
    "#]],
    );
}

#[test]
fn a_pin_holds_and_a_wrong_one_is_named() {
    let releases = "releases:\n".to_owned()
        + &release(1, 1, COMMIT, "phase: Active")
        + &release(2, 1, LATER, "phase: Pending");
    let case = taken(2, LATER, "    pin: web-1\n") + &releases;
    check(
        &case,
        found(LATER),
        &expect![[r#"
        source: 2 a000000000000000000000000000000000000001
        active: web-1
        Ready=True Ready: Deployment web-1 serves commit 3f2c8a1 with 1 of 1 pods; pinned, so nothing newer is released until spec.pin is removed
        SourceReady=True Ready: found commit a000000 at refs/heads/main
        BuildSucceeded=Unknown Progressing: no Build yet
        Available=True Ready: 1 of 1 pods are available
    "#]],
    );
    let case = taken(2, LATER, "    pin: web-9\n") + &releases;
    check(
        &case,
        found(LATER),
        &expect![[r#"
        source: 2 a000000000000000000000000000000000000001
        active: web-1
        Ready=False ReferenceMissing: Deployment web-9, which spec.pin names, does not exist: name one that 'kubectl get tdep' shows, or remove the pin; Deployment web-1 keeps serving
        Stalled=True ReferenceMissing: Deployment web-9, which spec.pin names, does not exist: name one that 'kubectl get tdep' shows, or remove the pin; Deployment web-1 keeps serving
        SourceReady=True Ready: found commit a000000 at refs/heads/main
        BuildSucceeded=Unknown Progressing: no Build yet
        Available=True Ready: 1 of 1 pods are available
    "#]],
    );
}

#[test]
fn lost_status_takes_up_the_number_of_the_build_that_exists() {
    let case = service("") + "builds:\n" + &build(7, COMMIT, "phase: Building");
    check(
        &case,
        found(COMMIT),
        &expect![[r#"
        source: 7 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
        Ready=False Progressing: takes up commit 3f2c8a1
        Reconciling=True Progressing: takes up commit 3f2c8a1
        SourceReady=True Ready: found commit 3f2c8a1 at refs/heads/main
        BuildSucceeded=Unknown Progressing: Build web-7: building
        Available=False NoRelease: no release serves yet
    "#]],
    );
}

#[test]
fn an_image_is_released_by_digest_without_a_build() {
    let case = "service:\n  metadata: {name: web, namespace: shop-production, uid: u-web, generation: 1}\n  spec: {source: {image: {reference: 'ghcr.io/acme/web:1.4', pullSecretRef: {name: ghcr}}}}\n".to_owned()
        + &format!("  status: {{source: {{sequence: 1, image: '{DIGEST}'}}}}\n");
    let look = Look::Found(Found {
        image: Some(DIGEST.to_owned()),
        ..Found::default()
    });
    check(
        &case,
        look,
        &expect![[r#"
        source: 1 registry.example.com/apps/shop/web@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
        release: web-1 1.1 registry.example.com/apps/shop/web env=0
        Ready=False Progressing: releases Deployment web-1
        Reconciling=True Progressing: releases Deployment web-1
        SourceReady=True Ready: found image registry.example.com/apps/shop/web@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
        Available=False NoRelease: no release serves yet
    "#]],
    );
}

#[test]
fn history_keeps_what_there_is_to_go_back_to() {
    let ended = "phase: Failed, failure: {reason: BuildFailed, message: no, retryable: false}";
    let mut case = taken(5, LATER, "    rollout: {historyLimit: 1}\n") + "builds:\n";
    for sequence in 1..=5 {
        case += &build(sequence, COMMIT, ended);
    }
    case += "releases:\n";
    case += &release(
        1,
        1,
        COMMIT,
        "phase: Superseded, activeSince: 2026-01-01T00:00:00Z",
    );
    case += &release(2, 1, COMMIT, "phase: Failed");
    case += &release(3, 1, COMMIT, "phase: Failed");
    case += &release(4, 1, COMMIT, "phase: RolledBack");
    check(
        &case,
        found(LATER),
        &expect![[r#"
        source: 5 a000000000000000000000000000000000000001
        remove build: web-3
        remove build: web-2
        remove build: web-1
        remove release: web-2
        Ready=False BuildFailed: Build web-5 of commit 3f2c8a1 failed: no ('kubectl describe tbuild web-5' has the log)
        Stalled=True BuildFailed: Build web-5 of commit 3f2c8a1 failed: no ('kubectl describe tbuild web-5' has the log)
        SourceReady=True Ready: found commit a000000 at refs/heads/main
        BuildSucceeded=False BuildFailed: Build web-5: no
        Available=False NoRelease: no release serves yet
    "#]],
    );
}

#[test]
fn a_build_stays_for_as_long_as_a_release_refers_to_its_image() {
    let mut case = taken(5, LATER, "    rollout: {historyLimit: 1}\n") + "builds:\n";
    for sequence in 1..=5 {
        let image = match sequence {
            1 | 2 => format!("phase: Succeeded, image: '{DIGEST}'"),
            _ => format!("phase: Succeeded, image: 'example.com/web-{sequence}@sha256:0'"),
        };
        case += &build(sequence, COMMIT, &image);
    }
    case += "releases:\n";
    case += &release(
        1,
        1,
        COMMIT,
        "phase: Active, activeSince: 2026-01-01T00:00:00Z",
    );
    check(
        &case,
        found(LATER),
        &expect![[r#"
        source: 5 a000000000000000000000000000000000000001
        release: web-5 5.1 example.com/web-5 env=0
        remove build: web-3
        active: web-1
        Ready=False Progressing: releases Deployment web-5; Deployment web-1 keeps serving
        Reconciling=True Progressing: releases Deployment web-5; Deployment web-1 keeps serving
        SourceReady=True Ready: found commit a000000 at refs/heads/main
        BuildSucceeded=True Ready: Build web-5 made example.com/web-5@sha256:0
        Available=True Ready: 1 of 1 pods are available
    "#]],
    );
}

#[test]
fn builds_are_not_held_where_images_are_to_stay() {
    let case: Case = serde_saphyr::from_str(&taken(1, COMMIT, "")).expect("the case is YAML");
    let seen = seen(&case, found(COMMIT));
    let held = |config: &Config| {
        let plan = plan(&case.service, &seen, config, now());
        plan.children.build.expect("a Build").finalizers().to_vec()
    };
    let mut config = Config::example();
    assert_eq!(held(&config), ["trackbed.dev/image"]);
    config.registry.remove_images = false;
    assert!(held(&config).is_empty());
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
