//! Previews: a Project and what stands in one of its environments in, what is to be in others out.

mod copies;
mod life;

use std::{fmt::Write, sync::Arc};

use expect_test::{Expect, expect};
use jiff::Timestamp;
use kube::ResourceExt;
use trackbed_api::{Project, Service};
use trackbed_project::plan::previews::{Environments, environments};

const STAGING: &str = r#"
- metadata: {name: web, namespace: shop-staging}
  spec:
    source: {git: {url: "https://git.example.com/acme/shop.git", webhook: {secretRef: {name: hook}, previews: true}}}
    scale: {replicas: 3}
    expose: {domains: [{host: shop.example.com}]}
    pin: web-3
    run:
      env: [{name: DATABASE_URL, valueFrom: {databaseRef: {name: db, key: uri}}}]
      volumes: [{name: files, mountPath: /files, size: 1Gi}]
- metadata: {name: worker, namespace: shop-staging}
  spec:
    source: {git: {url: "https://git.example.com/acme/shop", branch: main}}
    scale: {max: 5}
    run: {worker: true}
- metadata: {name: search, namespace: shop-staging}
  spec: {source: {git: {url: "https://git.example.com/acme/search"}}}
- metadata: {name: pinned, namespace: shop-staging}
  spec: {source: {git: {url: "https://git.example.com/acme/shop", tag: v1}}}
- metadata: {name: proxy, namespace: shop-staging}
  spec: {source: {image: {reference: "nginx:1"}}}
- metadata: {name: nightly, namespace: shop-staging}
  spec: {source: {image: {reference: "nightly:1"}}, cron: {schedule: "@daily"}}
- metadata: {name: secret-thing, namespace: shop-staging}
  spec: {source: {image: {reference: "thing:1"}}, preview: false}
"#;

fn project(spec: &str) -> Project {
    serde_saphyr::from_str(&format!("metadata: {{name: shop, uid: u}}\nspec: {spec}\n"))
        .expect("a Project")
}

/// The Services, of which `web` was told of these pull requests.
fn services(requests: &[(&str, &str)]) -> Vec<Arc<Service>> {
    let mut services: Vec<Service> = serde_saphyr::from_str(STAGING).expect("Services");
    for (name, request) in requests {
        let annotations = services[0].annotations_mut();
        annotations.insert(
            format!("preview.trackbed.dev/{name}"),
            (*request).to_owned(),
        );
    }
    services.into_iter().map(Arc::new).collect()
}

fn at(time: &str) -> Timestamp {
    time.parse().expect("a time")
}

const NOON: &str = "2026-05-01T12:00:00Z";

fn request(number: u64, branch: &str, opened: &str, changed: &str) -> String {
    format!(
        r#"{{"number":{number},"branch":"{branch}","commit":"a000000000000000000000000000000000000001","opened":"2026-{opened}T00:00:00Z","changed":"2026-{changed}T00:00:00Z"}}"#
    )
}

fn told(environments: &Environments) -> String {
    let mut out = String::new();
    for wanted in &environments.wanted {
        write!(out, "{}", wanted.name).expect("text");
        if let Some(open) = &wanted.preview {
            write!(out, ": {} of {}", open.branch, open.follow.join(", ")).expect("text");
            if let Some(until) = open.until {
                write!(out, " until {until}").expect("text");
            }
        }
        writeln!(out).expect("text");
    }
    for (wanted, reason) in &environments.refused {
        writeln!(out, "not {}: {reason}", wanted.name).expect("text");
    }
    if let Some(next) = environments.next {
        writeln!(out, "next end {next}").expect("text");
    }
    out
}

fn check(spec: &str, requests: &[(&str, &str)], expected: &Expect) {
    let found = environments(
        &project(spec),
        &services(requests),
        &["late".to_owned()].into(),
        at(NOON),
    );
    expected.assert_eq(&told(&found));
}

#[test]
fn a_project_without_previews_has_none() {
    let request = request(7, "feature/cart", "04-30", "04-30");
    check(
        "{environments: [{name: production}, {name: staging}]}",
        &[("pr-7", &request)],
        &expect![[r#"
            production
            staging
        "#]],
    );
}

#[test]
fn pull_requests_have_previews_as_long_as_somebody_pushes() {
    let fresh = request(7, "feature/cart", "04-01", "04-30");
    let old = request(8, "feature/old", "04-20", "04-20");
    check(
        "{environments: [{name: staging}], previews: {of: staging}}",
        &[
            ("pr-7", &fresh),
            ("pr-8", &old),
            ("Not_A-Label", &fresh),
            ("pr-9", "rubbish"),
        ],
        &expect![[r#"
            staging
            pr-7: feature/cart of web, worker until 2026-05-03T00:00:00Z
            not pr-8: it has ended, because nothing was pushed for 72h: push to have it again
            next end 2026-05-03T00:00:00Z
        "#]],
    );
}

#[test]
fn who_was_there_first_stays_when_there_are_too_many() {
    let first = request(9, "first", "04-28", "04-30");
    let second = request(7, "second", "04-29", "05-01");
    check(
        "{environments: [{name: staging}], previews: {of: staging, max: 1, ttl: 240h}}",
        &[("pr-7", &second), ("pr-9", &first)],
        &expect![[r#"
            staging
            pr-9: first of web, worker until 2026-05-10T00:00:00Z
            not pr-7: it waits, because as many are open as previews.max allows (1): close one, or raise it
            next end 2026-05-10T00:00:00Z
        "#]],
    );
}

#[test]
fn who_is_there_stays_whoever_comes() {
    let request = request(7, "feature/cart", "04-30", "04-30");
    check(
        "{environments: [{name: staging}, {name: more, preview: {branch: more, repository: u}}], previews: {of: staging, max: 1}}",
        &[("late", &request)],
        &expect![[r#"
            staging
            late: feature/cart of web, worker until 2026-05-03T00:00:00Z
            not more: it waits, because as many are open as previews.max allows (1): close one, or raise it
            next end 2026-05-03T00:00:00Z
        "#]],
    );
}

#[test]
fn the_spec_has_previews_of_branches() {
    check(
        r#"{environments: [{name: staging}, {name: cart, preview: {branch: feature/cart, repository: "https://git.example.com/acme/shop/"}}, {name: over, preview: {branch: feature/cart, repository: "https://git.example.com/acme/shop", until: "2026-05-01T11:00:00Z"}}, {name: which, preview: {branch: feature/cart}}], previews: {of: staging}}"#,
        &[],
        &expect![[r#"
            staging
            cart: feature/cart of web, worker
            not over: it has ended: take it out of environments, or set a later preview.until
            not which: the Services have several repositories: name one of them in preview.repository
        "#]],
    );
}

#[test]
fn a_name_of_the_spec_is_not_taken_by_a_pull_request() {
    let request = request(7, "feature/cart", "04-30", "04-30");
    check(
        "{environments: [{name: staging}, {name: pr-7}], previews: {of: staging}}",
        &[("pr-7", &request)],
        &expect![[r#"
            staging
            pr-7
        "#]],
    );
}
