//! Removes an image from a registry, with what Trackbed put beside it.
//!
//! The requests are those of <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#content-management>.
//! A credential goes to the registry and to the service that it sends everybody to for tokens, never
//! by plain http where the registry is asked by https, and never along a redirect.

mod login;

use std::time::Duration;

use oci_distribution::Reference;
use reqwest::{Method, Response, StatusCode, Url, header};
use serde::Deserialize;
use trackbed_api::environment::BuildEnvironment;
use trackbed_http::{begin, cause, client};
use trackbed_kit::{docker::Login, network};

use login::Pass;

/// How long a registry may take for everything.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most that is read of an answer, in bytes. Tokens of some registries are long.
const ANSWER_MAX: usize = 64 << 10;
/// What a tag may stand for.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json";
/// Where a registry says the digest of what it has under a tag.
const DIGEST: &str = "docker-content-digest";

/// What a registry says to the removal of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is gone now.
    Removed,
    /// It was not there.
    Absent,
    /// The registry removes nothing.
    Unsupported,
    /// The credential is wrong or may not delete, or there is none.
    Unauthorized,
    /// It does not want to, in words.
    Refused(String),
    /// There is no answer now. That may pass.
    Unavailable(String),
}

/// An image, and the way to it.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The image by registry, repository and digest, as `push` says it.
    pub image: &'a str,
    /// Talk plain http.
    pub insecure: bool,
    /// Who asks.
    pub login: Option<&'a Login>,
    /// Proxies and certificates.
    pub environment: &'a BuildEnvironment,
}

/// Removes an image, the statement of where it comes from, and the list that leads to that. A
/// default crypto provider of rustls has to be installed before.
pub async fn remove(target: &Target<'_>) -> Answer {
    let work = async {
        let (mut session, digest) = Session::new(target)?;
        session.remove(&digest).await
    };
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(Ok(answer) | Err(answer)) => answer,
        Err(_) => {
            let seconds = PATIENCE.as_secs();
            Answer::Unavailable(format!("it does not answer within {seconds} seconds"))
        }
    }
}

/// The tags of what stands beside an image, the list before what it lists: some registries keep
/// what is listed.
fn beside(digest: &str) -> [String; 2] {
    let tag = digest.replace(':', "-");
    let statement = format!("{tag}.provenance");
    [tag, statement]
}

/// Requests to one repository. An `Err` is the answer to all of them.
struct Session<'a> {
    http: reqwest::Client,
    /// Ends with a slash.
    manifests: Url,
    repository: String,
    login: Option<&'a Login>,
    pass: Option<Pass>,
}

impl<'a> Session<'a> {
    fn new(target: &Target<'a>) -> Result<(Self, String), Answer> {
        let parts = target.image.split_once('@').and_then(|(name, digest)| {
            let (registry, repository) = name.split_once('/')?;
            Some((registry, repository, digest))
        });
        let named = parts.filter(|(_, repository, _)| is_repository(repository));
        let (registry, repository, digest) =
            named.ok_or_else(|| Answer::Refused("its name is none of an image".to_owned()))?;
        if !is_digest(digest) {
            return Err(Answer::Refused("it has no digest".to_owned()));
        }
        let scheme = if target.insecure { "http" } else { "https" };
        let image = Reference::with_digest(registry.into(), repository.into(), digest.into());
        let host = image.resolve_registry();
        let manifests = Url::parse(&format!("{scheme}://{host}/v2/{repository}/manifests/"))
            .map_err(|_| Answer::Refused(format!("{host} is no host")))?;
        let session = Self {
            http: client(&network::of(target.environment))
                .map_err(|error| Answer::Refused(error.to_string()))?,
            manifests,
            repository: repository.to_owned(),
            login: target.login,
            pass: None,
        };
        Ok((session, digest.to_owned()))
    }

    async fn remove(&mut self, digest: &str) -> Result<Answer, Answer> {
        let outcome = self.delete(digest).await?;
        if !matches!(outcome, Answer::Removed | Answer::Absent) {
            return Ok(outcome);
        }
        for tag in beside(digest) {
            let Some(found) = self.resolve(&tag).await? else {
                continue;
            };
            // The image is gone: whatever else is said of this is not worth a word.
            if let later @ Answer::Unavailable(_) = self.delete(&found).await? {
                return Ok(later);
            }
        }
        Ok(outcome)
    }

