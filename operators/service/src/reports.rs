//! Tells forges what became of commits, beside the reconciles, which it wakes when it is done.
//!
//! What was said last stands in the Service's status. If that is lost, or the operator ends before
//! it is written, the same is said again, which changes nothing on the forge.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{Stream, channel::mpsc};
use kube::runtime::reflector::ObjectRef;
use secrecy::SecretString;
use tokio::sync::Semaphore;
use trackbed_api::{
    Service,
    reason::Reason,
    service::{CommitState, CommitStatus, Forge},
};
use trackbed_forge::status::{self, Client, PostError, Provider, State};
use trackbed_kit::{Context, network};

use crate::{plan::report::Report, source::secrets::Secrets};

/// Key of the Secret that the token is in.
const KEY: &str = "token";
/// Forges are told of so many commits at once.
const AT_ONCE: usize = 8;
/// Pause after the first failure, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));

/// How telling a forge went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What was said.
    pub status: CommitStatus,
    /// Whether it was taken.
    pub outcome: Result<(), (Reason, String)>,
}

/// What is, or was, said of a Service's commit.
struct Entry {
    status: CommitStatus,
    /// `None`: it is being said.
    outcome: Option<Result<(), (Reason, String)>>,
    /// Failures in a row, and until when it is not tried again.
    failures: u32,
    until: Instant,
}

/// What forges are told.
pub struct Reports {
    secrets: Secrets,
    http: Result<Client, String>,
    entries: Mutex<HashMap<ObjectRef<Service>, Entry>>,
    places: Semaphore,
    wake: mpsc::UnboundedSender<ObjectRef<Service>>,
}

impl Reports {
    /// Nothing said yet, and the stream of Services of which something was.
    pub fn new(
        context: &Context,
    ) -> (
        Arc<Self>,
        impl Stream<Item = ObjectRef<Service>> + Send + 'static,
    ) {
        let (wake, told) = mpsc::unbounded();
        let http = status::client(&network::of(&context.config.build.environment));
        let reports = Arc::new(Self {
            secrets: Secrets::new(context.client.clone()),
            http: http.map_err(|error| error.to_string()),
            entries: Mutex::default(),
            places: Semaphore::new(AT_ONCE),
            wake,
        });
        (reports, told)
    }

    /// How telling the forge went last, and when it may be tried again if it went wrong.
    pub(crate) fn told(&self, who: &ObjectRef<Service>) -> (Option<Told>, Option<Duration>) {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = entries.get(who) else {
            return (None, None);
        };
        let told = entry.outcome.clone().map(|outcome| Told {
            status: entry.status.clone(),
            outcome,
        });
        let failed = told.as_ref().is_some_and(|told| told.outcome.is_err());
        let again = entry.until.saturating_duration_since(Instant::now());
        (told, failed.then_some(again))
    }

    /// Tells the forge, unless it is being told, was told, or failed to listen just now.
    pub(crate) fn tell(self: &Arc<Self>, who: ObjectRef<Service>, report: Report) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut failures = 0;
        if let Some(entry) = entries.get(&who) {
            // What comes next is said when this was: forges believe the last.
            let Some(outcome) = &entry.outcome else {
                return;
            };
            let same = entry.status == report.status;
            if same && (outcome.is_ok() || Instant::now() < entry.until) {
                return;
            }
            failures = if same { entry.failures } else { 0 };
        }
        let entry = Entry {
            status: report.status.clone(),
            outcome: None,
            failures,
            until: Instant::now(),
        };
        entries.insert(who.clone(), entry);
        tokio::spawn(self.clone().post(who, report));
    }

    /// The Service is gone.
    pub(crate) fn forget(&self, who: &ObjectRef<Service>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.remove(who);
    }

    async fn post(self: Arc<Self>, who: ObjectRef<Service>, report: Report) {
        let outcome = {
            // Nobody closes it.
            let _place = self.places.acquire().await;
            self.say(&report).await
        };
        if let Err((reason, message)) = &outcome {
            tracing::info!(service = %who, reason = reason.as_str(), message, "the forge does not listen");
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get_mut(&who) {
            entry.failures = outcome
                .as_ref()
                .map_or(entry.failures.saturating_add(1), |()| 0);
            entry.until = Instant::now() + pause(entry.failures);
            entry.outcome = Some(outcome);
            // A closed channel is a controller that has stopped.
            let _closed = self.wake.unbounded_send(who);
        }
    }

    async fn say(&self, report: &Report) -> Result<(), (Reason, String)> {
        let refused = |message: String| (Reason::CommitStatusRefused, message);
        let http = self.http.as_ref().map_err(|error| refused(error.clone()))?;
        let forge = match report.statuses.forge {
            Some(forge) => provider(forge),
            None => status::guess(&report.repository).ok_or_else(|| {
                refused(
                    "what the forge is cannot be told from its host: set source.git.statuses.forge"
                        .to_owned(),
                )
            })?,
        };
        let token = self.token(report).await?;
        let said = status::Report {
            commit: report.status.commit.clone(),
            state: match report.status.state {
                CommitState::Pending => State::Pending,
                CommitState::Success => State::Success,
                CommitState::Failure => State::Failure,
            },
            context: report.context.clone(),
            description: report.description.clone(),
            target_url: report.url.clone(),
        };
        let api = report.statuses.api.as_deref();
        let request = status::request(forge, &report.repository, api, &token, &said)
            .map_err(|error| refused(error.to_string()))?;
        let posted = status::post(http, request).await;
        posted.map_err(|error| match &error {
            PostError::Unreachable(_) | PostError::RateLimited { .. } => {
                (Reason::HostUnreachable, error.to_string())
            }
            _ => refused(error.to_string()),
        })
    }

    async fn token(&self, report: &Report) -> Result<SecretString, (Reason, String)> {
        let name = &report.statuses.secret_ref.name;
        let wrong = |message: String| (Reason::SecretInvalid, message);
        let key = (report.namespace.clone(), name.to_string());
        let hint = "source.git.statuses.secretRef names it; create it with the key token";
        // A failure may be that of a token that was replaced since.
        self.secrets.forget(Some(&key));
        let secret = self.secrets.get(&key, hint).await.map_err(wrong)?;
        let data = secret.data.unwrap_or_default();
        let token = data.get(KEY).and_then(|it| std::str::from_utf8(&it.0).ok());
        let token = token.map(str::trim).filter(|token| !token.is_empty());
        token.map(SecretString::from).ok_or_else(|| {
            wrong(format!(
                "Secret {name} has no key {KEY}: add an access token that may write commit statuses"
            ))
        })
    }
}

fn provider(forge: Forge) -> Provider {
    match forge {
        Forge::GitHub => Provider::GitHub,
        Forge::GitLab => Provider::GitLab,
        Forge::Gitea => Provider::Gitea,
        Forge::Bitbucket => Provider::Bitbucket,
        Forge::BitbucketServer => Provider::BitbucketServer,
    }
}

fn pause(failures: u32) -> Duration {
    let doubled = PAUSE
        .0
        .saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(PAUSE.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forge_that_does_not_listen_is_told_less_and_less_often() {
        let pauses: Vec<u64> = (1..8).map(|n| pause(n).as_secs()).collect();
        assert_eq!(pauses, [30, 60, 120, 240, 480, 600, 600]);
    }
}
