//! What is taken up from the source, and its place in the order.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Serialize;
use trackbed_api::{
    Service,
    build::{BuildSettings, Provider, Strategy},
    names,
    service::SourceStatus,
};

use crate::{observe::Seen, source::Look};

/// What stands in status: what stood there, or what the source says now under the next number.
///
/// Numbers never go back, also when status is lost or history was pruned: what exists counts too.
pub fn taken(object: &Service, seen: &Seen, now: Timestamp) -> Option<SourceStatus> {
    let before = object
        .status
        .as_ref()
        .and_then(|status| status.source.clone());
    let Look::Found(found) = &seen.look else {
        return with_author(before, seen);
    };
    let inputs = object.spec.source.git.is_some().then(|| inputs(object));
    let same = |other: &SourceStatus| {
        other.commit == found.commit && other.image == found.image && other.inputs == inputs
    };
    match before {
        Some(before) if same(&before) || object.spec.suspend => with_author(Some(before), seen),
        None if object.spec.suspend => None,
        Some(before) if found.untouched => Some(SourceStatus {
            commit: found.commit.clone(),
            r#ref: found.r#ref.clone(),
            built_commit: before.built_commit.or(before.commit),
            message: None,
            author: None,
            observed_at: Some(Time(now)),
            ..before
        }),
        before => Some(SourceStatus {
            sequence: sequence(
                object,
                seen,
                before.as_ref(),
                found.commit.as_deref(),
                found.image.as_deref(),
            ),
            commit: found.commit.clone(),
            r#ref: found.r#ref.clone(),
            image: found.image.clone(),
            inputs,
            message: None,
            author: None,
            built_commit: None,
            observed_at: Some(Time(now)),
        }),
    }
}

/// The next number; or, when status was lost, that of the Build or release which was made of the
/// same thing.
fn sequence(
    object: &Service,
    seen: &Seen,
    before: Option<&SourceStatus>,
    commit: Option<&str>,
    image: Option<&str>,
) -> i64 {
    let builds = seen.builds.iter();
    let releases = seen.releases.iter();
    if before.is_none() {
        let git = object.spec.source.git.as_ref();
        let built = builds.clone().filter(|build| {
            let source = &build.spec.source.git;
            git.is_some_and(|git| git.url == source.url && git.path == source.path)
                && Some(source.commit.as_str()) == commit
                && build.spec.build == object.spec.build
        });
        let released = releases
            .clone()
            .filter(|release| image == Some(release.spec.image.as_str()));
        let known = built
            .map(|build| build.spec.sequence)
            .chain(released.map(|release| release.spec.sequence))
            .max();
        if let Some(known) = known.filter(|known| *known > 0) {
            return known;
        }
    }
    let highest = builds
        .map(|build| build.spec.sequence)
        .chain(releases.map(|release| release.spec.sequence))
        .chain(before.map(|before| before.sequence))
        .max();
    highest.unwrap_or(0).saturating_add(1)
}

/// What of the spec goes into an image besides the commit.
#[derive(Serialize)]
struct Inputs<'a> {
    url: &'a str,
    path: Option<&'a str>,
    strategy: Strategy,
    dockerfile: &'a str,
    target: Option<&'a str>,
    args: &'a BTreeMap<String, String>,
    command: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generated: Option<Generated<'a>>,
}

/// What says something of images without a Dockerfile. Left out where all of it is: most Services
/// say nothing of it.
#[derive(Default, PartialEq, Serialize)]
struct Generated<'a> {
    install: Option<&'a str>,
    start: Option<&'a str>,
    output: Option<&'a str>,
    provider: Option<Provider>,
    version: Option<&'a str>,
    packages: Vec<&'a str>,
    start_elsewhere: bool,
}

/// A hash of what goes into an image besides the commit. Time limits and resources do not.
pub fn inputs(object: &Service) -> String {
    let git = object.spec.source.git.clone().unwrap_or_default();
    let BuildSettings {
        strategy,
        dockerfile,
        target,
        args,
        command,
        install,
        start,
        output,
        provider,
        version,
        packages,
        secrets: _,
        supersede: _,
        timeout: _,
        cache: _,
        resources: _,
    } = &object.spec.build;
    let generated = Generated {
        install: install.as_deref(),
        start: start.as_deref(),
        output: output.as_deref(),
        provider: *provider,
        version: version.as_deref(),
        packages: packages.iter().map(|it| &**it).collect(),
        start_elsewhere: starts_elsewhere(object),
    };
    let inputs = Inputs {
        url: &git.url,
        path: git.path.as_deref(),
        strategy: *strategy,
        dockerfile,
        target: target.as_deref(),
        args,
        command: command.as_deref(),
        generated: (generated != Generated::default()).then_some(generated),
    };
    // These are texts in a fixed order: they always serialise.
    let text = serde_json::to_vec(&inputs).unwrap_or_default();
    names::hash(&text)[..16].to_owned()
}

/// Whether `run.command` makes a command of the image's own needless.
pub fn starts_elsewhere(object: &Service) -> bool {
    object.spec.build.strategy == Strategy::Auto && !object.spec.run.command.is_empty()
}

/// Author and message are known once the commit was fetched.
fn with_author(taken: Option<SourceStatus>, seen: &Seen) -> Option<SourceStatus> {
    let mut taken = taken?;
    if taken.built_commit.is_some() {
        // No Build has looked at this one.
        return Some(taken);
    }
    let mut builds = seen.builds.iter();
    let build = builds.find(|build| build.spec.sequence == taken.sequence);
    if let Some(status) = build.and_then(|build| build.status.as_ref()) {
        if taken.message.is_none() {
            taken.message.clone_from(&status.message);
        }
        if taken.author.is_none() {
            taken.author.clone_from(&status.author);
        }
    }
    Some(taken)
}