    async fn delete(&mut self, digest: &str) -> Result<Answer, Answer> {
        let answer = self.send(&Method::DELETE, digest).await?;
        let status = answer.status();
        let text = begin(answer, ANSWER_MAX).await;
        Ok(meaning(status, &text))
    }

    /// The digest of what a tag stands for, if there is such a tag.
    async fn resolve(&mut self, tag: &str) -> Result<Option<String>, Answer> {
        let answer = self.send(&Method::HEAD, tag).await?;
        if let later @ Answer::Unavailable(_) = meaning(answer.status(), &[]) {
            return Err(later);
        }
        let found = answer.status().is_success();
        let digest = answer.headers().get(DIGEST).and_then(|it| it.to_str().ok());
        let digest = digest.filter(|it| found && is_digest(it));
        Ok(digest.map(str::to_owned))
    }

    /// Sends a request, and does what the registry asks for to let it in.
    async fn send(&mut self, method: &Method, reference: &str) -> Result<Response, Answer> {
        // Not by `join`, to which a digest would be a URL.
        let url = Url::parse(&format!("{}{reference}", self.manifests));
        let url = url.map_err(|_| Answer::Refused("its name makes no URL".to_owned()))?;
        let answer = self.once(method, &url).await?;
        if answer.status() != StatusCode::UNAUTHORIZED || self.pass.is_some() {
            return Ok(answer);
        }
        let headers = answer.headers().get_all(header::WWW_AUTHENTICATE);
        let challenges: Vec<&str> = headers.iter().filter_map(|it| it.to_str().ok()).collect();
        self.pass = Some(self.pass(&challenges).await?);
        self.once(method, &url).await
    }

    async fn once(&self, method: &Method, url: &Url) -> Result<Response, Answer> {
        let request = self.http.request(method.clone(), url.clone());
        let request = request.header(header::ACCEPT, MANIFESTS);
        let request = match &self.pass {
            None => request,
            Some(Pass::Basic(login)) => request.basic_auth(&login.username, Some(&login.password)),
            Some(Pass::Bearer(token)) => request.bearer_auth(token),
        };
        request.send().await.map_err(|it| unreachable(url, &it))
    }
}

/// Whether it is the path of a repository, and so can stand in a URL as it is.
fn is_repository(text: &str) -> bool {
    let plain = |it: u8| matches!(it, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/');
    let named = |it: &str| it.starts_with(|first: char| first.is_ascii_alphanumeric());
    text.bytes().all(plain) && text.split('/').all(named)
}

/// Whether it is a digest, and so can stand in a path as it is.
fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|it| it.is_ascii_hexdigit()))
}

#[derive(Deserialize)]
struct Envelope {
    errors: Vec<Said>,
}

#[derive(Deserialize)]
struct Said {
    code: String,
}

/// What the answer to a DELETE means.
/// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes>
fn meaning(status: StatusCode, text: &[u8]) -> Answer {
    let unsupported = || {
        let envelope: Option<Envelope> = serde_json::from_slice(text).ok();
        envelope.is_some_and(|it| it.errors.iter().any(|said| said.code == "UNSUPPORTED"))
    };
    match status.as_u16() {
        200..300 => Answer::Removed,
        404 => Answer::Absent,
        405 | 501 => Answer::Unsupported,
        400..500 if unsupported() => Answer::Unsupported,
        401 | 403 => Answer::Unauthorized,
        408 | 425 | 429 | 500.. => Answer::Unavailable(format!("HTTP {status}")),
        300..400 => Answer::Refused(format!("HTTP {status}, a redirect, which is not followed")),
        _ => Answer::Refused(format!("HTTP {status}")),
    }
}

fn unreachable(url: &Url, error: &reqwest::Error) -> Answer {
    let host = url.host_str().unwrap_or_default();
    Answer::Unavailable(format!("{host} cannot be reached: {}", cause(error)))
}
