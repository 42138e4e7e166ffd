//! What the source says, and what of it matters.

use expect_test::expect;
use trackbed_api::reason::Reason;
use trackbed_kit::Config;
use trackbed_service::{
    plan::plan,
    source::{Ask, Found, Look},
};

use crate::{
    COMMIT, Case, DIGEST, LATER, build, check, now, release, seen, service, taken, untouched,
};

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
            HostsReady=True Ready: has web-shop.apps.example.com
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
            HostsReady=True Ready: has web-shop.apps.example.com
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
            HostsReady=True Ready: has web-shop.apps.example.com
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
            HostsReady=True Ready: has web-shop.apps.example.com
        "#]],
    );
}
