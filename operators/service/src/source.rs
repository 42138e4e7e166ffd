//! Looks at repositories and registries, beside the reconciles.
//!
//! Services that follow the same repository with the same credentials share one look, a look that
//! hangs holds up nobody else, and whoever asked is woken when the answer is there. Nothing of
//! this is stored: after a restart everything is looked at once.

mod git;
mod image;
mod secrets;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::Stream;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::{Semaphore, mpsc};
use trackbed_api::{Service, build::full_ref, reason::Reason, service::GitSource};
use trackbed_kit::Context;

use secrets::Secrets;

/// Looks that run at once.
const AT_ONCE: usize = 16;
/// Longest look.
const DEADLINE: Duration = Duration::from_secs(30);
/// An answer that young serves a changed spec too: it came after the change, or a moment before.
const FRESH: Duration = Duration::from_secs(2);
/// An answer that nobody asked for in this time is forgotten.
const FORGET: Duration = Duration::from_secs(25 * 3600);

/// What the source says now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// It is being looked at for the first time.
    #[default]
    Unknown,
    /// What to release.
    Found(Found),
    /// It cannot be told.
    Failed(Reason, String),
}

/// What to release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The commit, of a git source.
    pub commit: Option<String>,
    /// The full ref at which it was found.
    pub r#ref: Option<String>,
    /// The image by digest, of an image source.
    pub image: Option<String>,
}

/// A Secret by namespace and name.
type SecretKey = Option<(String, String)>;

/// What can be shared between Services: the refs of a repository, the digest of a tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Git {
        url: String,
        secret: SecretKey,
    },
    Image {
        reference: String,
        secret: SecretKey,
    },
}

/// A question to a source.
#[derive(Clone, Debug)]
pub struct Ask {
    key: Key,
    reference: Option<String>,
    interval: Duration,
}

/// An answer, whole.
#[derive(Clone, Debug)]
enum Answer {
    Git(trackbed_git::Remote),
    Image(String),
    Failed(Reason, String),
}

impl Ask {
    /// The question that a Service asks.
    ///
    /// # Errors
    /// None: the question stands where an error would, because a commit or a digest is an answer
    /// already.
    #[allow(clippy::result_large_err, reason = "both are made once a reconcile")]
    pub fn of(service: &Service, namespace: &str) -> Result<Look, Self> {
        let source = &service.spec.source;
        if let Some(git) = &source.git {
            if let Some(commit) = &git.commit {
                return Ok(Look::Found(Found {
                    commit: Some(commit.to_string()),
                    ..Found::default()
                }));
            }
            return Err(Self::git(git, namespace));
        }
        let Some(image) = &source.image else {
            return Ok(Look::Unknown);
        };
        if image.reference.contains("@sha256:") {
            return Ok(Look::Found(Found {
                image: Some(image.reference.to_string()),
                ..Found::default()
            }));
        }
        let secret = image.pull_secret_ref.as_ref();
        Err(Self {
            key: Key::Image {
                reference: image.reference.to_string(),
                secret: secret.map(|secret| (namespace.to_owned(), secret.name.to_string())),
            },
            reference: None,
            interval: image.interval.to_std(),
        })
    }

    fn git(git: &GitSource, namespace: &str) -> Self {
        let secret = git.secret_ref.as_ref();
        Self {
            key: Key::Git {
                url: git.url.to_string(),
                secret: secret.map(|secret| (namespace.to_owned(), secret.name.to_string())),
            },
            reference: full_ref(git.branch.as_ref(), git.tag.as_ref()),
            interval: git.interval.to_std(),
        }
    }
}

#[derive(Default)]
struct Entry {
    answer: Option<(Instant, Answer)>,
    underway: bool,
    waiting: HashSet<ObjectRef<Service>>,
}

#[derive(Default)]
struct State {
    entries: HashMap<Key, Entry>,
    /// The last request of a person to look now, by Service.
    requests: HashMap<ObjectRef<Service>, String>,
}

/// All sources that are followed.
pub struct Sources {
    context: Arc<Context>,
    secrets: Secrets,
    state: Mutex<State>,
    slots: Semaphore,
    wake: mpsc::UnboundedSender<ObjectRef<Service>>,
}

