//! Deliveries of every forge, in the shape of their documentation.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use expect_test::{Expect, expect};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use trackbed_forge::delivery::{Event, Refusal, open};

const SECRET: &[u8] = b"it is a secret to everybody";
const COMMIT: &str = "3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6";
const ZEROS: &str = "0000000000000000000000000000000000000000";

fn sign(body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("any key will do");
    mac.update(body.as_bytes());
    let digest = mac.finalize().into_bytes();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn headers(of: &[(&str, &str)]) -> HeaderMap {
    of.iter()
        .map(|(name, value)| {
            let name: HeaderName = name.parse().expect("a name");
            (name, HeaderValue::from_str(value).expect("a value"))
        })
        .collect()
}

fn hub(reference: &str, after: &str) -> String {
    format!(
        r#"{{"ref": "{reference}", "before": "{ZEROS}", "after": "{after}", "commits": [],
            "repository": {{"full_name": "acme/shop", "clone_url": "https://forge.example.com/acme/shop.git",
              "ssh_url": "git@forge.example.com:acme/shop.git", "html_url": "https://forge.example.com/acme/shop"}}}}"#
    )
}

fn github(body: &str, event: &str) -> Result<Event, Refusal> {
    let signature = format!("sha256={}", sign(body));
    let headers = headers(&[
        ("x-github-event", event),
        ("x-hub-signature-256", &signature),
        ("content-type", "application/json"),
    ]);
    open(&headers, body.as_bytes(), SECRET)
}

fn check(found: &Result<Event, Refusal>, expected: &Expect) {
    let text = match found {
        Ok(Event::Push(push)) => {
            let changes = push.changes.iter().map(|it| {
                let commit = it.commit.as_deref().unwrap_or("gone");
                format!("{} {commit}\n", it.reference)
            });
            push.urls
                .iter()
                .map(|it| format!("{it}\n"))
                .chain(changes)
                .collect()
        }
        Ok(other) => format!("{other:?}\n"),
        Err(refusal) => format!("{refusal}\n"),
    };
    expected.assert_eq(&text);
}

