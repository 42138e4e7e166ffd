//! What is released: of new images, of other configurations, and by pins.

use std::sync::Arc;

use expect_test::expect;
use kube::ResourceExt;
use trackbed_kit::Config;
use trackbed_service::{
    plan::plan,
    source::{Found, Look},
};

use crate::{COMMIT, Case, DIGEST, LATER, build, check, found, now, release, seen, taken};

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
            HostsReady=True Ready: has web-shop.apps.example.com
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
            HostsReady=True Ready: has web-shop.apps.example.com
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
            HostsReady=True Ready: has web-shop.apps.example.com
        "#]],
    );
}

#[test]
fn a_changed_secret_is_a_release_of_the_same_image() {
    let yaml = taken(2, COMMIT, "")
        + "builds:\n"
        + &build(2, COMMIT, &format!("phase: Succeeded, image: '{DIGEST}'"))
        + "releases:\n"
        + &release(2, 1, COMMIT, "phase: Active");
    let case: Case = serde_saphyr::from_str(&yaml).expect("the case is YAML");
    let mut seen = seen(&case, found(COMMIT));
    let config = Config::example();
    let same = plan(&case.service, &seen, &config, now());
    assert!(same.children.release.is_none());
    seen.rotated = vec!["KEY".to_owned(), "TOKEN".to_owned()];
    let next = plan(&case.service, &seen, &config, now()).children.release;
    let next = next.expect("a release");
    assert_eq!(next.name_any(), "web-2-2");
    let cause = next.annotations().get("trackbed.dev/cause");
    assert_eq!(
        cause.map(String::as_str),
        Some("the content of KEY, TOKEN changed")
    );
    let before = &case.releases[0].spec;
    assert_eq!((next.spec.sequence, &next.spec.run), (2, &before.run));
}

#[test]
fn variables_of_the_project_are_part_of_the_release() {
    let yaml = taken(2, COMMIT, "    run: {env: [{name: A, value: service}]}\n")
        + "builds:\n"
        + &build(2, COMMIT, &format!("phase: Succeeded, image: '{DIGEST}'"));
    let case: Case = serde_saphyr::from_str(&yaml).expect("the case is YAML");
    let project = "{metadata: {name: shop}, spec: {env: [{name: A, value: project}, {name: B, value: project}, {name: C, value: project}], environments: [{name: staging, env: [{name: C, value: staging}]}, {name: production, env: [{name: B, value: production}]}]}}";
    let mut seen = seen(&case, found(COMMIT));
    seen.project = Some(Arc::new(
        serde_saphyr::from_str(project).expect("a Project"),
    ));
    let next = plan(&case.service, &seen, &Config::example(), now());
    let env = next.children.release.expect("a release").spec.run.env;
    let env = env.iter().map(|it| {
        let value = it.value.as_deref().unwrap_or_default();
        format!("{}={value}", it.name)
    });
    assert_eq!(
        env.collect::<Vec<_>>(),
        ["A=service", "B=production", "C=project"]
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
            HostsReady=True Ready: has web-shop.apps.example.com
        "#]],
    );
}

#[test]
fn a_release_that_went_back_is_stalled() {
    let failure = "phase: RolledBack, failure: {reason: CrashLoop, message: 'it ends with exit code 1', retryable: false}, logTail: \"one\\ntwo\\n\\nthree\\n  four\"";
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
            Ready=False CrashLoop: Deployment web-2 failed: it ends with exit code 1; its last words: two / three / four ('kubectl describe tdep web-2' has the log); Deployment web-1 keeps serving
            Stalled=True CrashLoop: Deployment web-2 failed: it ends with exit code 1; its last words: two / three / four ('kubectl describe tdep web-2' has the log); Deployment web-1 keeps serving
            SourceReady=True Ready: found commit a000000 at refs/heads/main
            BuildSucceeded=Unknown Progressing: no Build yet
            Available=True Ready: 1 of 1 pods are available
            HostsReady=True Ready: has web-shop.apps.example.com
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
            HostsReady=True Ready: has web-shop.apps.example.com
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
            HostsReady=True Ready: has web-shop.apps.example.com
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
            HostsReady=True Ready: has web-shop.apps.example.com
        "#]],
    );
}

#[test]
fn what_is_promoted_is_released_with_its_commit() {
    let plain = "service:\n  metadata: {name: web, namespace: shop-production, uid: u-web, generation: 1}\n  spec: {source: {promotion: {environment: staging}}}\n";
    let look = || {
        Look::Found(Found {
            commit: Some(COMMIT.to_owned()),
            image: Some(DIGEST.to_owned()),
            ..Found::default()
        })
    };
    let yaml = format!(
        "{plain}  status: {{source: {{sequence: 4, commit: {COMMIT}, image: '{DIGEST}'}}}}\n"
    );
    let case: Case = serde_saphyr::from_str(&yaml).expect("the case is YAML");
    let plan = plan(
        &case.service,
        &seen(&case, look()),
        &Config::example(),
        now(),
    );
    assert!(plan.children.build.is_none());
    let release = plan.children.release.expect("a release").spec;
    assert_eq!(release.image.as_str(), DIGEST);
    assert_eq!(release.commit.as_deref(), Some(COMMIT));
    assert_eq!((release.sequence, release.build), (4, None));
}

/// While it was suspended the release was well with none, and says so until it is looked at again.
#[test]
fn a_service_is_ready_with_all_its_pods() {
    let case = taken(1, COMMIT, "    scale: {replicas: 2}\n")
        + "releases:\n"
        + &release(1, 1, COMMIT, "phase: Active");
    check(
        &case,
        found(COMMIT),
        &expect![[r#"
        source: 1 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
        active: web-1
        Ready=False Progressing: Deployment web-1 serves commit 3f2c8a1 with 1 of 2 pods
        Reconciling=True Progressing: Deployment web-1 serves commit 3f2c8a1 with 1 of 2 pods
        SourceReady=True Ready: found commit 3f2c8a1 at refs/heads/main
        BuildSucceeded=Unknown Progressing: no Build yet
        Available=True Ready: 1 of 2 pods are available
        HostsReady=True Ready: has web-shop.apps.example.com
    "#]],
    );
}
