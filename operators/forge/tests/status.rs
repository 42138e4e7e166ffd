//! What each forge is told of a commit, and where.

use expect_test::{Expect, expect};
use secrecy::SecretString;
use trackbed_forge::status::{Provider, Report, Request, State, guess, request};

const TOKEN: &str = "canary-7f3a";
const COMMIT: &str = "3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6";

fn token() -> SecretString {
    TOKEN.into()
}

fn report(state: State) -> Report {
    Report {
        commit: COMMIT.to_owned(),
        state,
        context: "trackbed/shop-production/web".to_owned(),
        description: "web-41 is being built".to_owned(),
        target_url: Some("https://web-shop.apps.example.com".to_owned()),
    }
}

fn ask(provider: Provider, repository: &str, api: Option<&str>, report: &Report) -> Request {
    request(provider, repository, api, &token(), report).expect(repository)
}

fn check(request: &Request, expected: &Expect) {
    let headers = request.headers().iter().map(|(name, value)| {
        let value = value.to_str().expect("text").replace(TOKEN, "TOKEN");
        format!("{name}: {value}\n")
    });
    let headers: String = headers.collect();
    let body = serde_json::to_string_pretty(request.body()).expect("JSON");
    let text = format!(
        "{} {}\n{headers}\n{body}\n",
        request.method(),
        request.url()
    );
    expected.assert_eq(&text);
    let shown = format!("{request:?} {} {body}", request.url());
    assert!(!shown.contains(TOKEN), "{shown}");
}

