//! Webhooks and Services in, who is told what out.

use super::*;
use expect_test::{Expect, expect};
use std::fmt::Write;

const OLD: &str = "3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6";
const NEW: &str = "a000000000000000000000000000000000000001";

fn service(name: &str, git: &str, rest: &str) -> Service {
    serde_saphyr::from_str(&format!(
        "metadata: {{name: {name}, namespace: shop-production{rest}}}\nspec: {{source: {{git: {{{git}}}}}}}\nstatus: {{source: {{sequence: 1, commit: {OLD}, ref: refs/heads/main}}}}\n"
    ))
    .expect("YAML")
}

fn index(services: &[Service]) -> Index {
    let mut index = Index::default();
    services.iter().for_each(|it| index.put(it));
    index
}

fn push(url: &str, reference: &str, commit: Option<&str>) -> Push {
    Push {
        urls: vec![url.to_owned()],
        changes: vec![Change {
            reference: reference.to_owned(),
            commit: commit.map(str::to_owned),
        }],
    }
}

fn check(index: &Index, push: &Push, expected: &Expect) {
    let now = Timestamp::from_second(1_700_000_000).expect("a time");
    let mut text = String::new();
    for target in index.targets("shop-production", "hook", push, now) {
        let value = target.value.and_then(|(_, value)| value);
        let value = value.as_deref().unwrap_or("knows already");
        writeln!(text, "{}: {value}", target.service).expect("a String takes it");
    }
    expected.assert_eq(&text);
}

const HOOK: &str = "webhook: {secretRef: {name: hook}}";

fn shop() -> Index {
    let url = "url: 'https://git.example.com/acme/shop'";
    index(&[
        service("head", &format!("{url}, {HOOK}"), ""),
        service("main", &format!("{url}, branch: main, {HOOK}"), ""),
        service("cart", &format!("{url}, branch: feature/cart, {HOOK}"), ""),
        service("tag", &format!("{url}, tag: v1, {HOOK}"), ""),
        service("pinned", &format!("{url}, commit: {OLD}, {HOOK}"), ""),
        service(
            "by-ssh",
            &format!("url: 'git@git.internal:Acme/shop.git', {HOOK}"),
            "",
        ),
        service(
            "elsewhere",
            &format!("url: 'https://git.example.com/acme/blog', {HOOK}"),
            "",
        ),
        service(
            "another-secret",
            &format!("{url}, webhook: {{secretRef: {{name: other}}}}"),
            "",
        ),
        service("no-webhook", url, ""),
        service(
            "told",
            &format!("{url}, {HOOK}"),
            &format!(", annotations: {{trackbed.dev/reconcile-at: 'refs/heads/main@{NEW}'}}"),
        ),
    ])
}

const SHOP: &str = "https://forge.example.com/acme/shop.git";

