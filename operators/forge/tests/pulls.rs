//! Pull requests as every forge tells of them, in the shape of their documentation.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use expect_test::{Expect, expect};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use trackbed_forge::delivery::{Event, open};

const SECRET: &[u8] = b"it is a secret to everybody";
const COMMIT: &str = "3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6";

fn check(event: (&str, &str), signature: &str, body: &str, expected: &Expect) {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("any key will do");
    mac.update(body.as_bytes());
    let digest = mac.finalize().into_bytes();
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let (name, prefix) = signature.split_once('=').unwrap_or((signature, ""));
    let signed = match name {
        "x-gitlab-token" => String::from_utf8(SECRET.to_vec()).expect("text"),
        _ if prefix.is_empty() => digest,
        _ => format!("{prefix}={digest}"),
    };
    let headers: HeaderMap = [event, (name, &signed)]
        .iter()
        .map(|(name, value)| {
            let name: HeaderName = name.parse().expect("a name");
            (name, HeaderValue::from_str(value).expect("a value"))
        })
        .collect();
    let text = match open(&headers, body.as_bytes(), SECRET) {
        Ok(Event::PullRequest(it)) => format!(
            "{}{} number {} of {} at {}, {}{}\n",
            if it.open { "open" } else { "closed" },
            if it.fork { " (fork)" } else { "" },
            it.number,
            it.branch,
            it.commit.as_deref().unwrap_or("?"),
            it.urls.join(" "),
            it.changed.map(|it| format!(", {it}")).unwrap_or_default(),
        ),
        other => format!("{other:?}\n"),
    };
    expected.assert_eq(&text);
}

fn hub(state: &str, head: &str) -> String {
    format!(
        r#"{{"action": "synchronize", "number": 7, "pull_request": {{"number": 7, "state": "{state}", "updated_at": "2026-05-01T10:00:00Z",
            "head": {{"ref": "feature/cart", "sha": "{COMMIT}", "repo": {head}}},
            "base": {{"ref": "main", "sha": "{COMMIT}", "repo": {{"full_name": "acme/shop"}}}}}},
            "repository": {{"full_name": "acme/shop", "clone_url": "https://forge.example.com/acme/shop.git", "html_url": "https://forge.example.com/acme/shop"}}}}"#
    )
}

