//! Looks at repositories and registries, beside the reconciles.
//!
//! Services that follow the same repository with the same credentials share one look, a look that
//! hangs holds up nobody else, and whoever asked is woken when the answer is there. Nothing of
//! this is stored: after a restart everything is looked at once.

mod ask;
pub mod child;
mod git;
mod image;
mod lanes;
pub(crate) mod secrets;

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{Stream, channel::mpsc};
use kube::runtime::reflector::ObjectRef;
use tokio::sync::Semaphore;
use trackbed_api::{Project, Service, reason::Reason};
use trackbed_git::Touched;
use trackbed_kit::{Cache, Config, Context};

pub use ask::Ask;
use ask::{Key, What};
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

/// An answer, whole.
#[derive(Clone, Debug)]
enum Answer {
    Git(trackbed_git::Remote),
    Image(String),
    Touched(Touched),
    Failed(Reason, String),
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
    projects: Cache<Project>,
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
        projects: Cache<Project>,
    ) -> (
        Arc<Self>,
        impl Stream<Item = ObjectRef<Service>> + Send + 'static,
    ) {
        let (wake, answered) = mpsc::unbounded();
        let sources = Arc::new(Self {
            secrets: Secrets::new(context.client.clone()),
            context,
            projects,
            state: Mutex::default(),
            lanes: Lanes::new(),
            comparisons: Semaphore::new(COMPARISONS),
            wake,
        });
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
        let config = self.config(key);
        match &key.what {
            What::Git { url, secret } => {
                git::look(&config, &self.secrets, url, secret.as_ref(), DEADLINE).await
            }
            What::Between { .. } => git::compare(&config, &self.secrets, &key.what, COMPARE).await,
            What::Image {
                reference,
                range,
                secret,
            } => {
                let (range, secret) = (range.as_deref(), secret.as_ref());
                let look = image::look(&config, &self.secrets, reference, range, secret);
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

    /// The settings, with what the Project says itself.
    fn config(&self, key: &Key) -> Cow<'_, Config> {
        let settings = &self.context.config;
        let project = key.project.as_deref();
        let project = project.and_then(|name| self.projects.get_cluster(name));
        let Some(own) = project.as_ref().and_then(|it| it.spec.build.as_ref()) else {
            return Cow::Borrowed(settings);
        };
        let mut config = Config::clone(settings);
        config.build.environment = own.environment.over(&settings.build.environment);
        Cow::Owned(config)
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
                let _closed = self.wake.unbounded_send(who);
            }
            if entry.waiting.is_empty() {
                return;
            }
            entry.underway = Some(now);
        }
    }

    /// An answer by the Secret as it is now.
    async fn fresh(&self, key: &Key) -> Answer {
        if matches!(key.what, What::Between { .. }) {
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
            Answer::Failed(
                Reason::AuthenticationFailed | Reason::SecretInvalid | Reason::HostKeyMismatch,
                _
            )
        );
        // The Secret may have changed since it was read.
        if refused && self.secrets.forget(key.secret()) {
            return self.ask(key).await;
        }
        answer
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