#[test]
fn a_push_is_for_those_who_follow_its_repository_and_ref() {
    let shop = shop();
    check(
        &shop,
        &push(SHOP, "refs/heads/main", Some(NEW)),
        &expect![[r#"
        by-ssh: refs/heads/main@a000000000000000000000000000000000000001
        head: refs/heads/main@a000000000000000000000000000000000000001
        main: refs/heads/main@a000000000000000000000000000000000000001
        told: knows already
    "#]],
    );
    check(
        &shop,
        &push(SHOP, "refs/heads/feature/cart", Some(NEW)),
        &expect![[r#"
        cart: refs/heads/feature/cart@a000000000000000000000000000000000000001
    "#]],
    );
    check(
        &shop,
        &push(SHOP, "refs/heads/cart", Some(NEW)),
        &expect![[""]],
    );
    check(
        &shop,
        &push(SHOP, "refs/tags/v1", Some(NEW)),
        &expect![[r#"
        tag: refs/tags/v1@a000000000000000000000000000000000000001
    "#]],
    );
    check(
        &shop,
        &push(
            "https://forge.example.com/acme/other",
            "refs/heads/main",
            Some(NEW),
        ),
        &expect![[""]],
    );
}

#[test]
fn a_commit_that_is_taken_up_already_is_no_news() {
    check(
        &shop(),
        &push(SHOP, "refs/heads/main", Some(OLD)),
        &expect![[r#"
        by-ssh: knows already
        head: knows already
        main: knows already
        told: knows already
    "#]],
    );
}

#[test]
fn a_deleted_ref_is_looked_at() {
    check(
        &shop(),
        &push(SHOP, "refs/heads/feature/cart", None),
        &expect![[r#"
        cart: refs/heads/feature/cart@2023-11-14T22:13:20Z
    "#]],
    );
}

#[test]
fn pull_requests_are_for_those_who_want_previews() {
    let url = "url: 'https://git.example.com/acme/shop'";
    let wants = "webhook: {secretRef: {name: hook}, previews: true}";
    let open = format!(
        ", annotations: {{preview.trackbed.dev/cart: '{{\"number\":7,\"branch\":\"cart\",\"commit\":\"{OLD}\",\"opened\":\"2023-01-01T00:00:00Z\",\"changed\":\"2023-01-01T00:00:00Z\"}}'}}"
    );
    let mut services = vec![
        service("has-one", &format!("{url}, {wants}"), &open),
        service("web", &format!("{url}, branch: main, {wants}"), ""),
        service("tag", &format!("{url}, tag: v1, {wants}"), ""),
        service("none", &format!("{url}, {HOOK}"), ""),
    ];
    let request = delivery::PullRequest {
        urls: vec![SHOP.to_owned()],
        number: 7,
        open: true,
        branch: "cart".to_owned(),
        commit: Some(OLD.to_owned()),
        ..delivery::PullRequest::default()
    };
    let told = |services: &[Service]| {
        let now = Timestamp::from_second(1_700_000_000).expect("a time");
        let found = index(services).previews("shop-production", "hook", &request, now);
        let line = |it: Target| format!("{}: {} {:?}\n", it.service, it.reference, it.value);
        found.into_iter().map(line).collect::<String>()
    };
    expect![[r#"
        has-one: preview cart None
        web: preview cart Some(("preview.trackbed.dev/cart", Some("{\"number\":7,\"branch\":\"cart\",\"commit\":\"3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6\",\"opened\":\"2023-11-14T22:13:20Z\",\"changed\":\"2023-11-14T22:13:20Z\"}")))
    "#]].assert_eq(&told(&services));
    // Where several repositories have some, a number alone would not tell them apart.
    services.push(service(
        "blog",
        &format!("url: 'https://git.example.com/acme/blog', {wants}"),
        "",
    ));
    expect![[r#"
        has-one: preview cart None
        web: preview cart Some(("preview.trackbed.dev/cart", Some("{\"number\":7,\"branch\":\"cart\",\"commit\":\"3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6\",\"opened\":\"2023-11-14T22:13:20Z\",\"changed\":\"2023-11-14T22:13:20Z\"}")))
    "#]].assert_eq(&told(&services));
}

#[test]
fn a_list_forgets_what_went_while_nobody_watched() {
    let url = "url: 'https://git.example.com/acme/shop'";
    let web = || service("web", &format!("{url}, {HOOK}"), "");
    let api = || service("api", &format!("{url}, {HOOK}"), "");
    let mut feed = Feed::default();
    let list = |feed: &mut Feed, services: Vec<Service>| {
        feed.apply(Event::Init);
        services
            .into_iter()
            .for_each(|it| feed.apply(Event::InitApply(it)));
        feed.apply(Event::InitDone);
    };
    list(&mut feed, vec![web(), api()]);
    assert!(feed.now().known("shop-production", "hook"));
    assert!(!feed.now().known("blog-production", "hook"));
    list(&mut feed, vec![web()]);
    assert_eq!(*feed.now(), index(&[web()]));
    feed.apply(Event::Apply(service("web", url, "")));
    assert_eq!(*feed.now(), Index::default());
    feed.apply(Event::Apply(api()));
    feed.apply(Event::Delete(api()));
    assert_eq!(*feed.now(), Index::default());
}
