//! What becomes of images: YAML in (the Build and what is around it), the next step out.

use std::sync::Arc;

use expect_test::{Expect, expect};
use jiff::Timestamp;
use serde::Deserialize;
use trackbed_api::{Build, Deployment, Service};
use trackbed_build::{
    plan::fate::{Around, End, Next, after, asked, image, next},
    registry::Answer,
};

const COMMIT: &str = "3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6";
const LATER: &str = "a000000000000000000000000000000000000001";
const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const REPOSITORY: &str = "registry.example.com:5000/apps/shop/web";
const GONE: &str = "deletionTimestamp: 2023-11-14T22:13:20Z";
/// The time in [`GONE`].
const DELETED: i64 = 1_700_000_000;

/// What is around a Build; everything may be left out.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Case {
    builds: Vec<Build>,
    unfinished: Vec<(Build, String)>,
    releases: Vec<Deployment>,
    services: Vec<Service>,
}

impl From<Case> for Around {
    fn from(case: Case) -> Self {
        let Case {
            builds,
            unfinished,
            releases,
            services,
        } = case;
        Self {
            builds: builds.into_iter().map(Arc::new).collect(),
            unfinished: unfinished
                .into_iter()
                .map(|(build, target)| (Arc::new(build), target))
                .collect(),
            releases: releases.into_iter().map(Arc::new).collect(),
            services: services.into_iter().map(Arc::new).collect(),
        }
    }
}

/// A Build in one line of YAML.
fn build(name: &str, more: &str, spec: &str, status: &str) -> String {
    format!(
        "{{metadata: {{name: {name}, namespace: shop-production, uid: u-{name}, {more}}}, spec: {{service: web, sequence: 1, source: {{git: {{url: 'https://git.example.com/acme/shop', commit: {COMMIT}}}}}, {spec}}}, status: {{{status}}}}}"
    )
}

fn pushed() -> String {
    format!("phase: Succeeded, image: '{REPOSITORY}@sha256:{HEX}'")
}

fn deleted() -> Build {
    parse(&build("web-1", GONE, "", &pushed()))
}

