//! How much of the past is kept, and what of it counts when the rest is lost.

use expect_test::expect;
use kube::ResourceExt;
use trackbed_kit::Config;
use trackbed_service::{observe::Seen, plan::plan};

use crate::{COMMIT, Case, DIGEST, LATER, build, check, found, now, release, seen, service, taken};

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
            HostsReady=True Ready: has web-shop.apps.example.com
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
            HostsReady=True Ready: has web-shop.apps.example.com
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
            HostsReady=True Ready: has web-shop.apps.example.com
        "#]],
    );
}

#[test]
fn a_build_stays_for_as_long_as_another_environment_runs_its_image() {
    let mut yaml = taken(9, COMMIT, "    rollout: {historyLimit: 1}\n") + "builds:\n";
    for number in 1..=3 {
        let image = DIGEST.replace("0123", &format!("000{number}"));
        yaml += &build(
            number,
            COMMIT,
            &format!("phase: Succeeded, image: '{image}'"),
        );
    }
    let case: Case = serde_saphyr::from_str(&yaml).expect("the case is YAML");
    let mut seen = seen(&case, found(COMMIT));
    let gone = |seen: &Seen| {
        let plan = plan(&case.service, seen, &Config::example(), now());
        let old = plan.children.old_builds.iter();
        old.map(|build| build.name_any()).collect::<Vec<_>>()
    };
    assert_eq!(gone(&seen), ["web-2", "web-1"]);
    seen.promoted = vec![DIGEST.replace("0123", "0001")];
    assert_eq!(gone(&seen), ["web-2"]);
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