impl Sources {
    /// Nothing known yet, and the stream of Services that have an answer.
    pub fn new(
        context: Arc<Context>,
    ) -> (
        Arc<Self>,
        impl Stream<Item = ObjectRef<Service>> + Send + 'static,
    ) {
        let (wake, mut woken) = mpsc::unbounded_channel();
        let sources = Arc::new(Self {
            secrets: Secrets::new(context.client.clone()),
            context,
            state: Mutex::default(),
            slots: Semaphore::new(AT_ONCE),
            wake,
        });
        let answered = futures::stream::poll_fn(move |context| woken.poll_recv(context));
        (sources, answered)
    }

    /// The last answer, and how long it holds. Has the source looked at if the answer is older than
    /// the interval, or if `changed` or a new value of `asked` says that somebody waits.
    pub fn look(
        self: &Arc<Self>,
        who: ObjectRef<Service>,
        ask: Ask,
        changed: bool,
        asked: Option<&str>,
    ) -> (Look, Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let requested = asked.is_some_and(|asked| {
            state
                .requests
                .insert(who.clone(), asked.to_owned())
                .as_deref()
                != Some(asked)
        });
        let limit = if changed || requested {
            FRESH
        } else {
            ask.interval
        };
        let entry = state.entries.entry(ask.key.clone()).or_default();
        let age = entry.answer.as_ref().map(|(at, _)| at.elapsed());
        let again = match age {
            Some(age) if age < limit => ask.interval.saturating_sub(age),
            _ => {
                entry.waiting.insert(who);
                if !entry.underway {
                    entry.underway = true;
                    tokio::spawn(self.clone().answer(ask.key.clone()));
                }
                ask.interval
            }
        };
        let look = match &entry.answer {
            Some((_, answer)) => answer.to(ask.reference.as_deref()),
            None => Look::Unknown,
        };
        (look, again.mul_f64(1.0 + rand::random::<f64>() / 10.0))
    }

    async fn ask(&self, key: &Key) -> Answer {
        match key {
            Key::Git { url, secret } => {
                git::look(&self.secrets, url, secret.as_ref(), DEADLINE).await
            }
            Key::Image { reference, secret } => {
                let config = &self.context.config;
                let look = image::look(config, &self.secrets, reference, secret.as_ref());
                tokio::time::timeout(DEADLINE, look)
                    .await
                    .unwrap_or_else(|_| {
                        Answer::Failed(
                            Reason::HostUnreachable,
                            format!("the registry of {reference} did not answer in time"),
                        )
                    })
            }
        }
    }

    async fn answer(self: Arc<Self>, key: Key) {
        let slot = self.slots.acquire().await;
        let mut answer = self.ask(&key).await;
        let refused = matches!(
            answer,
            Answer::Failed(Reason::AuthenticationFailed | Reason::SecretInvalid, _)
        );
        // The Secret may have changed since it was read.
        if refused && self.secrets.forget(key.secret()) {
            answer = self.ask(&key).await;
        }
        drop(slot);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.entries.retain(|other, entry| {
            *other == key
                || entry.underway
                || entry
                    .answer
                    .as_ref()
                    .is_some_and(|(at, _)| at.elapsed() < FORGET)
        });
        let entry = state.entries.entry(key).or_default();
        entry.answer = Some((Instant::now(), answer));
        entry.underway = false;
        for who in entry.waiting.drain() {
            // A closed channel is a controller that has stopped.
            let _closed = self.wake.send(who);
        }
    }
}

impl Key {
    fn secret(&self) -> Option<&(String, String)> {
        match self {
            Self::Git { secret, .. } | Self::Image { secret, .. } => secret.as_ref(),
        }
    }
}

impl Answer {
    fn to(&self, reference: Option<&str>) -> Look {
        match self {
            Self::Image(image) => Look::Found(Found {
                image: Some(image.clone()),
                ..Found::default()
            }),
            Self::Failed(reason, message) => Look::Failed(*reason, message.clone()),
            Self::Git(remote) => git::resolve(remote, reference),
        }
    }
}
