//! What no forge is told, and what is cut to what it takes.

use expect_test::expect;
use secrecy::SecretString;
use trackbed_forge::status::{Provider, Refusal, Report, Request, State, request};

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

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |provider, repository: &str, api: Option<&str>| {
        let refusal = request(provider, repository, api, &token(), &report(State::Success));
        let refusal = refusal.expect_err(repository);
        assert!(!refusal.to_string().contains("hunter2"), "{refusal}");
        refusal
    };
    for repository in [
        "",
        "/srv/git/shop",
        "file:///srv/git/acme/shop",
        "git://git.example.com/acme/shop",
        "https://ada:hunter2@git.example.com/acme/shop",
        "https://git.example.com/acme/shop?token=hunter2",
        "https://git.example.com/acme/shop#x",
        "https://git.example.com\\acme/shop",
        "https://git.example.com/acme/sh%2Fop",
        "https://git.example.com/acme/...git",
        "https://git.example.com/acme//shop",
        "git@evil.example.com/x:acme/shop",
        "a/b@git.example.com:acme/shop",
        "https://git.example.com/acme/shop\n",
    ] {
        assert_eq!(
            refused(Provider::Gitea, repository, None),
            Refusal::Url,
            "{repository}"
        );
    }
    for (provider, repository) in [
        (Provider::GitHub, "https://github.com/shop"),
        (Provider::GitHub, "https://github.com/acme/shop/web"),
        (Provider::GitLab, "https://gitlab.com/shop"),
        (Provider::Gitea, "https://codeberg.org/shop"),
        (
            Provider::BitbucketServer,
            "https://git.example.com/acme/shop",
        ),
    ] {
        let refusal = refused(provider, repository, None);
        assert!(
            matches!(refusal, Refusal::Path(_)),
            "{repository}: {refusal}"
        );
    }
    // A token for one host is not sent to another that only has the same kind of API.
    assert_eq!(
        refused(
            Provider::Bitbucket,
            "https://git.example.com/acme/shop",
            None
        ),
        Refusal::NotBitbucketCloud
    );
    for api in [
        "",
        "git.example.com",
        "ftp://git.example.com",
        "https://a:hunter2@git.example.com",
        "https://git.example.com?x",
        "https://git.example.com#x",
    ] {
        let refusal = refused(
            Provider::Gitea,
            "https://git.example.com/acme/shop",
            Some(api),
        );
        assert_eq!(refusal, Refusal::Api, "{api}");
    }
}

#[test]
fn reports_that_make_no_sense_are_refused() {
    let refused = |token: &str, report: &Report| {
        let url = "https://github.com/acme/shop";
        let refusal = request(Provider::GitHub, url, None, &token.into(), report);
        refusal.expect_err("nothing to send")
    };
    let good = report(State::Success);
    for token in ["", " \n", "two words", "two\nlines", "t\u{f6}ken"] {
        assert_eq!(refused(token, &good), Refusal::Token, "{token:?}");
    }
    for commit in [
        "",
        "main",
        "3f2c8a1",
        "../../3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5",
    ] {
        let commit = commit.to_owned();
        let report = Report {
            commit,
            ..good.clone()
        };
        assert_eq!(refused(TOKEN, &report), Refusal::Commit);
    }
    for context in [String::new(), "a\nb".to_owned(), "x".repeat(256)] {
        let report = Report {
            context,
            ..good.clone()
        };
        assert_eq!(refused(TOKEN, &report), Refusal::Context);
    }
    for target in [
        "javascript:alert(1)",
        "web.example.com",
        "ftp://example.com/",
    ] {
        let target_url = Some(target.to_owned());
        let report = Report {
            target_url,
            ..good.clone()
        };
        assert_eq!(refused(TOKEN, &report), Refusal::Target);
    }
    // Secrets that were made from a file.
    let token = format!("{TOKEN}\n").into();
    let url = "https://github.com/acme/shop";
    let request = request(Provider::GitHub, url, None, &token, &good).expect("a request");
    assert_eq!(
        request.headers()["authorization"],
        format!("Bearer {TOKEN}")
    );
}

#[test]
fn long_texts_are_cut_to_what_a_forge_takes() {
    let long = Report {
        context: format!("trackbed/shop-production/{}", "w".repeat(63)),
        description: format!("grün\n{}", "ü".repeat(400)),
        target_url: Some(format!("https://example.com/{}", "x".repeat(500))),
        ..report(State::Failure)
    };
    let other = Report {
        context: format!("trackbed/shop-production/{}v", "w".repeat(62)),
        ..long.clone()
    };
    let (github, gitlab) = (
        "https://github.com/acme/shop",
        "https://gitlab.com/acme/shop",
    );
    let text =
        |request: &Request, name: &str| request.body()[name].as_str().expect(name).to_owned();

    let request = ask(Provider::GitHub, github, None, &long);
    let description = text(&request, "description");
    assert_eq!(description.chars().count(), 140);
    assert!(
        description.starts_with("grün ü") && description.ends_with("ü…"),
        "{description}"
    );
    assert_eq!(text(&request, "context"), long.context);

    let request = ask(Provider::GitLab, gitlab, None, &long);
    assert_eq!(text(&request, "description").chars().count(), 255);
    assert_eq!(request.body().get("target_url"), None);

    let cloud = "https://bitbucket.org/acme/shop";
    let request = ask(Provider::Bitbucket, cloud, None, &long);
    let (key, name) = (text(&request, "key"), text(&request, "name"));
    assert_eq!((key.len(), &name), (40, &long.context));
    expect!["trackbed/shop-production/ww-b64a844b16e7"].assert_eq(&key);
    assert_ne!(
        text(&ask(Provider::Bitbucket, cloud, None, &other), "key"),
        key
    );

    let server = "https://example.com/bitbucket/scm/ACME/shop.git";
    let request = ask(Provider::BitbucketServer, server, None, &long);
    assert_eq!(text(&request, "key"), long.context);
    let page = format!("https://example.com/bitbucket/projects/ACME/repos/shop/commits/{COMMIT}");
    assert_eq!(text(&request, "url"), page);
}

#[test]
fn bitbucket_leads_to_the_commit_where_there_is_nothing_better() {
    let report = Report {
        target_url: None,
        ..report(State::Pending)
    };
    let request = ask(
        Provider::Bitbucket,
        "https://bitbucket.org/acme/shop.git",
        None,
        &report,
    );
    let page = format!("https://bitbucket.org/acme/shop/commits/{COMMIT}");
    assert_eq!(request.body()["url"], page);
    let request = ask(
        Provider::GitHub,
        "https://github.com/acme/shop",
        None,
        &report,
    );
    assert_eq!(request.body().get("target_url"), None);
}
