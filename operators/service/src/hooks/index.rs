//! Which Services a webhook is for. No I/O and no clock.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
};

use jiff::Timestamp;
use kube::{ResourceExt, runtime::watcher::Event};
use trackbed_api::{Service, build::full_ref, labels};
use trackbed_forge::delivery::{Change, Push};
use trackbed_git::Url;
use trackbed_kit::meta;

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
}

/// A Service that follows what was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Its name.
    pub service: String,
    /// The ref that moved.
    pub reference: String,
    /// What to tell it. `None`: it knows already.
    pub value: Option<String>,
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
                    value: follows.news(change, now),
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
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use std::fmt::Write;

    const OLD: &str = "3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6";
    const NEW: &str = "a000000000000000000000000000000000000001";

    fn service(name: &str, git: &str, rest: &str) -> Service {
        serde_saphyr::from_str(&format!(
            "metadata: {{name: {name}, namespace: shop-production{rest}}}\nspec: {{source: {{git: {{{git}}}}}}}\nstatus: {{source: {{sequence: 1, commit: {OLD}, ref: refs/heads/main}}}}\n"
        ))
        .expect("YAML")
    }

    fn index(services: &[Service]) -> Index {
        let mut index = Index::default();
        services.iter().for_each(|it| index.put(it));
        index
    }

    fn push(url: &str, reference: &str, commit: Option<&str>) -> Push {
        Push {
            urls: vec![url.to_owned()],
            changes: vec![Change {
                reference: reference.to_owned(),
                commit: commit.map(str::to_owned),
            }],
        }
    }

    fn check(index: &Index, push: &Push, expected: &Expect) {
        let now = Timestamp::from_second(1_700_000_000).expect("a time");
        let mut text = String::new();
        for target in index.targets("shop-production", "hook", push, now) {
            let value = target.value.as_deref().unwrap_or("knows already");
            writeln!(text, "{}: {value}", target.service).expect("a String takes it");
        }
        expected.assert_eq(&text);
    }

    const HOOK: &str = "webhook: {secretRef: {name: hook}}";

    fn shop() -> Index {
        let url = "url: 'https://git.example.com/acme/shop'";
        index(&[
            service("head", &format!("{url}, {HOOK}"), ""),
            service("main", &format!("{url}, branch: main, {HOOK}"), ""),
            service("cart", &format!("{url}, branch: feature/cart, {HOOK}"), ""),
            service("tag", &format!("{url}, tag: v1, {HOOK}"), ""),
            service("pinned", &format!("{url}, commit: {OLD}, {HOOK}"), ""),
            service(
                "by-ssh",
                &format!("url: 'git@git.internal:Acme/shop.git', {HOOK}"),
                "",
            ),
            service(
                "elsewhere",
                &format!("url: 'https://git.example.com/acme/blog', {HOOK}"),
                "",
            ),
            service(
                "another-secret",
                &format!("{url}, webhook: {{secretRef: {{name: other}}}}"),
                "",
            ),
            service("no-webhook", url, ""),
            service(
                "told",
                &format!("{url}, {HOOK}"),
                &format!(", annotations: {{trackbed.dev/reconcile-at: 'refs/heads/main@{NEW}'}}"),
            ),
        ])
    }

    const SHOP: &str = "https://forge.example.com/acme/shop.git";

    #[test]
    fn a_push_is_for_those_who_follow_its_repository_and_ref() {
        let shop = shop();
        check(
            &shop,
            &push(SHOP, "refs/heads/main", Some(NEW)),
            &expect![[r#"
            by-ssh: refs/heads/main@a000000000000000000000000000000000000001
            head: refs/heads/main@a000000000000000000000000000000000000001
            main: refs/heads/main@a000000000000000000000000000000000000001
            told: knows already
        "#]],
        );
        check(
            &shop,
            &push(SHOP, "refs/heads/feature/cart", Some(NEW)),
            &expect![[r#"
            cart: refs/heads/feature/cart@a000000000000000000000000000000000000001
        "#]],
        );
        check(
            &shop,
            &push(SHOP, "refs/heads/cart", Some(NEW)),
            &expect![[""]],
        );
        check(
            &shop,
            &push(SHOP, "refs/tags/v1", Some(NEW)),
            &expect![[r#"
            tag: refs/tags/v1@a000000000000000000000000000000000000001
        "#]],
        );
        check(
            &shop,
            &push(
                "https://forge.example.com/acme/other",
                "refs/heads/main",
                Some(NEW),
            ),
            &expect![[""]],
        );
    }

    #[test]
    fn a_commit_that_is_taken_up_already_is_no_news() {
        check(
            &shop(),
            &push(SHOP, "refs/heads/main", Some(OLD)),
            &expect![[r#"
            by-ssh: knows already
            head: knows already
            main: knows already
            told: knows already
        "#]],
        );
    }

    #[test]
    fn a_deleted_ref_is_looked_at() {
        check(
            &shop(),
            &push(SHOP, "refs/heads/feature/cart", None),
            &expect![[r#"
            cart: refs/heads/feature/cart@2023-11-14T22:13:20Z
        "#]],
        );
    }

    #[test]
    fn a_list_forgets_what_went_while_nobody_watched() {
        let url = "url: 'https://git.example.com/acme/shop'";
        let web = || service("web", &format!("{url}, {HOOK}"), "");
        let api = || service("api", &format!("{url}, {HOOK}"), "");
        let mut feed = Feed::default();
        let list = |feed: &mut Feed, services: Vec<Service>| {
            feed.apply(Event::Init);
            services
                .into_iter()
                .for_each(|it| feed.apply(Event::InitApply(it)));
            feed.apply(Event::InitDone);
        };
        list(&mut feed, vec![web(), api()]);
        assert!(feed.now().known("shop-production", "hook"));
        assert!(!feed.now().known("blog-production", "hook"));
        list(&mut feed, vec![web()]);
        assert_eq!(*feed.now(), index(&[web()]));
        feed.apply(Event::Apply(service("web", url, "")));
        assert_eq!(*feed.now(), Index::default());
        feed.apply(Event::Apply(api()));
        feed.apply(Event::Delete(api()));
        assert_eq!(*feed.now(), Index::default());
    }
}
