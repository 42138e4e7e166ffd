//! What forges are told: YAML in (the Service and what was seen), lines out.

use std::{fmt::Write, sync::Arc};

use expect_test::{Expect, expect};
use jiff::Timestamp;
use serde::Deserialize;
use trackbed_api::{
    Build, Deployment, Service,
    reason::Reason,
    service::{CommitState, CommitStatus},
};
use trackbed_kit::Config;
use trackbed_service::{
    observe::{Place, Seen},
    plan::plan,
    reports::Told,
    source::{Found, Look},
};

const COMMIT: &str = "3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6";
const IMAGE: &str = "registry.example.com/apps/shop/web@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[derive(Deserialize)]
struct Case {
    service: Service,
    #[serde(default)]
    builds: Vec<Build>,
    #[serde(default)]
    releases: Vec<Deployment>,
}

/// A Service that has taken up the commit, and what became of it.
fn case(status: &str, rest: &str) -> String {
    format!(
        "service:
  metadata: {{name: web, namespace: shop-production, uid: u-web, generation: 1}}
  spec:
    source:
      git: {{url: 'https://git.example.com/acme/shop', branch: main, statuses: {{secretRef: {{name: forge}}, forge: Gitea}}}}
  status: {{source: {{sequence: 4, commit: {COMMIT}, ref: refs/heads/main}}{status}}}
{rest}"
    )
}

fn build(status: &str) -> String {
    format!(
        "builds:\n- metadata: {{name: web-4, namespace: shop-production}}\n  spec: {{service: web, sequence: 4, source: {{git: {{url: 'https://git.example.com/acme/shop', commit: {COMMIT}}}}}}}\n  status: {{{status}}}\n"
    )
}

fn release(sequence: i64, revision: i32, status: &str) -> String {
    format!(
        "- metadata: {{name: web-{sequence}-{revision}, namespace: shop-production}}\n  spec: {{service: web, sequence: {sequence}, revision: {revision}, image: '{IMAGE}', run: {{}}}}\n  status: {{{status}}}\n"
    )
}

fn summary(yaml: &str, told: Option<Told>) -> String {
    let case: Case = serde_saphyr::from_str(yaml).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    let found = Found {
        commit: Some(COMMIT.to_owned()),
        r#ref: Some("refs/heads/main".to_owned()),
        ..Found::default()
    };
    let seen = Seen {
        place: Some(Place {
            preview_of: None,
            project: "shop".to_owned(),
            environment: "production".to_owned(),
        }),
        builds: case.builds.into_iter().map(Arc::new).collect(),
        releases: case.releases.into_iter().map(Arc::new).collect(),
        look: match case
            .service
            .status
            .as_ref()
            .and_then(|it| it.source.as_ref())
        {
            // The same inputs, so that nothing new is taken up.
            Some(_) => Look::Unknown,
            None => Look::Found(found),
        },
        told,
        ..Seen::default()
    };
    let now = Timestamp::from_second(1_700_000_000).expect("a time");
    let plan = plan(&case.service, &seen, &Config::example(), now);
    let mut out = String::new();
    if let Some(report) = plan.children.report {
        let commit = &report.status.commit[..7];
        writeln!(
            out,
            "tell {}: {} {commit} is {:?}: {} ({})",
            report.repository,
            report.context,
            report.status.state,
            report.description,
            report.url.as_deref().unwrap_or("-")
        )
        .expect("text");
    }
    if let Some(CommitStatus { state, .. }) = plan.outcome.status.commit_status {
        writeln!(out, "status: {state:?}").expect("text");
    }
    let mut facts = plan.outcome.facts.iter();
    if let Some(fact) = facts.find(|fact| fact.kind == "CommitStatusPosted") {
        writeln!(out, "{:?} {}: {}", fact.status, fact.reason, fact.message).expect("text");
    }
    out
}

fn check(yaml: &str, expected: &Expect) {
    expected.assert_eq(&summary(yaml, None));
}

fn told(state: CommitState, outcome: Result<(), (Reason, String)>) -> Told {
    Told {
        status: CommitStatus {
            commit: COMMIT.to_owned(),
            state,
        },
        outcome,
    }
}