#[test]
fn github_is_told() {
    check(
        &ask(
            Provider::GitHub,
            "https://github.com/acme/shop.git",
            None,
            &report(State::Pending),
        ),
        &expect![[r#"
            POST https://api.github.com/repos/acme/shop/statuses/3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
            content-type: application/json
            user-agent: trackbed
            accept: application/vnd.github+json
            x-github-api-version: 2022-11-28
            authorization: Bearer TOKEN

            {
              "context": "trackbed/shop-production/web",
              "description": "web-41 is being built",
              "state": "pending",
              "target_url": "https://web-shop.apps.example.com/"
            }
        "#]],
    );
}

#[test]
fn gitlab_is_told() {
    check(
        &ask(
            Provider::GitLab,
            "https://gitlab.com/acme/teams/web/shop.git",
            None,
            &report(State::Pending),
        ),
        &expect![[r#"
            POST https://gitlab.com/api/v4/projects/acme%2Fteams%2Fweb%2Fshop/statuses/3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
            content-type: application/json
            user-agent: trackbed
            accept: application/json
            private-token: TOKEN

            {
              "description": "web-41 is being built",
              "name": "trackbed/shop-production/web",
              "state": "running",
              "target_url": "https://web-shop.apps.example.com/"
            }
        "#]],
    );
}

#[test]
fn gitea_is_told() {
    check(
        &ask(
            Provider::Gitea,
            "http://git.internal:3000/acme/shop",
            None,
            &report(State::Success),
        ),
        &expect![[r#"
            POST http://git.internal:3000/api/v1/repos/acme/shop/statuses/3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
            content-type: application/json
            user-agent: trackbed
            accept: application/json
            authorization: token TOKEN

            {
              "context": "trackbed/shop-production/web",
              "description": "web-41 is being built",
              "state": "success",
              "target_url": "https://web-shop.apps.example.com/"
            }
        "#]],
    );
}

#[test]
fn bitbucket_is_told() {
    check(
        &ask(
            Provider::Bitbucket,
            "git@bitbucket.org:acme/shop.git",
            None,
            &report(State::Success),
        ),
        &expect![[r#"
            POST https://api.bitbucket.org/2.0/repositories/acme/shop/commit/3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6/statuses/build
            content-type: application/json
            user-agent: trackbed
            accept: application/json
            authorization: Bearer TOKEN

            {
              "description": "web-41 is being built",
              "key": "trackbed/shop-production/web",
              "name": "trackbed/shop-production/web",
              "state": "SUCCESSFUL",
              "url": "https://web-shop.apps.example.com/"
            }
        "#]],
    );
}

#[test]
fn bitbucket_data_center_is_told() {
    check(
        &ask(
            Provider::BitbucketServer,
            "https://git.example.com/scm/ACME/shop.git",
            None,
            &report(State::Failure),
        ),
        &expect![[r#"
            POST https://git.example.com/rest/api/latest/projects/ACME/repos/shop/commits/3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6/builds
            content-type: application/json
            user-agent: trackbed
            accept: application/json
            authorization: Bearer TOKEN

            {
              "description": "web-41 is being built",
              "key": "trackbed/shop-production/web",
              "name": "trackbed/shop-production/web",
              "state": "FAILED",
              "url": "https://web-shop.apps.example.com/"
            }
        "#]],
    );
}

#[test]
fn each_state_has_a_name_everywhere() {
    let names = [
        (Provider::GitHub, "https://github.com/acme/shop"),
        (Provider::GitLab, "https://gitlab.com/acme/shop"),
        (Provider::Gitea, "https://codeberg.org/acme/shop"),
        (Provider::Bitbucket, "https://bitbucket.org/acme/shop"),
        (
            Provider::BitbucketServer,
            "ssh://git@git.example.com:7999/acme/shop.git",
        ),
    ]
    .map(|(provider, repository)| {
        let states = [State::Pending, State::Success, State::Failure].map(|state| {
            let request = ask(provider, repository, None, &report(state));
            request.body()["state"]
                .as_str()
                .expect("a state")
                .to_owned()
        });
        format!("{provider:?}: {}\n", states.join(", "))
    });
    expect![[r#"
        GitHub: pending, success, failure
        GitLab: running, success, failed
        Gitea: pending, success, failure
        Bitbucket: INPROGRESS, SUCCESSFUL, FAILED
        BitbucketServer: INPROGRESS, SUCCESSFUL, FAILED
    "#]]
    .assert_eq(&names.concat());
}

#[test]
fn the_api_is_where_the_repository_is() {
    use Provider::{Bitbucket, BitbucketServer, GitHub, GitLab, Gitea};
    let urls = [
        (GitHub, "git@github.com:acme/shop.git", None),
        (GitHub, "ssh://git@ssh.github.com:443/acme/shop.git", None),
        (GitHub, "http://GitHub.com/acme/shop", None),
        (GitHub, "https://acme.ghe.com/acme/shop", None),
        (GitHub, "https://git.example.com/acme/shop", None),
        (
            GitHub,
            "https://git.example.com/acme/shop",
            Some("https://api.example.com/github/"),
        ),
        (GitLab, "https://gitlab.example.com:8443/acme/shop/", None),
        (
            GitLab,
            "ssh://git@gitlab.example.com:2222/a/b/c/shop.git",
            None,
        ),
        (
            GitLab,
            "https://example.com/git/acme/shop",
            Some("https://example.com/git/api/v4"),
        ),
        (
            GitLab,
            "git@example.com:git/acme/shop",
            Some("https://example.com/git/api/v4"),
        ),
        (
            GitLab,
            "https://example.com/git/acme/shop",
            Some("https://api.example.com/git/api/v4"),
        ),
        (Gitea, "git@codeberg.org:acme/shop.git", None),
        (Gitea, "http://[::1]:3000/acme/shop.js.git", None),
        (Gitea, "https://example.com/forge/acme/shop", None),
        (
            Gitea,
            "ssh://git@git.example.com:2222/acme/shop",
            Some("http://gitea:3000/api/v1"),
        ),
        (
            Bitbucket,
            "ssh://git@altssh.bitbucket.org:443/acme/shop.git",
            None,
        ),
        (
            Bitbucket,
            "https://git.example.com/acme/shop",
            Some("http://127.0.0.1:8080/2.0"),
        ),
        (
            BitbucketServer,
            "https://example.com/bitbucket/scm/~ada/shop.git",
            None,
        ),
        (
            BitbucketServer,
            "ssh://git@git.example.com:7999/acme/shop.git",
            None,
        ),
    ]
    .map(|(provider, repository, api)| {
        let request = ask(provider, repository, api, &report(State::Success));
        format!("{}\n", request.url().replace(COMMIT, "COMMIT"))
    });
    expect![[r#"
        https://api.github.com/repos/acme/shop/statuses/COMMIT
        https://api.github.com/repos/acme/shop/statuses/COMMIT
        https://api.github.com/repos/acme/shop/statuses/COMMIT
        https://api.acme.ghe.com/repos/acme/shop/statuses/COMMIT
        https://git.example.com/api/v3/repos/acme/shop/statuses/COMMIT
        https://api.example.com/github/repos/acme/shop/statuses/COMMIT
        https://gitlab.example.com:8443/api/v4/projects/acme%2Fshop/statuses/COMMIT
        https://gitlab.example.com/api/v4/projects/a%2Fb%2Fc%2Fshop/statuses/COMMIT
        https://example.com/git/api/v4/projects/acme%2Fshop/statuses/COMMIT
        https://example.com/git/api/v4/projects/git%2Facme%2Fshop/statuses/COMMIT
        https://api.example.com/git/api/v4/projects/git%2Facme%2Fshop/statuses/COMMIT
        https://codeberg.org/api/v1/repos/acme/shop/statuses/COMMIT
        http://[::1]:3000/api/v1/repos/acme/shop.js/statuses/COMMIT
        https://example.com/forge/api/v1/repos/acme/shop/statuses/COMMIT
        http://gitea:3000/api/v1/repos/acme/shop/statuses/COMMIT
        https://api.bitbucket.org/2.0/repositories/acme/shop/commit/COMMIT/statuses/build
        http://127.0.0.1:8080/2.0/repositories/acme/shop/commit/COMMIT/statuses/build
        https://example.com/bitbucket/rest/api/latest/projects/~ada/repos/shop/commits/COMMIT/builds
        https://git.example.com/rest/api/latest/projects/acme/repos/shop/commits/COMMIT/builds
    "#]]
    .assert_eq(&urls.concat());
}

#[test]
fn the_public_forges_are_known() {
    for (url, provider) in [
        ("https://github.com/acme/shop", Some(Provider::GitHub)),
        ("git@github.com:acme/shop.git", Some(Provider::GitHub)),
        ("https://acme.ghe.com/acme/shop", Some(Provider::GitHub)),
        ("https://gitlab.com/acme/a/shop", Some(Provider::GitLab)),
        (
            "ssh://git@altssh.gitlab.com:443/acme/shop",
            Some(Provider::GitLab),
        ),
        ("https://bitbucket.org/acme/shop", Some(Provider::Bitbucket)),
        ("https://codeberg.org/acme/shop", Some(Provider::Gitea)),
        ("https://git.example.com/acme/shop", None),
        ("https://github.com.example.com/acme/shop", None),
        ("https://example.com/github.com/acme/shop", None),
        ("https://github.com@example.com/acme/shop", None),
        ("ssh://github.com@example.com/acme/shop", None),
        ("not a url", None),
    ] {
        assert_eq!(guess(url), provider, "{url}");
    }
}
