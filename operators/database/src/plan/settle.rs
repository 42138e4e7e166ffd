//! Databases that are listed, and their owners, of several servers: a Job has the one that takes writes
//! do what a single server's supervisor does itself, by the same code.
//!
//! That takes the super-user, whom CloudNativePG lets in over the network, by a Secret that is there
//! meanwhile, and only then. Its own kind for databases would do with less, and do less: it takes
//! databases away from their owners, has no extension bring those that it needs, and leaves what a
//! second user makes to that one.

use std::sync::Arc;

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Volume, VolumeMount},
};
use kube::ResourceExt;
use trackbed_api::{labels::role, names};
use trackbed_kit::{
    Health,
    job::{ended, succeeded},
    meta,
};

use super::{
    Place, attempt,
    databases::Held,
    job::{self, Errand},
    pod,
    restore::{self, Act, Step},
    told::Told,
};
use crate::observe::Seen;

/// Where the super-user's password is.
const SUPERUSER: &str = "/etc/trackbed/superuser";

/// Whether the super-user is needed: for a backup that may have databases and extensions in it, and for
/// what is listed.
pub(super) fn needs(
    place: &Place<'_>,
    seen: &Seen,
    held: Option<&Held>,
    initialised: bool,
) -> bool {
    let restores = !initialised && restore::is_pending(place, seen);
    !place.object.spec.suspend && (restores || is_pending(place, seen, held))
}

fn is_pending(place: &Place<'_>, seen: &Seen, held: Option<&Held>) -> bool {
    held.is_some_and(|held| !is_done(place, seen, held))
}

/// Whether the servers know everything as it is remembered.
pub(super) fn is_done(place: &Place<'_>, seen: &Seen, held: &Held) -> bool {
    let live = live(place, seen, held);
    live.is_some_and(|it| ended(it).is_some_and(succeeded))
}

/// Name of the Job: another one whenever something else is remembered.
pub(super) fn name(place: &Place<'_>, held: &Held) -> String {
    names::databases(&place.name, &held.checksum())
}

/// What the Job said.
pub(super) fn told(place: &Place<'_>, seen: &Seen, held: &Held) -> Option<Told> {
    let pods = attempt::pods(live(place, seen, held)?, seen);
    pods.iter()
        .find_map(|pod| attempt::words::<Told>(pod, role::DATABASES))
}

/// What SQL waits for that servers are to begin with: it may need the extensions.
pub(super) fn before(
    place: &Place<'_>,
    seen: &Seen,
    held: Option<&Held>,
    begins: bool,
) -> Option<Step> {
    (begins && is_pending(place, seen, held)).then(|| Step::Before {
        health: Health::Progressing("its databases are being made".to_owned()),
        act: act(place, seen, held),
    })
}

/// What is to happen next. What did something else ends first, and goes.
pub(super) fn act(place: &Place<'_>, seen: &Seen, held: Option<&Held>) -> Act {
    let Some(held) = held.filter(|_| !place.object.spec.suspend) else {
        return Act::Nothing;
    };
    let name = name(place, held);
    if let Some(other) = job::of(place, seen, role::DATABASES).find(|it| it.name_any() != name) {
        return match meta::is_deleted(other.as_ref()) {
            true => Act::Nothing,
            false => Act::Stop(other.clone()),
        };
    }
    let waits = live(place, seen, held).is_some()
        || attempt::works(seen, role::DATABASES)
        || !is_let_in(seen);
    match waits {
        true => Act::Nothing,
        false => Act::Make(Box::new(job(place, held, &name))),
    }
}

/// Whether CloudNativePG has seen the super-user's Secret.
fn is_let_in(seen: &Seen) -> bool {
    let status = seen.cluster.as_deref().and_then(|it| it.status.as_ref());
    status.is_some_and(|it| {
        let version = &it.secrets_resource_version.superuser_secret_version;
        !version.is_empty()
    })
}

fn live<'a>(place: &'a Place<'_>, seen: &'a Seen, held: &Held) -> Option<&'a Arc<Job>> {
    let name = name(place, held);
    job::of(place, seen, role::DATABASES).find(|it| it.name_any() == name)
}

/// The super-user's password, for a pod that waits until there is one.
pub(super) fn superuser(place: &Place<'_>) -> Volume {
    let keys = ["username", "password"];
    pod::files("superuser", &names::superuser(&place.name), &keys)
}

/// Where that is.
pub(super) fn superuser_mount() -> VolumeMount {
    pod::mount("superuser", SUPERUSER, true)
}

fn job(place: &Place<'_>, held: &Held, name: &str) -> Job {
    let errand = Errand {
        role: role::DATABASES,
        argument: format!("--list={}", held.checksum()),
        volumes: vec![
            pod::secret("standby", names::standby(&place.name), false),
            superuser(place),
        ],
        mounts: vec![
            pod::mount("standby", "/etc/trackbed/standby", true),
            superuser_mount(),
        ],
    };
    errand.job(place, name)
}
