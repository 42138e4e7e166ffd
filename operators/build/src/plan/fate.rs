//! What becomes of the image of a Build that is deleted. No I/O and no clock.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::{Resource, ResourceExt};
use trackbed_api::{Build, Deployment, Service};
use trackbed_kit::meta;

use crate::registry::Answer;

/// Seconds that a Build stays for its image's sake, whatever the registry does.
const LIMIT: i64 = 300;
/// Seconds of it that one removal may take, waiting for its turn included. It is longer than the
/// registry is waited for.
const TRY: i64 = 30;
/// Seconds after which what was seen to use an image is believed. A Service, its releases and its
/// Builds are watched one by one and go in any order: what still seems to be there may be gone.
const SETTLED: i64 = 10;
/// Shortest and longest pause between two looks, in seconds.
const PAUSE: (i64, i64) = (5, 60);

/// What a fate is decided from.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// Builds with the same image, in all namespaces.
    pub builds: Vec<Arc<Build>>,
    /// Builds of the same commit that have not ended, and the reference that each pushes to.
    pub unfinished: Vec<(Arc<Build>, String)>,
    /// Releases of the same digest, in all namespaces.
    pub releases: Vec<Arc<Deployment>>,
    /// Services that these releases belong to.
    pub services: Vec<Arc<Service>>,
}

/// What comes next for a Build that is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The Build goes, and something became of its image. `None`: it has none that is ours to remove.
    Release(Option<End>),
    /// It is looked at again.
    Wait(Duration),
    /// The registry is asked to remove the image.
    Remove,
}

/// What became of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It is not in the registry any more.
    Removed(String),
    /// Something else uses it, and whatever is the last to go removes it.
    Used(String),
    /// Nobody will remove it. The sentence says why.
    Left(String),
}

/// The image that goes with a Build: what it pushed to its Service's repository. One that was sent
/// to a place of somebody's choice stays there.
pub fn image(object: &Build) -> Option<&str> {
    let image = object.status.as_ref()?.image.as_deref()?;
    (object.spec.image.is_none() && image.contains('@')).then_some(image)
}

/// Decides. `removes` is the operator's setting.
pub fn next(object: &Build, around: &Around, removes: bool, now: Timestamp) -> Next {
    // A Build without an image may be running, and its Job goes only when it is gone itself.
    let Some(image) = image(object).filter(|_| removes) else {
        return Next::Release(None);
    };
    let age = age(object, now);
    if let Some(user) = user(object, image, around) {
        return match SETTLED - age {
            left @ 1.. => Next::Wait(seconds(left)),
            _ => Next::Release(Some(End::Used(format!("keeps {image}: {user}")))),
        };
    }
    if let Some(other) = pusher(object, image, around) {
        return match LIMIT - age {
            left @ 1.. => Next::Wait(pause(age).min(seconds(left))),
            _ => left(
                image,
                &format!("{other} of the same commit has not ended yet, and may be pushing it"),
            ),
        };
    }
    Next::Remove
}

/// While the registry is asked, since `since`.
pub fn asked(object: &Build, since: Timestamp, now: Timestamp) -> Next {
    // After a time without an operator, too, there is one try.
    let until = (LIMIT - age(object, now)).max(TRY - (now.as_second() - since.as_second()));
    match (until, image(object)) {
        (1.., _) => Next::Wait(seconds(until)),
        (_, Some(image)) => left(image, "the registry could not be asked in time"),
        (_, None) => Next::Release(None),
    }
}

