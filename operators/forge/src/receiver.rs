//! The door that forges knock at: `POST /hooks/{namespace}/{name}`.
//!
//! What comes in is looked at in the order of what it costs: the path, the headers, whether the hook
//! exists, the length, and only then the body, of a few senders at once, up to a limit and
//! within a time. Unknown names, missing signatures and wrong ones get one and the same answer.
//! Whether a name exists could be told from the time until then, because only a known one has its
//! body read: a name is no secret, and opens nothing.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use futures::StreamExt;
use serde::Serialize;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::delivery::{Event, Format, PullRequest, Push, Refusal, open};

/// Longest body. GitHub sends no more than 25 MB, and cuts the list of commits much earlier; what is
/// read here is a fraction of the least.
pub const BODY_MAX: usize = 4 << 20;
/// Bodies that are read at once, of all hooks and of each: who keeps one busy keeps no other.
const READERS: usize = 16;
const READERS_EACH: usize = 4;
/// How long a sender may take for its body.
const PATIENCE: Duration = Duration::from_secs(10);

/// What stands behind the door.
pub trait Hooks: Send + Sync + 'static {
    /// Whether there is such a hook. Answered from memory.
    fn known(&self, namespace: &str, name: &str) -> bool;
    /// Its secret, if it has one.
    fn secret(&self, namespace: &str, name: &str) -> impl Future<Output = Option<Vec<u8>>> + Send;
    /// Its secret as it is now, after a delivery was signed with another. `None`: it is the same,
    /// or it was asked for only just now.
    fn renewed(&self, namespace: &str, name: &str) -> impl Future<Output = Option<Vec<u8>>> + Send;
    /// Something was pushed. Told twice, it changes nothing the second time. `None`: it cannot be
    /// passed on at the moment.
    fn push(
        &self,
        namespace: &str,
        name: &str,
        push: &Push,
    ) -> impl Future<Output = Option<Vec<Matched>>> + Send;
    /// A pull request is as told. As with pushes.
    fn pull_request(
        &self,
        namespace: &str,
        name: &str,
        request: &PullRequest,
    ) -> impl Future<Output = Option<Vec<Matched>>> + Send;
}

/// A Service that follows what was pushed, or has previews of the pull request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Matched {
    /// Its name.
    pub service: String,
    /// The ref that it follows, or the preview.
    pub r#ref: String,
    /// Whether something is done now. If not, it was told already.
    pub triggered: bool,
}

/// What became of deliveries, for metrics.
#[derive(Debug, Default)]
pub struct Counts([AtomicU64; OUTCOMES.len()]);

/// Names of the outcomes.
pub const OUTCOMES: [&str; 6] = [
    "accepted",
    "ignored",
    "unauthorized",
    "malformed",
    "too_large",
    "busy",
];

impl Counts {
    fn add(&self, outcome: &str) {
        let found = OUTCOMES.iter().zip(&self.0).find(|(it, _)| **it == outcome);
        if let Some((_, count)) = found {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Each outcome and how often it was.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let values = self.0.iter().map(|it| it.load(Ordering::Relaxed));
        OUTCOMES.into_iter().zip(values)
    }
}

/// Namespace and name.
type Hook = (String, String);

struct Door<H> {
    hooks: H,
    readers: Semaphore,
    reading: Mutex<HashMap<Hook, usize>>,
    counts: Arc<Counts>,
}

/// A place to read a body from, given back when it is dropped.
struct Reader<'a> {
    _all: SemaphorePermit<'a>,
    reading: &'a Mutex<HashMap<Hook, usize>>,
    hook: Hook,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = reading.get_mut(&self.hook) {
            *count -= 1;
            if *count == 0 {
                reading.remove(&self.hook);
            }
        }
    }
}

/// Why nothing was done.
enum Closed {
    Path,
    Unauthorized,
    TooLarge,
    Slow,
    Busy,
    Malformed(String),
    Failed,
}

impl From<Refusal> for Closed {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unsigned => Self::Unauthorized,
            Refusal::Malformed(_) => Self::Malformed(refusal.to_string()),
        }
    }
}

/// The routes.
pub fn router<H: Hooks>(hooks: H, counts: Arc<Counts>) -> Router {
    let door = Arc::new(Door {
        hooks,
        readers: Semaphore::new(READERS),
        reading: Mutex::default(),
        counts,
    });
    Router::new()
        .route("/hooks/{namespace}/{name}", post(receive::<H>))
        .with_state(door)
}

