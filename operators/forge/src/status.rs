//! What a forge is told of a commit: whether it is on its way, runs, or failed.
//!
//! What is sent is decided by pure functions. The token stands in one header, which no debug text
//! shows, and goes to the API's host alone: redirects are not followed.

mod body;
mod place;
mod post;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

pub use post::{Client, Misconfigured, Network, PostError, client, post};

use place::Place;

/// Which API a forge speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provider {
    /// GitHub, GitHub Enterprise Cloud and Server:
    /// <https://docs.github.com/rest/commits/statuses#create-a-commit-status>
    GitHub,
    /// <https://docs.gitlab.com/api/commits/#set-commit-pipeline-status>
    GitLab,
    /// Gitea, <https://docs.gitea.com/api/> (`repoCreateStatus`), and Forgejo
    Gitea,
    /// Bitbucket Cloud:
    /// <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commit-statuses/>
    Bitbucket,
    /// Bitbucket Data Center:
    /// <https://developer.atlassian.com/server/bitbucket/how-tos/updating-build-status-for-commits/>
    BitbucketServer,
}

/// How a commit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It is waited for.
    Pending,
    /// It runs.
    Success,
    /// It does not, and will not.
    Failure,
}

/// What is told of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The full id of the commit.
    pub commit: String,
    /// How it does.
    pub state: State,
    /// Who says so, like `trackbed/shop-production/web`. A later report of the same context stands
    /// in for an earlier one.
    pub context: String,
    /// A sentence. What a forge does not take of it is cut off.
    pub description: String,
    /// Where more stands. Left out where it is longer than the forge takes.
    pub target_url: Option<String>,
}

/// Why there is nothing that could be sent. None repeats what it was given: there may be a
/// password in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The repository's URL is none.
    #[error(
        "the repository has to be https://HOST/PATH, http://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH, with no password in it"
    )]
    Url,
    /// There is no such repository at such a forge.
    #[error("the repository's URL does not end in {0}")]
    Path(&'static str),
    /// Bitbucket Cloud is at one host only.
    #[error(
        "Bitbucket Cloud is at bitbucket.org only: for Bitbucket Data Center name that, for another address of the API name that"
    )]
    NotBitbucketCloud,
    /// The API's address is none.
    #[error(
        "the address of the API has to be https://HOST/PATH or http://HOST/PATH, with no password, query or fragment in it"
    )]
    Api,
    /// The commit is none.
    #[error("the commit has to be a full commit id")]
    Commit,
    /// The context is none.
    #[error("the context has to be one line of 1 to 255 characters")]
    Context,
    /// The target is none.
    #[error("the target has to be an http:// or https:// URL")]
    Target,
    /// No header takes the token.
    #[error(
        "the token is empty, or no token: it has a space, a line break or a special character in it"
    )]
    Token,
}

/// A request, ready to be sent. Its debug text does not show the token.
#[derive(Clone, Debug)]
pub struct Request {
    provider: Provider,
    url: Url,
    headers: HeaderMap,
    body: Value,
}

impl Request {
    /// How it is sent, which is the same everywhere.
    pub fn method(&self) -> &'static str {
        "POST"
    }

    /// Where it goes.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// What goes with it. The one with the token is marked as sensitive.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// What it says.
    pub fn body(&self) -> &Value {
        &self.body
    }
}

/// Which API is spoken where a repository is, if it is at one of the public forges.
pub fn guess(repository_url: &str) -> Option<Provider> {
    Some(Place::parse(repository_url)?.known?.0)
}

/// What has to be sent for a report to stand at its commit.
///
/// `api` is the whole base of the API, like `https://forge.example.com/api/v4`. Without it, it is
/// where the provider has it at the repository's scheme, host and port. A repository that is
/// fetched by ssh has it at its host by https, and at the port that this implies.
///
/// # Errors
/// When something given makes no sense for this provider.
pub fn request(
    provider: Provider,
    repository_url: &str,
    api: Option<&str>,
    token: &SecretString,
    report: &Report,
) -> Result<Request, Refusal> {
    let commit = commit(&report.commit).ok_or(Refusal::Commit)?;
    let one_line = !report.context.contains(char::is_control);
    if !one_line || !(1..=255).contains(&report.context.chars().count()) {
        return Err(Refusal::Context);
    }
    let place = Place::parse(repository_url).ok_or(Refusal::Url)?;
    let target = report.target_url.as_deref().map(target).transpose()?;
    let repository = place.repository(provider, api)?;
    let url = Url::parse(&repository.endpoint(provider, &commit)).map_err(|_| Refusal::Api)?;
    Ok(Request {
        provider,
        url,
        headers: headers(provider, token)?,
        body: body::body(provider, report, &repository, &commit, target),
    })
}

fn commit(text: &str) -> Option<String> {
    let whole = matches!(text.len(), 40 | 64) && text.chars().all(|c| c.is_ascii_hexdigit());
    whole.then(|| text.to_ascii_lowercase())
}

fn target(text: &str) -> Result<String, Refusal> {
    let url = Url::parse(text).ok();
    let url = url.filter(|it| matches!(it.scheme(), "http" | "https"));
    Ok(url.ok_or(Refusal::Target)?.into())
}

fn headers(provider: Provider, token: &SecretString) -> Result<HeaderMap, Refusal> {
    const PRIVATE_TOKEN: HeaderName = HeaderName::from_static("private-token");
    const VERSION: HeaderName = HeaderName::from_static("x-github-api-version");
    // People make Secrets from files, and files end in a line break.
    let token = token.expose_secret().trim();
    if token.is_empty() || !token.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Refusal::Token);
    }
    let (name, value) = match provider {
        Provider::GitHub | Provider::Bitbucket | Provider::BitbucketServer => {
            (header::AUTHORIZATION, format!("Bearer {token}"))
        }
        Provider::GitLab => (PRIVATE_TOKEN, token.to_owned()),
        Provider::Gitea => (header::AUTHORIZATION, format!("token {token}")),
    };
    let mut secret = HeaderValue::try_from(value).map_err(|_| Refusal::Token)?;
    secret.set_sensitive(true);
    let json = HeaderValue::from_static("application/json");
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, json.clone());
    // GitHub answers nobody who does not say who he is.
    headers.insert(header::USER_AGENT, HeaderValue::from_static("trackbed"));
    if provider == Provider::GitHub {
        let kind = HeaderValue::from_static("application/vnd.github+json");
        headers.insert(header::ACCEPT, kind);
        // The first version, and the only one that every Enterprise Server knows:
        // https://docs.github.com/rest/about-the-rest-api/api-versions
        headers.insert(VERSION, HeaderValue::from_static("2022-11-28"));
    } else {
        headers.insert(header::ACCEPT, json);
    }
    headers.insert(name, secret);
    Ok(headers)
}