/// What follows from what the registry says.
pub fn after(object: &Build, answer: Answer, now: Timestamp) -> Next {
    let Some(image) = image(object) else {
        return Next::Release(None);
    };
    let age = age(object, now);
    match answer {
        Answer::Removed => removed(format!("removed {image} from the registry")),
        Answer::Absent => removed(format!("{image} was not in the registry any more")),
        Answer::Unavailable(why) => match LIMIT - TRY - age {
            rest @ 1.. => Next::Wait(pause(age).min(seconds(rest))),
            _ => left(
                image,
                &format!("the registry could not be asked to remove it: {why}"),
            ),
        },
        Answer::Unsupported => left(
            image,
            "the registry removes no images: have deletion enabled there, or turn registry.removeImages off in the operator's settings",
        ),
        Answer::Unauthorized => left(
            image,
            "the registry refused to remove it: give the user that pushes the right to delete, too",
        ),
        Answer::Refused(why) => left(image, &format!("the registry refused to remove it: {why}")),
    }
}

fn removed(words: String) -> Next {
    Next::Release(Some(End::Removed(words)))
}

fn left(image: &str, why: &str) -> Next {
    Next::Release(Some(End::Left(format!(
        "{image} stays in the registry: {why}"
    ))))
}

/// Who uses an image, in words.
fn user(object: &Build, image: &str, around: &Around) -> Option<String> {
    let build = around.builds.iter().find(|other| {
        let same = other.status.as_ref().and_then(|it| it.image.as_deref()) == Some(image);
        same && is_another(object, other) && !meta::is_deleted(other.as_ref())
    });
    if let Some(build) = build {
        return Some(format!(
            "{} has the same image",
            name(object, build.as_ref())
        ));
    }
    let release = around.releases.iter().find(|release| {
        digest(&release.spec.image) == digest(image) && stays(release, &around.services)
    })?;
    Some(format!("{} refers to it", name(object, release.as_ref())))
}

/// An unfinished Build that may be pushing the very same image. Of another commit it is another
/// image: the commit and its time are part of it.
fn pusher(object: &Build, image: &str, around: &Around) -> Option<String> {
    let (other, _) = around.unfinished.iter().find(|(other, target)| {
        is_another(object, other)
            && !meta::is_deleted(other.as_ref())
            && !super::ended(other)
            && other.spec.source.git.commit == object.spec.source.git.commit
            && repository(target) == repository(image)
    })?;
    Some(name(object, other.as_ref()))
}

/// Whether a release is there to stay. One whose Service goes, goes too.
fn stays(release: &Deployment, services: &[Arc<Service>]) -> bool {
    let lives = |uid: &str| {
        let mut services = services.iter();
        services.any(|it| it.uid().as_deref() == Some(uid) && !meta::is_deleted(it.as_ref()))
    };
    !meta::is_deleted(release) && meta::controller(release).is_none_or(|owner| lives(&owner.uid))
}

fn is_another(object: &Build, other: &Build) -> bool {
    other.uid() != object.uid()
}

/// Names of other namespaces are nobody's business here.
fn name<K: Resource<DynamicType = ()>>(object: &Build, other: &K) -> String {
    let kind = K::kind(&());
    match other.namespace() == object.namespace() {
        true => format!("{kind} {}", other.name_any()),
        false => format!("a {kind} in another namespace"),
    }
}

/// The digest of an image.
pub fn digest(image: &str) -> Option<&str> {
    image.split_once('@').map(|(_, digest)| digest)
}

/// The repository of a reference, in whatever registry: one registry has several names. The parser
/// of the OCI library is not asked, which keeps 15 MiB for its expression from then on.
fn repository(reference: &str) -> &str {
    let name = reference.split_once('@').map_or(reference, |it| it.0);
    // A colon before the last slash is that of a port.
    let name = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    };
    match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => path,
        _ => name,
    }
}

/// Seconds since the deletion was asked for.
fn age(object: &Build, now: Timestamp) -> i64 {
    let since = object.metadata.deletion_timestamp.as_ref();
    since.map_or(0, |since| now.as_second() - since.0.as_second())
}

/// Half as long as it has taken by now: a back-off that needs no memory.
fn pause(age: i64) -> Duration {
    seconds((age / 2).clamp(PAUSE.0, PAUSE.1))
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(0))
}
