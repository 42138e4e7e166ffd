//! Databases that are listed, and their owners, of several servers: a Job has the one that takes writes
//! do what a single server's supervisor does itself, by the same code.
//!
//! That takes the super-user, whom CloudNativePG lets in over the network, by a Secret that is there
//! meanwhile, and only then. Its own kind for databases would do with less, and do less: it takes
//! databases away from their owners, has no extension bring those that it needs, and leaves what a
//! second user makes to that one.

use std::sync::Arc;

use k8s_openapi::api::{
    batch::v1::{Job, JobSpec},
    core::v1::{Container, Pod, PodSpec, Volume, VolumeMount},
};
use kube::ResourceExt;
use trackbed_api::{
    common::{ResourceDefaults, Resources},
    labels::{self, role},
    names,
    scalar::Duration,
};
use trackbed_kit::{
    Health,
    job::{ended, succeeded},
    meta,
};

use super::{
    Place, attempt,
    databases::{Held, Told},
    job::{self, Work},
    pod,
    restore::{self, Act, Step},
    settings,
};
use crate::observe::Seen;

/// Container that does it.
const CONTAINER: &str = "databases";
/// What it gets.
const RESOURCES: ResourceDefaults = ["10m", "32Mi", "500m", "128Mi"];
/// How often it is tried again, after pauses of up to five minutes, and for how long: the servers may
/// be away.
const RETRIES: i32 = 2000;
const TIMEOUT: &str = "168h";
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
        .find_map(|pod| attempt::words::<Told>(pod, CONTAINER))
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
    if let Some(other) = jobs(place, seen).find(|it| it.name_any() != name) {
        return match meta::is_deleted(other.as_ref()) {
            true => Act::Nothing,
            false => Act::Stop(other.clone()),
        };
    }
    let waits = live(place, seen, held).is_some() || is_working(seen) || !is_let_in(seen);
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

/// Whether the pod of a Job that is gone may still do something.
fn is_working(seen: &Seen) -> bool {
    seen.backups.pods.iter().any(|pod: &Arc<Pod>| {
        let phase = pod.status.as_ref().and_then(|it| it.phase.as_deref());
        meta::label(pod.as_ref(), labels::ROLE) == Some(role::DATABASES)
            && !matches!(phase, Some("Succeeded" | "Failed"))
    })
}

fn live<'a>(place: &'a Place<'_>, seen: &'a Seen, held: &Held) -> Option<&'a Arc<Job>> {
    let name = name(place, held);
    jobs(place, seen).find(|it| it.name_any() == name)
}

fn jobs<'a>(place: &'a Place<'_>, seen: &'a Seen) -> impl Iterator<Item = &'a Arc<Job>> {
    seen.backups.jobs.iter().filter(|it| {
        meta::label(it.as_ref(), labels::ROLE) == Some(role::DATABASES)
            && meta::is_controlled_by(it.as_ref(), place.object)
    })
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
    let volumes = vec![
        pod::secret("credentials", names::credentials(&place.name), false),
        pod::secret("standby", names::standby(&place.name), false),
        superuser(place),
        pod::config_map("settings", settings::name(&place.name)),
        pod::empty("run", Some("Memory")),
        pod::empty("tmp", None),
        pod::empty("bin", None),
    ];
    let work = Work {
        place,
        role: role::DATABASES,
        retries: RETRIES,
        timeout: Duration::from(TIMEOUT),
        pod: PodSpec {
            // One pod, which is given the Secrets anew.
            restart_policy: Some("OnFailure".to_owned()),
            init_containers: Some(vec![pod::install(&place.config.images.operator)]),
            containers: vec![makes(place, held)],
            volumes: Some(volumes),
            ..job::surroundings()
        },
    };
    let spec = JobSpec {
        // It is for pods that are not started again.
        pod_failure_policy: None,
        ..work.spec()
    };
    job::named(place, name, role::DATABASES, spec)
}

fn makes(place: &Place<'_>, held: &Held) -> Container {
    let words = vec![
        "databases".to_owned(),
        format!("--version={}", place.object.spec.version),
        format!("--into={}", names::primary(&place.name)),
        format!("--list={}", held.checksum()),
    ];
    let mut mounts = vec![
        pod::mount("credentials", "/etc/trackbed/credentials", true),
        pod::mount("standby", "/etc/trackbed/standby", true),
        superuser_mount(),
    ];
    mounts.extend(job::mounts());
    Container {
        name: CONTAINER.to_owned(),
        resources: Some(Resources::default().with_defaults(RESOURCES)),
        volume_mounts: Some(mounts),
        ..job::container(place, words)
    }
}