#[test]
fn github_gitea_and_forgejo() {
    const OWN: &str = r#"{"full_name": "Acme/shop"}"#;
    let github = ("x-github-event", "pull_request");
    let signature = "x-hub-signature-256=sha256";
    check(
        github,
        signature,
        &hub("open", OWN),
        &expect![[r#"
        open number 7 of feature/cart at 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6, https://forge.example.com/acme/shop.git https://forge.example.com/acme/shop, 2026-05-01T10:00:00Z
    "#]],
    );
    check(
        github,
        signature,
        &hub("closed", OWN),
        &expect![[r#"
        closed number 7 of feature/cart at 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6, https://forge.example.com/acme/shop.git https://forge.example.com/acme/shop, 2026-05-01T10:00:00Z
    "#]],
    );
    let fork = r#"{"full_name": "mallory/shop"}"#;
    check(
        github,
        signature,
        &hub("open", fork),
        &expect![[r#"
        open (fork) number 7 of feature/cart at 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6, https://forge.example.com/acme/shop.git https://forge.example.com/acme/shop, 2026-05-01T10:00:00Z
    "#]],
    );
    check(
        github,
        signature,
        &hub("open", "null"),
        &expect![[r#"
        open (fork) number 7 of feature/cart at 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6, https://forge.example.com/acme/shop.git https://forge.example.com/acme/shop, 2026-05-01T10:00:00Z
    "#]],
    );
    let gitea = ("x-gitea-event", "pull_request");
    check(
        gitea,
        "x-gitea-signature",
        &hub("open", OWN),
        &expect![[r#"
            open number 7 of feature/cart at 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6, https://forge.example.com/acme/shop.git https://forge.example.com/acme/shop, 2026-05-01T10:00:00Z
        "#]],
    );
    let comment = ("x-github-event", "pull_request_review_comment");
    check(
        comment,
        signature,
        &hub("open", OWN),
        &expect![[r#"
        Ok(Ignored("pull_request_review_comment"))
    "#]],
    );
    check(
        github,
        signature,
        "{}",
        &expect![[r#"
        Err(Malformed("missing field `pull_request` at line 1 column 2"))
    "#]],
    );
}

fn lab(state: &str, source: u64) -> String {
    format!(
        r#"{{"object_kind": "merge_request", "project": {{"git_http_url": "https://forge.example.com/acme/shop.git", "git_ssh_url": "git@forge.example.com:acme/shop.git"}},
            "object_attributes": {{"id": 99, "iid": 7, "state": "{state}", "source_branch": "feature/cart", "source_project_id": {source}, "target_project_id": 5,
              "last_commit": {{"id": "{COMMIT}"}}, "updated_at": "2026-05-01T10:00:00Z"}}}}"#
    )
}

#[test]
fn gitlab() {
    let event = ("x-gitlab-event", "Merge Request Hook");
    check(
        event,
        "x-gitlab-token",
        &lab("opened", 5),
        &expect![[r#"
        open number 7 of feature/cart at 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6, https://forge.example.com/acme/shop.git git@forge.example.com:acme/shop.git, 2026-05-01T10:00:00Z
    "#]],
    );
    check(
        event,
        "x-gitlab-token",
        &lab("merged", 5),
        &expect![[r#"
        closed number 7 of feature/cart at 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6, https://forge.example.com/acme/shop.git git@forge.example.com:acme/shop.git, 2026-05-01T10:00:00Z
    "#]],
    );
    check(
        event,
        "x-gitlab-token",
        &lab("opened", 6),
        &expect![[r#"
        open (fork) number 7 of feature/cart at 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6, https://forge.example.com/acme/shop.git git@forge.example.com:acme/shop.git, 2026-05-01T10:00:00Z
    "#]],
    );
}

fn cloud(state: &str, source: &str) -> String {
    format!(
        r#"{{"pullrequest": {{"id": 7, "state": "{state}", "updated_on": "2026-05-01T10:00:00.123456+00:00",
            "source": {{"branch": {{"name": "feature/cart"}}, "commit": {{"hash": "3f2c8a1d5b7e"}}, "repository": {source}}},
            "destination": {{"branch": {{"name": "main"}}, "repository": {{"full_name": "acme/shop"}}}}}},
            "repository": {{"full_name": "acme/shop", "links": {{"html": {{"href": "https://bitbucket.org/acme/shop"}}}}}}}}"#
    )
}

fn data_center(state: &str, project: &str) -> String {
    format!(
        r#"{{"eventKey": "pr:opened", "pullRequest": {{"id": 7, "state": "{state}", "updatedDate": 1777629600000,
            "fromRef": {{"id": "refs/heads/feature/cart", "displayId": "feature/cart", "latestCommit": "{COMMIT}", "repository": {{"slug": "shop", "project": {{"key": "{project}"}}}}}},
            "toRef": {{"id": "refs/heads/main", "displayId": "main", "repository": {{"slug": "shop", "project": {{"key": "ACME"}}}}}}}}}}"#
    )
}

#[test]
fn bitbucket() {
    let signature = "x-hub-signature=sha256";
    let own = r#"{"full_name": "acme/shop"}"#;
    let of = |event| ("x-event-key", event);
    let created = of("pullrequest:created");
    check(
        created,
        signature,
        &cloud("OPEN", own),
        &expect![[r#"
        open number 7 of feature/cart at ?, https://bitbucket.org/acme/shop git@bitbucket.org:acme/shop.git, 2026-05-01T10:00:00.123456Z
    "#]],
    );
    let merged = of("pullrequest:fulfilled");
    check(
        merged,
        signature,
        &cloud("MERGED", own),
        &expect![[r#"
        closed number 7 of feature/cart at ?, https://bitbucket.org/acme/shop git@bitbucket.org:acme/shop.git, 2026-05-01T10:00:00.123456Z
    "#]],
    );
    check(
        created,
        signature,
        &cloud("OPEN", "null"),
        &expect![[r#"
        open (fork) number 7 of feature/cart at ?, https://bitbucket.org/acme/shop git@bitbucket.org:acme/shop.git, 2026-05-01T10:00:00.123456Z
    "#]],
    );
    let comment = of("pullrequest:comment_created");
    check(
        comment,
        signature,
        &cloud("OPEN", own),
        &expect![[r#"
        Ok(Ignored("pullrequest:comment_created"))
    "#]],
    );
    let opened = of("pr:opened");
    check(
        opened,
        signature,
        &data_center("OPEN", "ACME"),
        &expect![[r#"
            open number 7 of feature/cart at 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6, https://forge.invalid/scm/acme/shop.git ssh://git@forge.invalid/acme/shop.git, 2026-05-01T10:00:00Z
        "#]],
    );
    let deleted = of("pr:deleted");
    check(
        deleted,
        signature,
        &data_center("OPEN", "ACME"),
        &expect![[r#"
            closed number 7 of feature/cart at 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6, https://forge.invalid/scm/acme/shop.git ssh://git@forge.invalid/acme/shop.git, 2026-05-01T10:00:00Z
        "#]],
    );
    check(
        opened,
        signature,
        &data_center("OPEN", "~MALLORY"),
        &expect![[r#"
            open (fork) number 7 of feature/cart at 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6, https://forge.invalid/scm/acme/shop.git ssh://git@forge.invalid/acme/shop.git, 2026-05-01T10:00:00Z
        "#]],
    );
    let approved = of("pr:reviewer:approved");
    check(
        approved,
        signature,
        &data_center("OPEN", "ACME"),
        &expect![[r#"
            Ok(Ignored("pr:reviewer:approved"))
        "#]],
    );
}

#[test]
fn anybody_else() {
    let event = ("content-type", "application/json");
    let signature = "x-trackbed-signature=sha256";
    let body = |branch: &str, open: bool| {
        format!(
            r#"{{"url": "https://git.example.com/acme/shop", "commit": "{COMMIT}", "pullRequest": {{"number": 7, "branch": "{branch}", "open": {open}}}}}"#
        )
    };
    check(
        event,
        signature,
        &body("feature/cart", true),
        &expect![[r#"
            open number 7 of feature/cart at 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6, https://git.example.com/acme/shop
        "#]],
    );
    check(
        event,
        signature,
        &body("feature/cart", false),
        &expect![[r#"
            closed number 7 of feature/cart at 3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6, https://git.example.com/acme/shop
        "#]],
    );
    check(
        event,
        signature,
        &body("feature\\u0000", true),
        &expect![[r#"
            Err(Malformed("ref must be a full ref, like refs/heads/main"))
        "#]],
    );
}