#[test]
fn github_pushes() {
    check(
        &github(&hub("refs/heads/feature/cart", COMMIT), "push"),
        &expect![[r#"
            https://forge.example.com/acme/shop.git
            git@forge.example.com:acme/shop.git
            https://forge.example.com/acme/shop
            refs/heads/feature/cart 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
        "#]],
    );
    check(
        &github(&hub("refs/tags/v1", ZEROS), "push"),
        &expect![[r#"
            https://forge.example.com/acme/shop.git
            git@forge.example.com:acme/shop.git
            https://forge.example.com/acme/shop
            refs/tags/v1 gone
        "#]],
    );
    assert_eq!(github("{}", "ping"), Ok(Event::Ping));
    let other = Event::Ignored("issues".to_owned());
    assert_eq!(github("{}", "issues"), Ok(other));
}

#[test]
fn github_forms() {
    let json = hub("refs/heads/main", COMMIT);
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &json)
        .finish();
    let signature = format!("sha256={}", sign(&body));
    let headers = headers(&[
        ("x-github-event", "push"),
        ("x-hub-signature-256", &signature),
        ("content-type", "application/x-www-form-urlencoded"),
    ]);
    let found = open(&headers, body.as_bytes(), SECRET);
    assert!(
        matches!(&found, Ok(Event::Push(push)) if push.changes[0].reference == "refs/heads/main"),
        "{found:?}"
    );
}

#[test]
fn gitea_and_forgejo_pushes() {
    let body = hub("refs/heads/main", COMMIT);
    let signature = sign(&body).to_uppercase();
    // They send the headers of others too.
    let hub_signature = format!("sha256={signature}");
    for (event, header) in [
        ("x-gitea-event", "x-gitea-signature"),
        ("x-forgejo-event", "x-forgejo-signature"),
    ] {
        let headers = headers(&[
            (event, "push"),
            (header, &signature),
            ("x-github-event", "push"),
            ("x-hub-signature-256", &hub_signature),
        ]);
        let found = open(&headers, body.as_bytes(), SECRET);
        assert!(matches!(found, Ok(Event::Push(_))), "{event}: {found:?}");
    }
}

#[test]
fn gitlab_pushes() {
    let body = format!(
        r#"{{"object_kind": "push", "ref": "refs/heads/main", "after": "{COMMIT}", "checkout_sha": "{COMMIT}",
            "project": {{"path_with_namespace": "acme/shop", "git_http_url": "https://gitlab.example.com/acme/shop.git",
              "git_ssh_url": "git@gitlab.example.com:acme/shop.git", "web_url": "https://gitlab.example.com/acme/shop"}}}}"#
    );
    let secret = std::str::from_utf8(SECRET).expect("text");
    for (event, token, taken) in [
        ("Push Hook", secret, true),
        ("Tag Push Hook", secret, true),
        ("Push Hook", "another", false),
        ("Push Hook", "", false),
    ] {
        let headers = headers(&[("x-gitlab-event", event), ("x-gitlab-token", token)]);
        let found = open(&headers, body.as_bytes(), SECRET);
        assert_eq!(found.is_ok(), taken, "{event} {token}: {found:?}");
    }
    let headers = headers(&[("x-gitlab-event", "Push Hook"), ("x-gitlab-token", secret)]);
    check(
        &open(&headers, body.as_bytes(), SECRET),
        &expect![[r#"
            https://gitlab.example.com/acme/shop.git
            git@gitlab.example.com:acme/shop.git
            https://gitlab.example.com/acme/shop
            refs/heads/main 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
        "#]],
    );
}

fn bitbucket(body: &str, event: &str) -> Result<Event, Refusal> {
    let signature = format!("sha256={}", sign(body));
    let headers = headers(&[("x-event-key", event), ("x-hub-signature", &signature)]);
    open(&headers, body.as_bytes(), SECRET)
}

#[test]
fn bitbucket_cloud_pushes() {
    let body = format!(
        r#"{{"repository": {{"full_name": "acme/shop", "links": {{"html": {{"href": "https://bitbucket.org/acme/shop"}}}}}},
            "push": {{"changes": [
              {{"new": {{"type": "branch", "name": "feature/cart", "target": {{"hash": "{COMMIT}"}}}}, "old": null}},
              {{"new": null, "old": {{"type": "branch", "name": "done", "target": {{"hash": "{COMMIT}"}}}}}},
              {{"new": {{"type": "tag", "name": "v1", "target": {{"hash": "{COMMIT}"}}}}, "old": null}},
              {{"new": {{"type": "bookmark", "name": "x"}}, "old": null}}
            ]}}}}"#
    );
    check(
        &bitbucket(&body, "repo:push"),
        &expect![[r#"
            https://bitbucket.org/acme/shop
            git@bitbucket.org:acme/shop.git
            refs/heads/feature/cart 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
            refs/heads/done gone
            refs/tags/v1 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
        "#]],
    );
}

#[test]
fn bitbucket_data_center_pushes() {
    let body = format!(
        r#"{{"eventKey": "repo:refs_changed",
            "repository": {{"slug": "shop", "links": {{"clone": [
              {{"href": "ssh://git@bitbucket.example.com:7999/acme/shop.git", "name": "ssh"}},
              {{"href": "https://bitbucket.example.com/scm/acme/shop.git", "name": "http"}}]}}}},
            "changes": [
              {{"ref": {{"id": "refs/heads/main", "displayId": "main", "type": "BRANCH"}}, "toHash": "{COMMIT}", "type": "UPDATE"}},
              {{"ref": {{"id": "refs/heads/old", "displayId": "old", "type": "BRANCH"}}, "toHash": "{ZEROS}", "type": "DELETE"}}]}}"#
    );
    check(
        &bitbucket(&body, "repo:refs_changed"),
        &expect![[r#"
            ssh://git@bitbucket.example.com:7999/acme/shop.git
            https://bitbucket.example.com/scm/acme/shop.git
            refs/heads/main 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
            refs/heads/old gone
        "#]],
    );
    assert_eq!(
        bitbucket(r#"{"test": true}"#, "diagnostics:ping"),
        Ok(Event::Ping)
    );
}

fn generic(body: &str) -> Result<Event, Refusal> {
    let signature = format!("sha256={}", sign(body));
    let headers = headers(&[("x-trackbed-signature", &signature)]);
    open(&headers, body.as_bytes(), SECRET)
}

#[test]
fn anybody_who_signs() {
    check(
        &generic(r#"{"url": "https://git.example.com/acme/shop", "ref": "refs/heads/main"}"#),
        &expect![[r#"
            https://git.example.com/acme/shop
            refs/heads/main gone
        "#]],
    );
}

#[test]
fn what_is_signed_and_no_push_is_named() {
    for (body, words) in [
        ("", "EOF"),
        ("[1]", "invalid"),
        ("\u{fffd}", "expected"),
        (r#"{"url": "a"}"#, "either ref or pullRequest"),
        (r#"{"url": "a", "ref": "main"}"#, "full ref"),
        (r#"{"url": "a", "ref": "refs/heads/a\nb"}"#, "full ref"),
        (
            r#"{"url": "a", "ref": "refs/heads/main", "commit": "--upload-pack=x"}"#,
            "no commit id",
        ),
        (
            r#"{"url": "a", "ref": "refs/heads/main", "commit": "ä"}"#,
            "no commit id",
        ),
    ] {
        match generic(body) {
            Err(Refusal::Malformed(message)) => {
                assert!(message.contains(words), "{body}: {message}")
            }
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn what_is_not_signed_is_not_read() {
    let body = hub("refs/heads/main", COMMIT);
    let good = sign(&body);
    let refused = |name: &str, value: &str, secret: &[u8]| {
        let headers = headers(&[("x-github-event", "push"), (name, value)]);
        open(&headers, body.as_bytes(), secret) == Err(Refusal::Unsigned)
    };
    let mut flipped = good.clone().into_bytes();
    flipped[63] = if flipped[63] == b'0' { b'1' } else { b'0' };
    let flipped = String::from_utf8(flipped).expect("text");
    for value in [
        String::new(),
        good.clone(),
        format!("sha256={}", &good[1..]),
        format!("sha256={good}0"),
        format!("sha256={flipped}"),
        format!("sha256={}", "g".repeat(64)),
        format!("sha256={}+{}", &good[..31], &good[32..]),
        format!("sha1={good}"),
        format!("sha256={}", sign("another body")),
    ] {
        assert!(refused("x-hub-signature-256", &value, SECRET), "{value}");
    }
    let good = format!("sha256={good}");
    assert!(!refused("x-hub-signature-256", &good, SECRET));
    assert!(refused("x-hub-signature", &good, SECRET), "the old header");
    assert!(refused("x-hub-signature-256", &good, b"another secret"));
    assert!(
        refused("x-hub-signature-256", &good, b""),
        "an empty secret"
    );
    let nobody = open(&HeaderMap::new(), body.as_bytes(), SECRET);
    assert_eq!(nobody, Err(Refusal::Unsigned));
}
