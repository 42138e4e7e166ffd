//! The sending, and what the answer means.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use tokio::time::{Instant, timeout_at};
use trackbed_http::{begin, cause};

pub use trackbed_http::{Misconfigured, Network};

use super::{Provider, Request};

/// How long a forge may take for everything.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is read of a refusal. Only looked for phrases in: it is never shown or kept.
const ANSWER_MAX: usize = 4 << 10;
/// Longest pause that a forge may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(3600);

/// What sends. It follows no redirects, and keeps no connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    patience: Duration,
}

impl Client {
    /// With another time than ten seconds for everything.
    #[must_use]
    pub fn within(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}

/// Why a status does not stand at the commit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// The token is wrong, or may not do this.
    #[error("the forge does not accept the token, or does not let it set statuses of commits")]
    Unauthorized,
    /// There is no such repository, or no such commit in it.
    #[error("the forge knows no such repository or commit, or hides it from this token")]
    NotFound,
    /// The forge wants to be left alone for a while.
    #[error("the forge takes no more requests with this token for a while")]
    RateLimited {
        /// How long, if it says so. Never more than an hour.
        after: Option<Duration>,
    },
    /// The forge answered something else.
    #[error("the forge refused the status with {}", refused(*.0))]
    Refused(u16),
    /// The forge did not answer.
    #[error("{0}")]
    Unreachable(String),
}

impl PostError {
    /// Whether the same request may well succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Unreachable(_) => true,
            // GitLab answers 409 while somebody else writes to the same pipeline.
            Self::Refused(status) => matches!(status, 408 | 409 | 423 | 425 | 500..),
            Self::Unauthorized | Self::NotFound => false,
        }
    }
}

fn refused(status: u16) -> String {
    match status {
        300..400 => format!(
            "HTTP {status}, a redirect, which is not followed: name the address that it leads to"
        ),
        _ => format!("HTTP {status}"),
    }
}

/// Makes what sends. A default crypto provider of rustls has to be installed before.
///
/// # Errors
/// When certificates or proxies cannot be read.
pub fn client(network: &Network<'_>) -> Result<Client, Misconfigured> {
    let http = trackbed_http::client(network)?;
    Ok(Client {
        http,
        patience: PATIENCE,
    })
}

/// Sends a request, once.
///
/// # Errors
/// With the class of what went wrong, if the status does not stand at the commit now.
pub async fn post(client: &Client, request: Request) -> Result<(), PostError> {
    let deadline = Instant::now() + client.patience;
    let host = request.url.host_str().unwrap_or_default().to_owned();
    let sending = client
        .http
        .post(request.url)
        .headers(request.headers)
        .body(request.body.to_string())
        .send();
    let answer = match timeout_at(deadline, sending).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            let why = cause(&error);
            let sentence = format!("{host} cannot be reached: {why}");
            return Err(PostError::Unreachable(sentence));
        }
        Err(_) => {
            let seconds = client.patience.as_secs_f32();
            let sentence = format!("{host} does not answer within {seconds} seconds");
            return Err(PostError::Unreachable(sentence));
        }
    };
    let (status, headers) = (answer.status(), answer.headers().clone());
    if status.is_success() {
        return Ok(());
    }
    // Whatever the rest of it does, the status was said.
    let text = timeout_at(deadline, begin(answer, ANSWER_MAX)).await;
    meaning(
        request.provider,
        status,
        &headers,
        &text.unwrap_or_default(),
    )
}

/// What an answer means that is no success.
fn meaning(
    provider: Provider,
    status: StatusCode,
    headers: &HeaderMap,
    text: &[u8],
) -> Result<(), PostError> {
    let says = |phrase: &str| text.windows(phrase.len()).any(|it| it == phrase.as_bytes());
    match (provider, status.as_u16()) {
        // It refuses to be told twice that something runs. Then it knows.
        (Provider::GitLab, 400) if says("via :run from :running") => Ok(()),
        (Provider::GitHub, 422) if says("No commit found") => Err(PostError::NotFound),
        (_, 429) => Err(limited(headers)),
        // https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
        (Provider::GitHub, 403) if spent(headers) || says("rate limit") => Err(limited(headers)),
        (_, 401 | 403) => Err(PostError::Unauthorized),
        (_, 404) => Err(PostError::NotFound),
        (_, 407) => Err(PostError::Unreachable(
            "the proxy wants to know who asks (HTTP 407)".to_owned(),
        )),
        (_, status) => Err(PostError::Refused(status)),
    }
}

fn spent(headers: &HeaderMap) -> bool {
    let none_left = headers
        .get("x-ratelimit-remaining")
        .is_some_and(|it| it == "0");
    none_left || headers.contains_key("retry-after")
}

fn limited(headers: &HeaderMap) -> PostError {
    let text = headers.get("retry-after").and_then(|it| it.to_str().ok());
    let seconds = text.and_then(|it| it.parse().ok()).map(Duration::from_secs);
    PostError::RateLimited {
        after: seconds.map(|it| it.min(PAUSE_MAX)),
    }
}
