//! Looks at repositories and registries, beside the reconciles.
//!
//! Services that follow the same repository with the same credentials share one look, a look that
//! hangs holds up nobody else, and whoever asked is woken when the answer is there. Nothing of
//! this is stored: after a restart everything is looked at once.

pub mod child;
mod git;
mod image;
mod lanes;
pub(crate) mod secrets;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::Stream;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::{Semaphore, mpsc};
use trackbed_api::{Service, build::full_ref, reason::Reason, service::GitSource};
use trackbed_git::Touched;
use trackbed_kit::Context;

use lanes::Lanes;
use secrets::Secrets;

/// Longest look.
const DEADLINE: Duration = Duration::from_secs(30);
/// Longest comparison of two commits, and how many run at once.
const COMPARE: Duration = Duration::from_secs(600);
const COMPARISONS: usize = 2;
/// An answer that nobody asked for in this time is forgotten.
const FORGET: Duration = Duration::from_secs(25 * 3600);

/// What the source says now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// Nothing is known yet, and nobody changed anything either.
    #[default]
    Unknown,
    /// It is being looked at because somebody waits for it.
    Pending,
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
    /// Nothing that the Service watches differs from what was built last.
    pub untouched: bool,
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
        range: Option<String>,
        secret: SecretKey,
    },
    Between {
        url: String,
        secret: SecretKey,
        reference: Option<String>,
        from: String,
        to: String,
        patterns: Vec<String>,
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
    Touched(Touched),
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
                range: image.semver.as_ref().map(ToString::to_string),
                secret: secret.map(|secret| (namespace.to_owned(), secret.name.to_string())),
            },
            reference: None,
            interval: image.interval.to_std(),
        })
    }

    /// The question whether a commit is worth a build, if it is one: since the commit that was built
    /// last, of the same inputs, something else may have changed than the Service watches.
    pub fn between(
        service: &Service,
        namespace: &str,
        found: &Found,
        inputs: &str,
    ) -> Option<Self> {
        let git = service.spec.source.git.as_ref()?;
        let before = service.status.as_ref()?.source.as_ref()?;
        let to = found.commit.as_ref()?;
        let from = before.built_commit.as_ref().or(before.commit.as_ref())?;
        let known = before.commit.as_ref() == Some(to) || from == to;
        let asked = git.watch_paths.is_empty() || git.commit.is_some();
        if known || asked || before.inputs.as_deref() != Some(inputs) {
            return None;
        }
        let secret = git.secret_ref.as_ref();
        Some(Self {
            key: Key::Between {
                url: git.url.to_string(),
                secret: secret.map(|secret| (namespace.to_owned(), secret.name.to_string())),
                reference: found.r#ref.clone(),
                from: from.clone(),
                to: to.clone(),
                patterns: git.watch_paths.iter().map(ToString::to_string).collect(),
            },
            reference: None,
            // Two commits stay what they are.
            interval: FORGET,
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
    /// When the look that is under way began.
    underway: Option<Instant>,
    /// Who is to be woken, and since when they wait for a look of their own.
    waiting: HashMap<ObjectRef<Service>, Option<Instant>>,
}

impl Entry {
    /// Takes an answer, and gives those that it is for. Who asked when the look had begun already
    /// may have changed just what it saw, and waits for the next.
    fn take(&mut self, answer: Answer, now: Instant) -> Vec<ObjectRef<Service>> {
        let began = self.underway.take();
        self.answer = Some((now, answer));
        let early = |since: &Option<Instant>| *since <= began;
        let served = self.waiting.extract_if(|_, since| early(since));
        served.map(|(who, _)| who).collect()
    }
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
    lanes: Lanes,
    /// Places of comparisons, which take longer than looks and shall not hold them up.
    comparisons: Semaphore,
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
            lanes: Lanes::new(),
            comparisons: Semaphore::new(COMPARISONS),
            wake,
        });
        let answered = futures::stream::poll_fn(move |context| woken.poll_recv(context));
        (sources, answered)
    }

    /// The last answer, and how long it holds. Has the source looked at if the answer is older than
    /// the interval, or if `changed` or a new value of `asked` says that somebody waits: to them an
    /// answer of before is none.
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
        let entry = state.entries.entry(ask.key.clone()).or_default();
        let now = Instant::now();
        let demand = (changed || requested).then_some(now);
        let age = entry.answer.as_ref().map(|(at, _)| at.elapsed());
        let pause = self.lanes.pause(&ask.key.host()).filter(|_| age.is_some());
        let good = age.filter(|age| demand.is_none() && (*age < ask.interval || pause.is_some()));
        let waits = entry.waiting.get(&who).copied();
        if good.is_none() && (demand.is_some() || waits.is_none()) {
            entry.waiting.insert(who, demand);
        }
        if good.is_none() && entry.underway.is_none() {
            entry.underway = Some(now);
            tokio::spawn(self.clone().answer(ask.key.clone()));
        }
        let rest = ask.interval.saturating_sub(good.unwrap_or_default());
        let again = rest.max(pause.unwrap_or_default());
        let pending = demand.is_some() || waits.is_some_and(|since| since.is_some());
        let look = match &entry.answer {
            _ if pending => Look::Pending,
            Some((_, answer)) => answer.to(ask.reference.as_deref()),
            None => Look::Unknown,
        };
        (look, again.mul_f64(1.0 + rand::random::<f64>() / 10.0))
    }

    async fn ask(&self, key: &Key) -> Answer {
        match key {
            Key::Git { url, secret } => {
                git::look(
                    &self.context.config,
                    &self.secrets,
                    url,
                    secret.as_ref(),
                    DEADLINE,
                )
                .await
            }
            Key::Between { .. } => {
                git::compare(&self.context.config, &self.secrets, key, COMPARE).await
            }
            Key::Image {
                reference,
                range,
                secret,
            } => {
                let config = &self.context.config;
                let (range, secret) = (range.as_deref(), secret.as_ref());
                let look = image::look(config, &self.secrets, reference, range, secret);
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

    /// Looks until nobody waits.
    async fn answer(self: Arc<Self>, key: Key) {
        loop {
            let answer = self.fresh(&key).await;
            let now = Instant::now();
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.entries.retain(|other, entry| {
                let answer = entry.answer.as_ref();
                let wanted = answer.is_some_and(|(at, _)| at.elapsed() < FORGET);
                *other == key || entry.underway.is_some() || wanted
            });
            let entry = state.entries.entry(key.clone()).or_default();
            for who in entry.take(answer, now) {
                // A closed channel is a controller that has stopped.
                let _closed = self.wake.send(who);
            }
            if entry.waiting.is_empty() {
                return;
            }
            entry.underway = Some(now);
        }
    }

    /// An answer by the Secret as it is now.
    async fn fresh(&self, key: &Key) -> Answer {
        if matches!(key, Key::Between { .. }) {
            // Nobody closes it.
            let _place = self.comparisons.acquire().await;
            return self.ask(key).await;
        }
        let host = key.host();
        let _place = self.lanes.enter(&host).await;
        let answer = self.ask(key).await;
        self.lanes.said(&host, !answer.is_silence());
        let refused = matches!(
            answer,
            Answer::Failed(Reason::AuthenticationFailed | Reason::SecretInvalid, _)
        );
        // The Secret may have changed since it was read.
        if refused && self.secrets.forget(key.secret()) {
            return self.ask(key).await;
        }
        answer
    }
}

impl Key {
    /// The host that is asked.
    fn host(&self) -> String {
        match self {
            // What cannot be read is refused before anybody is asked.
            Self::Git { url, .. } | Self::Between { url, .. } => trackbed_git::Url::parse(url)
                .map(|url| url.host)
                .unwrap_or_default(),
            Self::Image { reference, .. } => image::registry(reference),
        }
    }

    fn secret(&self) -> Option<&(String, String)> {
        match self {
            Self::Git { secret, .. }
            | Self::Image { secret, .. }
            | Self::Between { secret, .. } => secret.as_ref(),
        }
    }
}

impl Answer {
    /// Whether the host said nothing at all.
    fn is_silence(&self) -> bool {
        matches!(
            self,
            Self::Failed(Reason::HostUnreachable | Reason::SourceTimeout, _)
        )
    }

    fn to(&self, reference: Option<&str>) -> Look {
        match self {
            Self::Image(image) => Look::Found(Found {
                image: Some(image.clone()),
                ..Found::default()
            }),
            Self::Failed(reason, message) => Look::Failed(*reason, message.clone()),
            Self::Git(remote) => git::resolve(remote, reference),
            Self::Touched(touched) => Look::Found(Found {
                untouched: *touched == Touched::No,
                ..Found::default()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_serves_those_who_asked_before_it_began() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let who = ObjectRef::<Service>::new;
        let mut entry = Entry {
            underway: Some(now),
            waiting: HashMap::from([
                (who("polls"), None),
                (who("changed-before"), Some(now)),
                (who("changed-since"), Some(later)),
            ]),
            ..Entry::default()
        };
        let mut served = entry.take(Answer::Image("an image".to_owned()), later);
        served.sort_by(|one, other| one.name.cmp(&other.name));
        assert_eq!(served, [who("changed-before"), who("polls")]);
        assert_eq!(entry.waiting.len(), 1, "the other waits for the next look");
        assert_eq!(entry.underway, None);
    }
}