#[test]
fn a_commit_is_pending_until_it_serves() {
    check(
        &case("", ""),
        &expect![[r#"
        tell https://git.example.com/acme/shop: trackbed/shop-production/web 3f2c8a1 is Pending: waits for its build (https://web-shop.apps.example.com)
        None Progressing: the forge is being told
    "#]],
    );
    check(
        &case("", &build("phase: Building")),
        &expect![[r#"
        tell https://git.example.com/acme/shop: trackbed/shop-production/web 3f2c8a1 is Pending: is being built (https://web-shop.apps.example.com)
        None Progressing: the forge is being told
    "#]],
    );
    let done = build(&format!("phase: Succeeded, image: '{IMAGE}'"));
    check(
        &case("", &done),
        &expect![[r#"
        tell https://git.example.com/acme/shop: trackbed/shop-production/web 3f2c8a1 is Pending: is being built (https://web-shop.apps.example.com)
        None Progressing: the forge is being told
    "#]],
    );
    let progressing = done + "releases:\n" + &release(4, 1, "phase: Progressing");
    check(
        &case("", &progressing),
        &expect![[r#"
        tell https://git.example.com/acme/shop: trackbed/shop-production/web 3f2c8a1 is Pending: is being released (https://web-shop.apps.example.com)
        None Progressing: the forge is being told
    "#]],
    );
}

#[test]
fn a_commit_that_serves_is_a_success_whatever_follows() {
    let active = "releases:\n".to_owned()
        + &release(4, 1, "phase: Active, activeSince: '2023-11-14T22:13:20Z'");
    check(
        &case("", &active),
        &expect![[r#"
        tell https://git.example.com/acme/shop: trackbed/shop-production/web 3f2c8a1 is Success: serves (https://web-shop.apps.example.com)
        None Progressing: the forge is being told
    "#]],
    );
    let failed = "failure: {reason: CrashLoop, message: 'it ends', retryable: false}";
    let reconfigured = active + &release(4, 2, &format!("phase: Failed, {failed}"));
    check(
        &case("", &reconfigured),
        &expect![[r#"
        tell https://git.example.com/acme/shop: trackbed/shop-production/web 3f2c8a1 is Success: serves (https://web-shop.apps.example.com)
        None Progressing: the forge is being told
    "#]],
    );
}

#[test]
fn what_went_wrong_is_said() {
    let failure = "failure: {reason: BuildFailed, message: 'RUN make ended with exit code 2', retryable: false}";
    check(
        &case("", &build(&format!("phase: Failed, {failure}"))),
        &expect![[r#"
        tell https://git.example.com/acme/shop: trackbed/shop-production/web 3f2c8a1 is Failure: RUN make ended with exit code 2 (https://web-shop.apps.example.com)
        None Progressing: the forge is being told
    "#]],
    );
    check(
        &case("", &build("phase: Cancelled")),
        &expect![[r#"
        tell https://git.example.com/acme/shop: trackbed/shop-production/web 3f2c8a1 is Failure: its build was cancelled (https://web-shop.apps.example.com)
        None Progressing: the forge is being told
    "#]],
    );
    check(
        &case("", &build("phase: Superseded")),
        &expect![[r#"
        tell https://git.example.com/acme/shop: trackbed/shop-production/web 3f2c8a1 is Failure: its build gave way to a newer one (https://web-shop.apps.example.com)
        None Progressing: the forge is being told
    "#]],
    );
    let failure =
        "failure: {reason: CrashLoop, message: 'it ends with exit code 1', retryable: false}";
    let release =
        "releases:\n".to_owned() + &release(4, 1, &format!("phase: RolledBack, {failure}"));
    check(
        &case("", &release),
        &expect![[r#"
        tell https://git.example.com/acme/shop: trackbed/shop-production/web 3f2c8a1 is Failure: it ends with exit code 1 (https://web-shop.apps.example.com)
        None Progressing: the forge is being told
    "#]],
    );
}

#[test]
fn a_commit_that_touches_nothing_is_a_success() {
    let untouched = case("", "").replace(
        "sequence: 4,",
        &format!("sequence: 4, builtCommit: {},", "a".repeat(40)),
    );
    check(
        &untouched,
        &expect![[r#"
        tell https://git.example.com/acme/shop: trackbed/shop-production/web 3f2c8a1 is Success: touches nothing that the Service watches (https://web-shop.apps.example.com)
        None Progressing: the forge is being told
    "#]],
    );
}

#[test]
fn what_the_forge_knows_is_not_said_again() {
    let knows = format!(", commitStatus: {{commit: {COMMIT}, state: Pending}}");
    check(
        &case(&knows, &build("phase: Building")),
        &expect![[r#"
        status: Pending
        Some(true) Ready: the forge knows commit 3f2c8a1 as pending
    "#]],
    );
    let failed = build("phase: Cancelled");
    check(
        &case(&knows, &failed),
        &expect![[r#"
        tell https://git.example.com/acme/shop: trackbed/shop-production/web 3f2c8a1 is Failure: its build was cancelled (https://web-shop.apps.example.com)
        status: Pending
        None Progressing: the forge is being told
    "#]],
    );
    let taken = summary(&case("", &failed), Some(told(CommitState::Failure, Ok(()))));
    expect![[r#"
        status: Failure
        Some(true) Ready: the forge knows commit 3f2c8a1 as failure
    "#]]
    .assert_eq(&taken);
}

#[test]
fn a_forge_that_does_not_listen_is_named() {
    let refused = (
        Reason::CommitStatusRefused,
        "the forge does not accept the token".to_owned(),
    );
    let building = case("", &build("phase: Building"));
    let said = summary(&building, Some(told(CommitState::Pending, Err(refused))));
    expect![[r#"
        tell https://git.example.com/acme/shop: trackbed/shop-production/web 3f2c8a1 is Pending: is being built (https://web-shop.apps.example.com)
        Some(false) CommitStatusRefused: the forge does not accept the token
    "#]].assert_eq(&said);
}

#[test]
fn nobody_is_told_who_was_not_named() {
    let quiet = case("", &build("phase: Building"))
        .replace(", statuses: {secretRef: {name: forge}, forge: Gitea}", "");
    check(&quiet, &expect![[""]]);
    let suspended = case("", &build("phase: Building"))
        .replace("    source:", "    suspend: true\n    source:");
    check(
        &suspended,
        &expect![[r#"
        None Progressing: no commit yet
    "#]],
    );
}