async fn receive<H: Hooks>(
    State(door): State<Arc<Door<H>>>,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Response {
    match door.enter(&namespace, &name, request).await {
        Ok(answer) => answer,
        Err(closed) => {
            door.counts.add(closed.outcome());
            closed.into_response()
        }
    }
}

impl<H: Hooks> Door<H> {
    async fn enter(
        &self,
        namespace: &str,
        name: &str,
        request: Request,
    ) -> Result<Response, Closed> {
        if !is_name(namespace) || !is_name(name) {
            return Err(Closed::Path);
        }
        let (head, body) = request.into_parts();
        if Format::of(&head.headers).is_none() || !self.hooks.known(namespace, name) {
            return Err(Closed::Unauthorized);
        }
        let _reader = self.reader(namespace, name).ok_or(Closed::Busy)?;
        if length(&head.headers).is_some_and(|length| length > BODY_MAX) {
            drain(body).await;
            return Err(Closed::TooLarge);
        }
        let secret = self.hooks.secret(namespace, name).await;
        let secret = secret.ok_or(Closed::Unauthorized)?;
        let body = read(body).await?;
        let event = match open(&head.headers, &body, &secret) {
            // A secret that was changed lately is not lost on anybody.
            Err(Refusal::Unsigned) => match self.hooks.renewed(namespace, name).await {
                Some(secret) => open(&head.headers, &body, &secret),
                None => Err(Refusal::Unsigned),
            },
            other => other,
        };
        self.take(namespace, name, event?).await
    }

    fn reader(&self, namespace: &str, name: &str) -> Option<Reader<'_>> {
        let all = self.readers.try_acquire().ok()?;
        let hook = (namespace.to_owned(), name.to_owned());
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let count = reading.entry(hook.clone()).or_default();
        if *count >= READERS_EACH {
            return None;
        }
        *count += 1;
        drop(reading);
        Some(Reader {
            _all: all,
            reading: &self.reading,
            hook,
        })
    }

    async fn take(&self, namespace: &str, name: &str, event: Event) -> Result<Response, Closed> {
        let hooks = &self.hooks;
        let (event, matched) = match event {
            Event::Push(push) => ("push", hooks.push(namespace, name, &push).await),
            // Its branch is somebody else's, who is not to run anything here.
            Event::PullRequest(request) if request.fork => {
                return Ok(self.ignored("pull request of a fork"));
            }
            Event::PullRequest(request) => {
                let matched = hooks.pull_request(namespace, name, &request).await;
                ("pull request", matched)
            }
            Event::Ping => return Ok(self.ignored("ping")),
            Event::Ignored(event) => return Ok(self.ignored(&event)),
        };
        let matched = matched.ok_or(Closed::Failed)?;
        self.counts.add("accepted");
        Ok(Json(Answer { event, matched }).into_response())
    }

    fn ignored(&self, event: &str) -> Response {
        self.counts.add("ignored");
        let answer = Answer {
            event,
            matched: Vec::new(),
        };
        Json(answer).into_response()
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    event: &'a str,
    matched: Vec<Matched>,
}

async fn read(body: Body) -> Result<Vec<u8>, Closed> {
    match tokio::time::timeout(PATIENCE, to_bytes(body, BODY_MAX)).await {
        Ok(Ok(bytes)) => Ok(bytes.to_vec()),
        Ok(Err(_)) => Err(Closed::TooLarge),
        Err(_) => Err(Closed::Slow),
    }
}

/// Takes in some of a body that is too large, and forgets it: who is cut off while they send sees no
/// answer.
async fn drain(body: Body) {
    let mut parts = body.into_data_stream();
    let mut left = BODY_MAX * 2;
    let forget = async {
        while let Some(Ok(part)) = parts.next().await {
            left = left.saturating_sub(part.len());
            if left == 0 {
                return;
            }
        }
    };
    // Slow or not, the answer is the same.
    let _drained = tokio::time::timeout(PATIENCE, forget).await;
}

fn length(headers: &HeaderMap) -> Option<usize> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// A name as Kubernetes has them (RFC 1123).
fn is_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    (1..=253).contains(&text.len())
        && text.chars().all(inner)
        && !text.starts_with(['-', '.'])
        && !text.ends_with(['-', '.'])
}

impl Closed {
    fn outcome(&self) -> &'static str {
        match self {
            Self::Path | Self::Unauthorized => "unauthorized",
            Self::TooLarge => "too_large",
            Self::Slow | Self::Malformed(_) => "malformed",
            Self::Busy | Self::Failed => "busy",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Path => StatusCode::NOT_FOUND,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Busy | Self::Failed => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Path => "there is nothing here",
            Self::Unauthorized => "the signature is missing or wrong",
            Self::TooLarge => "the payload is larger than 4 MiB",
            Self::Slow => "the payload did not arrive within 10 seconds",
            Self::Busy => "too many deliveries at once: try again",
            Self::Malformed(message) => message,
            Self::Failed => "the push cannot be passed on at the moment: try again",
        })
    }
}

impl IntoResponse for Closed {
    fn into_response(self) -> Response {
        let status = self.status();
        let text = format!("{self}\n");
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return (status, [(header::RETRY_AFTER, "5")], text).into_response();
        }
        (status, text).into_response()
    }
}
