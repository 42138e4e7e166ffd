//! Which environments there are to be: those of the spec, and previews of open pull requests.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use trackbed_api::{
    Project, Service,
    preview::{Preview, PreviewStatus, Previews, PullRequest},
    scalar::RefName,
};

/// The environments of a Project at a time.
#[derive(Clone, Debug, Default)]
pub struct Environments {
    /// Those that are to be, in the order of the spec; previews of pull requests last.
    pub wanted: Vec<Wanted>,
    /// Previews that are asked for and are not to be, with the reason.
    pub refused: Vec<(Wanted, String)>,
    /// When the next of them ends by itself.
    pub next: Option<Timestamp>,
}

/// An environment that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// What it is a preview of, if it is one.
    pub preview: Option<Open>,
}

/// A preview.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// The branch.
    pub branch: RefName,
    /// Names of the Services whose copies follow it.
    pub follow: Vec<String>,
    /// The commit that the forge told of last.
    pub commit: Option<String>,
    /// Number of the pull request.
    pub number: Option<u64>,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

impl Open {
    /// For status.
    pub fn status(&self) -> PreviewStatus {
        PreviewStatus {
            branch: self.branch.to_string(),
            pull_request: self.number,
            until: self
                .until
                .map(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time),
        }
    }
}

/// A pull request, and the Services that were told of it.
#[derive(Default)]
struct Asked {
    newest: PullRequest,
    repositories: BTreeSet<String>,
}

/// Decides. `services` are those of the environment that previews have copies of, `standing` the names
/// of the previews that are there.
pub fn environments(
    object: &Project,
    services: &[Arc<Service>],
    standing: &BTreeSet<String>,
    now: Timestamp,
) -> Environments {
    let mut found = Environments::default();
    for it in &object.spec.environments {
        let name = it.name.to_string();
        match (&it.preview, &object.spec.previews) {
            (Some(preview), Some(_)) => of_spec(name, preview, services, now, &mut found),
            _ => found.wanted.push(Wanted {
                name,
                preview: None,
            }),
        }
    }
    if let Some(previews) = &object.spec.previews {
        of_pull_requests(previews, services, now, &mut found);
        limit(previews, standing, &mut found);
    }
    let open = found.wanted.iter().filter_map(|it| it.preview.as_ref());
    found.next = open.filter_map(|it| it.until).min();
    found
}

fn of_spec(
    name: String,
    preview: &Preview,
    services: &[Arc<Service>],
    now: Timestamp,
    found: &mut Environments,
) {
    let until = preview.until.as_ref().map(|it| it.0);
    let mut open = Open {
        branch: preview.branch.clone(),
        until,
        ..Open::default()
    };
    let mut refused = None;
    if until.is_some_and(|until| until <= now) {
        refused = Some("it has ended: take it out of environments, or set a later preview.until");
    }
    let asked = preview.repository.as_ref().map(|url| repository(url));
    let repositories: BTreeSet<&str> = services
        .iter()
        .filter_map(|it| Some(repository(moving(it)?)))
        .collect();
    match (asked, repositories.len()) {
        (None, 2..) => {
            refused = Some(
                "the Services have several repositories: name one of them in preview.repository",
            );
        }
        (asked, _) => {
            let of = |url: &str| asked.is_none_or(|asked| repository(url) == asked);
            open.follow = following(services, of);
        }
    }
    let wanted = Wanted {
        name,
        preview: Some(open),
    };
    match refused {
        Some(reason) => found.refused.push((wanted, reason.to_owned())),
        None => found.wanted.push(wanted),
    }
}

fn of_pull_requests(
    previews: &Previews,
    services: &[Arc<Service>],
    now: Timestamp,
    found: &mut Environments,
) {
    let mut asked: BTreeMap<String, Asked> = BTreeMap::new();
    for service in services {
        for (name, request) in pull_requests(service) {
            let entry = asked.entry(name).or_default();
            let url = moving(service).map(repository);
            entry.repositories.extend(url.map(str::to_owned));
            if request.changed >= entry.newest.changed {
                entry.newest = request;
            }
        }
    }
    let mut asked: Vec<_> = asked.into_iter().collect();
    // First come, first served: who is there stays when another one comes.
    asked.sort_by_key(|(name, it)| (it.newest.opened, name.clone()));
    let ttl = SignedDuration::from_secs(previews.ttl.seconds().try_into().unwrap_or(i64::MAX));
    for (name, asked) in asked {
        let newest = asked.newest;
        let of = |url: &str| asked.repositories.contains(repository(url));
        let until = newest.changed.checked_add(ttl).ok();
        let known = found.wanted.iter().any(|it| it.name == name)
            || found.refused.iter().any(|(it, _)| it.name == name);
        let wanted = Wanted {
            name,
            preview: Some(Open {
                branch: newest.branch,
                follow: following(services, of),
                commit: newest.commit,
                number: Some(newest.number),
                until,
            }),
        };
        if known {
            // Status has one entry of a name: that of the spec.
            continue;
        }
        match until.is_some_and(|until| until <= now) {
            true => found.refused.push((
                wanted,
                format!(
                    "it has ended, because nothing was pushed for {}: push to have it again",
                    previews.ttl
                ),
            )),
            false => found.wanted.push(wanted),
        }
    }
}

/// Lets as many previews be as there may: those that are there already, then the others in order.
fn limit(previews: &Previews, standing: &BTreeSet<String>, found: &mut Environments) {
    let max = usize::try_from(previews.max).unwrap_or_default();
    let all = found.wanted.iter().filter(|it| it.preview.is_some());
    let mut names: Vec<String> = all.map(|it| it.name.clone()).collect();
    names.sort_by_key(|name| !standing.contains(name));
    let late = names.split_off(max.min(names.len()));
    let all = std::mem::take(&mut found.wanted);
    let (late, wanted) = all.into_iter().partition(|it| late.contains(&it.name));
    found.wanted = wanted;
    let reason = || {
        format!(
            "it waits, because as many are open as previews.max allows ({max}): close one, or raise it"
        )
    };
    let late: Vec<Wanted> = late;
    found
        .refused
        .extend(late.into_iter().map(|it| (it, reason())));
}

/// The pull requests that a Service was told of, if it wants previews of them.
fn pull_requests(service: &Service) -> impl Iterator<Item = (String, PullRequest)> {
    let git = service.spec.source.git.as_ref();
    let hook = git.and_then(|git| git.webhook.as_ref());
    let wants = hook.is_some_and(|hook| hook.previews);
    wants
        .then(|| PullRequest::of(service))
        .into_iter()
        .flatten()
}

/// Names of the Services that follow a branch of a repository that is meant.
fn following(services: &[Arc<Service>], is_meant: impl Fn(&str) -> bool) -> Vec<String> {
    let all = services.iter();
    all.filter(|it| moving(it).is_some_and(&is_meant))
        .map(|it| it.name_any())
        .collect()
}

/// The repository of a Service that follows a branch of it.
fn moving(service: &Service) -> Option<&str> {
    let git = service.spec.source.git.as_ref()?;
    let stays = git.tag.is_some() || git.commit.is_some();
    (!stays && copied(service)).then_some(git.url.as_str())
}

/// Whether previews have a copy of a Service.
pub fn copied(service: &Service) -> bool {
    let said = service.spec.preview;
    said.unwrap_or(service.spec.cron.is_none())
}

/// A URL as it is compared.
fn repository(url: &str) -> &str {
    let url = url.trim_end_matches('/');
    url.strip_suffix(".git").unwrap_or(url)
}
