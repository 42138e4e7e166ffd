//! Which Services a webhook is for. No I/O and no clock.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
};

use jiff::Timestamp;
use kube::{ResourceExt, runtime::watcher::Event};
use trackbed_api::{Service, build::full_ref, labels, preview::PullRequest};
use trackbed_forge::delivery::{self, Change, Push};
use trackbed_git::Url;
use trackbed_kit::meta;

use super::pulls;

/// Namespace, and name in it.
type Key = (String, String);

/// What is known of the Services that have a webhook.
#[derive(Debug, Default)]
pub(super) struct Feed {
    now: Index,
    /// What a list that is under way has told so far.
    next: Option<Index>,
}

/// Services by the Secret that their webhook is signed with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    hooks: HashMap<Key, BTreeMap<String, Follows>>,
    /// The Secret of each Service.
    secrets: HashMap<Key, String>,
}

/// What of a Service decides whether a push concerns it.
#[derive(Debug, PartialEq, Eq)]
struct Follows {
    /// The repository on its host, in lower case.
    repository: String,
    /// The full ref that it follows. `None`: HEAD, and nobody knows yet what that names.
    reference: Option<String>,
    /// The commit that was taken up last.
    commit: Option<String>,
    /// What it was told last.
    told: Option<String>,
    /// The pull requests that it was told of, by the names of their previews, if it has previews.
    requests: Option<BTreeMap<String, PullRequest>>,
}

/// A Service that follows what was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Its name.
    pub service: String,
    /// The ref that moved, or the preview.
    pub reference: String,
    /// What to tell it: an annotation, and its value or that it goes. `None`: it knows already.
    pub value: Option<(String, Option<String>)>,
}

impl Feed {
    /// What is known.
    pub(super) fn now(&self) -> &Index {
        &self.now
    }

    /// Takes in what the watch says. What went while the watch was down is not in the next list.
    pub(super) fn apply(&mut self, event: Event<Service>) {
        match event {
            Event::Init => self.next = Some(Index::default()),
            Event::InitApply(service) => self.next.get_or_insert_default().put(&service),
            Event::InitDone => self.now = mem::take(&mut self.next).unwrap_or_default(),
            Event::Apply(service) => self.now.put(&service),
            Event::Delete(service) => self.now.remove(&key(&service)),
        }
    }
}

fn key(service: &Service) -> Key {
    (service.namespace().unwrap_or_default(), service.name_any())
}

impl Index {
    fn put(&mut self, service: &Service) {
        let key = key(service);
        self.remove(&key);
        let Some((secret, follows)) = Follows::of(service) else {
            return;
        };
        let (namespace, name) = key.clone();
        self.secrets.insert(key, secret.clone());
        let hook = self.hooks.entry((namespace, secret)).or_default();
        hook.insert(name, follows);
    }

    fn remove(&mut self, key: &Key) {
        let Some(secret) = self.secrets.remove(key) else {
            return;
        };
        let hook = (key.0.clone(), secret);
        if let Some(services) = self.hooks.get_mut(&hook) {
            services.remove(&key.1);
            if services.is_empty() {
                self.hooks.remove(&hook);
            }
        }
    }

    /// Whether a Service of the namespace has a webhook that is signed with this Secret.
    pub(super) fn known(&self, namespace: &str, secret: &str) -> bool {
        let hook = (namespace.to_owned(), secret.to_owned());
        self.hooks.contains_key(&hook)
    }

    /// The Services that have a preview of a pull request, or are to have one.
    pub(super) fn previews(
        &self,
        namespace: &str,
        secret: &str,
        told: &delivery::PullRequest,
        now: Timestamp,
    ) -> Vec<Target> {
        let of: Vec<String> = told.urls.iter().filter_map(|url| repository(url)).collect();
        let hook = (namespace.to_owned(), secret.to_owned());
        let all = self
            .hooks
            .iter()
            .filter(|((there, _), _)| there == namespace);
        let all = all.flat_map(|(_, services)| services.values());
        let shared = all
            .filter(|it| it.requests.is_some())
            .all(|it| of.contains(&it.repository));
        let services = self.hooks.get(&hook).into_iter().flatten();
        let services = services.filter(|(_, it)| of.contains(&it.repository));
        // All of them have it under the name that the first was told.
        let known = services.clone().filter_map(|(_, it)| it.requests.as_ref());
        let mut known = known.flatten().filter(|(_, it)| it.number == told.number);
        let given = known.next().map(|(name, _)| name.clone());
        services
            .filter_map(|(service, it)| {
                let requests = it.requests.as_ref()?;
                let name = match (&given, shared) {
                    (Some(name), _) => name.clone(),
                    (None, true) => format!("pr-{}", told.number),
                    (None, false) => pulls::name(&it.repository, told.number),
                };
                let (name, value) = pulls::news(requests, name, told, now);
                Some(Target {
                    service: service.clone(),
                    reference: format!("preview {name}"),
                    value: value.map(|value| (format!("{}{name}", labels::PULL_REQUEST), value)),
                })
            })
            .collect()
    }

    /// The Services that follow what was pushed.
    pub(super) fn targets(
        &self,
        namespace: &str,
        secret: &str,
        push: &Push,
        now: Timestamp,
    ) -> Vec<Target> {
        let hook = (namespace.to_owned(), secret.to_owned());
        let repositories: Vec<String> =
            push.urls.iter().filter_map(|url| repository(url)).collect();
        let services = self.hooks.get(&hook).into_iter().flatten();
        services
            .filter(|(_, follows)| repositories.contains(&follows.repository))
            .filter_map(|(service, follows)| {
                let change = push.changes.iter().find(|it| follows.moves(it))?;
                Some(Target {
                    service: service.clone(),
                    reference: change.reference.clone(),
                    value: follows
                        .news(change, now)
                        .map(|value| (labels::RECONCILE_AT.to_owned(), Some(value))),
                })
            })
            .collect()
    }
}

/// A repository by its path alone: inside of a cluster a forge is often reached by another name
/// than the one that it has for itself.
fn repository(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    Some(url.repository().to_ascii_lowercase())
}

impl Follows {
    fn of(service: &Service) -> Option<(String, Self)> {
        let git = service.spec.source.git.as_ref()?;
        let webhook = git.webhook.as_ref()?;
        if git.commit.is_some() {
            return None;
        }
        let taken = service.status.as_ref().and_then(|it| it.source.as_ref());
        let named = full_ref(git.branch.as_ref(), git.tag.as_ref());
        let follows = Self {
            repository: repository(&git.url)?,
            reference: named.or_else(|| taken?.r#ref.clone()),
            commit: taken.and_then(|it| it.commit.clone()),
            told: meta::annotation(service, labels::RECONCILE_AT).map(str::to_owned),
            requests: (webhook.previews && git.tag.is_none())
                .then(|| PullRequest::of(service).collect()),
        };
        Some((webhook.secret_ref.name.to_string(), follows))
    }

    fn moves(&self, change: &Change) -> bool {
        match &self.reference {
            Some(reference) => *reference == change.reference,
            None => change.reference.starts_with("refs/heads/"),
        }
    }

    /// What to tell it, if it is anything new.
    fn news(&self, change: &Change, now: Timestamp) -> Option<String> {
        let Change { reference, commit } = change;
        let Some(commit) = commit else {
            // Deleted, or the sender does not say: only a look tells.
            return Some(format!("{reference}@{:.0}", now));
        };
        let value = format!("{reference}@{commit}");
        let known = self.commit.as_ref() == Some(commit) || self.told.as_ref() == Some(&value);
        (!known).then_some(value)
    }
}

#[cfg(test)]
mod tests;