fn parse<T: serde::de::DeserializeOwned>(yaml: &str) -> T {
    serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

fn at(age: i64) -> Timestamp {
    Timestamp::from_second(DELETED + age).expect("a time")
}

fn words(next: Next) -> String {
    let text = match next {
        Next::Release(None) => "release".to_owned(),
        Next::Release(Some(End::Removed(note))) => format!("release, removed: {note}"),
        Next::Release(Some(End::Used(note))) => format!("release, used: {note}"),
        Next::Release(Some(End::Left(note))) => format!("release, left: {note}"),
        Next::Wait(pause) => format!("wait {} s", pause.as_secs()),
        Next::Remove => "remove".to_owned(),
    };
    text.replace(HEX, "…")
}

/// The next step at once, and after 10, 100, 299, and 300 seconds.
fn check(around: &str, expected: &Expect) {
    let around: Around = parse::<Case>(around).into();
    let steps = [0, 10, 100, 299, 300].map(|age| {
        let next = next(&deleted(), &around, true, at(age));
        format!("{age}: {}\n", words(next))
    });
    expected.assert_eq(&steps.concat());
}

#[test]
fn an_image_that_nothing_uses_is_removed_at_any_time() {
    let own = build("web-1", GONE, "", &pushed());
    let going = build("web-2", GONE, "", &pushed());
    for around in ["{}", &format!("builds: [{own}, {going}]")] {
        check(
            around,
            &expect![[r#"
                0: remove
                10: remove
                100: remove
                299: remove
                300: remove
            "#]],
        );
    }
}

#[test]
fn without_an_image_of_its_service_a_build_goes_at_once() {
    let elsewhere = "image: 'registry.example.com/acme/web:1'";
    for (what, object, removes) in [
        ("running", build("web-1", GONE, "", "phase: Building"), true),
        ("failed", build("web-1", GONE, "", "phase: Failed"), true),
        (
            "own place",
            build("web-1", GONE, elsewhere, &pushed()),
            true,
        ),
        ("turned off", build("web-1", GONE, "", &pushed()), false),
    ] {
        let next = next(&parse(&object), &Around::default(), removes, at(0));
        assert_eq!(next, Next::Release(None), "{what}");
    }
    let object: Build = parse(&build("web-1", GONE, elsewhere, &pushed()));
    assert_eq!(image(&object), None);
}

#[test]
fn an_image_that_another_build_has_is_left_to_that() {
    let other = build("web-2", "", "", &pushed());
    check(
        &format!("builds: [{other}]"),
        &expect![[r#"
            0: wait 10 s
            10: release, used: keeps registry.example.com:5000/apps/shop/web@sha256:…: Build web-2 has the same image
            100: release, used: keeps registry.example.com:5000/apps/shop/web@sha256:…: Build web-2 has the same image
            299: release, used: keeps registry.example.com:5000/apps/shop/web@sha256:…: Build web-2 has the same image
            300: release, used: keeps registry.example.com:5000/apps/shop/web@sha256:…: Build web-2 has the same image
        "#]],
    );
    let elsewhere = pushed().replace("/apps/", "/others/");
    let elsewhere = build("web-2", "", "", &elsewhere);
    check(
        &format!("builds: [{elsewhere}]"),
        &expect![[r#"
            0: remove
            10: remove
            100: remove
            299: remove
            300: remove
        "#]],
    );
}

fn release(namespace: &str, more: &str, hex: &str) -> String {
    format!(
        "{{metadata: {{name: web-1, namespace: {namespace}, {more}}}, spec: {{service: web, sequence: 1, image: 'mirror.example.com/web@sha256:{hex}'}}}}"
    )
}

/// The step after ten seconds.
fn settled(around: &str) -> String {
    let around: Around = parse::<Case>(around).into();
    words(next(&deleted(), &around, true, at(10)))
}

#[test]
fn a_release_keeps_an_image_unless_it_goes_too() {
    let owner = |uid: &str| {
        format!(
            "ownerReferences: [{{apiVersion: trackbed.dev/v1alpha1, kind: Service, name: web, uid: {uid}, controller: true}}]"
        )
    };
    let service = |uid: &str, more: &str| {
        format!(
            "{{metadata: {{name: web, namespace: shop-production, uid: {uid}, {more}}}, spec: {{source: {{}}}}}}"
        )
    };
    let here = |more: &str| release("shop-production", more, HEX);
    let around =
        |release: &str, service: &str| format!("releases: [{release}]\nservices: [{service}]");
    let kept = [
        ("written by hand", here(""), String::new()),
        (
            "its Service lives",
            here(&owner("u-web")),
            service("u-web", ""),
        ),
        (
            "elsewhere",
            release("blog-production", "", HEX),
            String::new(),
        ),
    ];
    for (what, release, service) in kept {
        let step = settled(&around(&release, &service));
        assert!(step.starts_with("release, used: keeps"), "{what}: {step}");
        assert!(!step.contains("blog"), "{what}: {step}");
    }
    let other = HEX.replace('0', "f");
    let removed = [
        ("being deleted", here(GONE), String::new()),
        ("its Service is gone", here(&owner("u-web")), String::new()),
        (
            "its Service is being deleted",
            here(&owner("u-web")),
            service("u-web", GONE),
        ),
        (
            "its Service was made again",
            here(&owner("u-web")),
            service("u-new", ""),
        ),
        (
            "another image",
            release("shop-production", "", &other),
            String::new(),
        ),
    ];
    for (what, release, service) in removed {
        assert_eq!(settled(&around(&release, &service)), "remove", "{what}");
    }
}

#[test]
fn a_build_that_may_push_the_same_image_is_waited_for() {
    let target = format!("{REPOSITORY}:{COMMIT}");
    let running = build("web-2", "", "", "phase: Building");
    check(
        &format!("unfinished: [[{running}, '{target}']]"),
        &expect![[r#"
            0: wait 5 s
            10: wait 5 s
            100: wait 50 s
            299: wait 1 s
            300: release, left: registry.example.com:5000/apps/shop/web@sha256:… stays in the registry: Build web-2 of the same commit has not ended yet, and may be pushing it
        "#]],
    );
    for same in [
        format!("apps/shop/web:{COMMIT}"),
        format!("localhost/apps/shop/web:{COMMIT}"),
        format!("localhost:5000/apps/shop/web:{COMMIT}"),
        "mirror.example.com/apps/shop/web".to_owned(),
    ] {
        let around = format!("unfinished: [[{running}, '{same}']]");
        assert_ne!(settled(&around), "remove", "{same}");
    }
    let cases = [
        (
            "itself",
            build("web-1", "", "", "phase: Building"),
            target.clone(),
        ),
        (
            "being deleted",
            build("web-2", GONE, "", "phase: Building"),
            target.clone(),
        ),
        (
            "ended",
            build("web-2", "", "", "phase: Failed"),
            target.clone(),
        ),
        ("another commit", running.replace(COMMIT, LATER), target),
        (
            "another place",
            running,
            "registry.example.com:5000/apps/shop/api:1".to_owned(),
        ),
    ];
    for (what, other, target) in cases {
        let around = format!("unfinished: [[{other}, '{target}']]");
        assert_eq!(settled(&around), "remove", "{what}");
    }
}

#[test]
fn a_registry_decides_and_one_that_does_not_answer_is_asked_again() {
    let mut out = String::new();
    for answer in [
        Answer::Removed,
        Answer::Absent,
        Answer::Unsupported,
        Answer::Unauthorized,
        Answer::Refused("HTTP 400".to_owned()),
    ] {
        let next = after(&deleted(), answer, at(0));
        out += &format!("{}\n", words(next));
    }
    for age in [0, 20, 200, 265, 270, 4000] {
        let answer = Answer::Unavailable("HTTP 503".to_owned());
        let next = after(&deleted(), answer, at(age));
        out += &format!("{age}: {}\n", words(next));
    }
    expect![[r#"
        release, removed: removed registry.example.com:5000/apps/shop/web@sha256:… from the registry
        release, removed: registry.example.com:5000/apps/shop/web@sha256:… was not in the registry any more
        release, left: registry.example.com:5000/apps/shop/web@sha256:… stays in the registry: the registry removes no images: have deletion enabled there, or turn registry.removeImages off in the operator's settings
        release, left: registry.example.com:5000/apps/shop/web@sha256:… stays in the registry: the registry refused to remove it: give the user that pushes the right to delete, too
        release, left: registry.example.com:5000/apps/shop/web@sha256:… stays in the registry: the registry refused to remove it: HTTP 400
        0: wait 5 s
        20: wait 10 s
        200: wait 60 s
        265: wait 5 s
        270: release, left: registry.example.com:5000/apps/shop/web@sha256:… stays in the registry: the registry could not be asked to remove it: HTTP 503
        4000: release, left: registry.example.com:5000/apps/shop/web@sha256:… stays in the registry: the registry could not be asked to remove it: HTTP 503
    "#]].assert_eq(&out);
}

#[test]
fn no_answer_is_waited_for_longer_than_five_minutes() {
    // Asked at one time, looked at at another.
    let steps = [
        (0, 0),
        (0, 299),
        (0, 300),
        (270, 299),
        (270, 300),
        (4000, 4010),
        (4000, 4030),
    ];
    let steps = steps.map(|(since, now)| {
        let next = asked(&deleted(), at(since), at(now));
        format!("{since} {now}: {}\n", words(next))
    });
    expect![[r#"
        0 0: wait 300 s
        0 299: wait 1 s
        0 300: release, left: registry.example.com:5000/apps/shop/web@sha256:… stays in the registry: the registry could not be asked in time
        270 299: wait 1 s
        270 300: release, left: registry.example.com:5000/apps/shop/web@sha256:… stays in the registry: the registry could not be asked in time
        4000 4010: wait 20 s
        4000 4030: release, left: registry.example.com:5000/apps/shop/web@sha256:… stays in the registry: the registry could not be asked in time
    "#]].assert_eq(&steps.concat());
}
