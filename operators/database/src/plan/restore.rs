//! What a new Database begins with: a Job restores a backup into its volume before there is a
//! server; or, where there are several, into the one that takes writes before it has an address.

use std::sync::Arc;

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Container, PodSpec},
};
use kube::ResourceExt;
use trackbed_api::{Database, backup::Restore, labels::role, names, reason::Reason};
use trackbed_kit::{
    Health,
    job::{ended, succeeded},
};

use super::{
    Place, attempt, claim,
    destination::{At, Lies},
    health, job,
    job::Work,
    pod, server, settings, settle,
};
use crate::observe::Seen;

/// Container that restores.
pub const CONTAINER: &str = "restore";
/// How often it is tried again, with pauses of 10 seconds and more.
const RETRIES: i32 = 4;

/// How it stands.
#[derive(Clone, Debug)]
pub enum Step {
    /// Nothing is to be restored, or it is done.
    Done,
    /// It is under way, or will never be done. There is no server meanwhile.
    Before {
        /// In words.
        health: Health,
        /// What is to happen.
        act: Act,
    },
}

/// What is to happen about the Jobs that restore, and those that do other things in several servers.
#[derive(Clone, Debug, Default)]
pub enum Act {
    /// Nothing.
    #[default]
    Nothing,
    /// This one is to be made.
    Make(Box<Job>),
    /// This one, which does what was asked for before, is to be stopped.
    Stop(Arc<Job>),
}

impl Act {
    /// The Job to make.
    pub fn made(&self) -> Option<&Job> {
        match self {
            Self::Make(job) => Some(job),
            Self::Nothing | Self::Stop(_) => None,
        }
    }
}

/// Whether what was asked for is still to come.
pub(super) fn is_pending(place: &Place<'_>, seen: &Seen) -> bool {
    let done = job::of(place, seen, role::RESTORE).any(|it| ended(it).is_some_and(succeeded));
    asked(place).is_some() && !done
}

/// The backup that is asked for: a moment is restored by others.
fn asked<'a>(place: &'a Place<'_>) -> Option<&'a Restore> {
    let restore = place.object.spec.restore.as_ref();
    restore.filter(|it| it.time.is_none())
}

/// How it stands. A Database that has data is not restored over.
pub fn of(place: &Place<'_>, seen: &Seen, initialised: bool) -> Step {
    let done = job::of(place, seen, role::RESTORE).any(|it| ended(it).is_some_and(succeeded));
    if initialised || done {
        return Step::Done;
    }
    let asked = asked(place);
    let name = asked.map(|it| name(place, it));
    let mine = |it: &&Arc<Job>| Some(it.name_any()) == name;
    if let (Some(restore), Some(live)) = (asked, job::of(place, seen, role::RESTORE).find(mine)) {
        let health = under_way(place, restore, seen, live);
        let act = Act::Nothing;
        return Step::Before { health, act };
    }
    if let Some(stopping) = older(place, seen) {
        return stopping;
    }
    match (asked, name) {
        (Some(restore), Some(name)) => begin(place, restore, seen, &name),
        _ => Step::Done,
    }
}

/// The Job's name: another one for what is asked for otherwise, which is tried anew.
fn name(place: &Place<'_>, restore: &Restore) -> String {
    // What has a schema always has a text.
    let asked = serde_json::to_string(restore).unwrap_or_default();
    names::restore(&place.name, &asked)
}

fn under_way(place: &Place<'_>, restore: &Restore, seen: &Seen, live: &Job) -> Health {
    let name = live.name_any();
    if ended(live).is_some() {
        let (reason, message) = attempt::failure(live, seen, Reason::RestoreFailed);
        let message = format!(
            "{message}. Nothing was written: correct restore, which has it tried again; or, as it is, delete the Job {name}"
        );
        return Health::Stalled(reason, message);
    }
    let what = health::server(&place.object.spec);
    let pods = attempt::pods(live, seen);
    let stuck = pods.last().and_then(|pod| health::stuck(pod, &what));
    stuck.unwrap_or_else(|| {
        Health::Progressing(format!(
            "{} is being restored: 'kubectl logs job/{name}' says how far it is",
            said(restore)
        ))
    })
}

/// What was asked for before and still writes to the volume, or may do so.
fn older(place: &Place<'_>, seen: &Seen) -> Option<Step> {
    let live = job::of(place, seen, role::RESTORE).find(|it| ended(it).is_none());
    (live.is_some() || attempt::works(seen, role::RESTORE)).then(|| Step::Before {
        health: Health::Progressing("what restore said before is being stopped".to_owned()),
        act: live.map_or(Act::Nothing, |it| Act::Stop(it.clone())),
    })
}

fn begin(place: &Place<'_>, restore: &Restore, seen: &Seen, name: &str) -> Step {
    match origin(restore, seen) {
        Ok((lies, identity)) => Step::Before {
            health: Health::Progressing(format!("{} is being restored", said(restore))),
            act: Act::Make(Box::new(job(place, restore, name, &lies, identity))),
        },
        Err((reason, message)) => Step::Before {
            health: Health::Waiting(reason, message),
            act: Act::Nothing,
        },
    }
}

fn said(restore: &Restore) -> String {
    match &restore.backup {
        Some(name) => format!("the backup {name}"),
        None => "the newest backup".to_owned(),
    }
}

/// Where the backup lies, and whose it is if that is known.
fn origin<'a>(
    restore: &'a Restore,
    seen: &'a Seen,
) -> Result<(Lies<'a>, Option<String>), (Reason, String)> {
    let from = &restore.from;
    let identity = from.identity.as_ref().map(ToString::to_string);
    let encryption = from.encryption.as_ref();
    if let Some(bucket) = &from.s3 {
        let at = At::Bucket(bucket);
        return Ok((Lies { at, encryption }, identity));
    }
    if let Some(claim) = &from.volume {
        let at = At::Claim(claim.claim_name.to_string());
        return Ok((Lies { at, encryption }, identity));
    }
    let name = from.database.as_deref().unwrap_or_default();
    let missing = |what: &str| {
        let message = format!("restore.from.database: Database {name} {what}");
        (Reason::ReferenceMissing, message)
    };
    let database: &Database = seen
        .backups
        .origin
        .as_deref()
        .ok_or_else(|| missing("does not exist in this namespace"))?;
    let backup = database.spec.backup.as_ref();
    let backup = backup.ok_or_else(|| missing("has no backup in its spec"))?;
    let status = database.status.as_ref();
    let identity = status
        .and_then(|status| status.identity.clone())
        .ok_or_else(|| missing("has no data yet"))?;
    let mut lies = Lies::of(backup, name);
    lies.encryption = encryption.or(lies.encryption);
    Ok((lies, Some(identity)))
}

fn job(
    place: &Place<'_>,
    restore: &Restore,
    name: &str,
    lies: &Lies<'_>,
    identity: Option<String>,
) -> Job {
    let mut volumes = lies.volumes();
    match place.object.spec.is_replicated() {
        false => volumes.push(pod::claim("data", claim::first(place))),
        true => volumes.extend([
            pod::secret("credentials", names::credentials(&place.name), false),
            settle::superuser(place),
        ]),
    }
    volumes.extend([
        pod::config_map("settings", settings::name(&place.name)),
        pod::empty("run", Some("Memory")),
        pod::empty("tmp", None),
        pod::empty("bin", None),
    ]);
    let work = Work {
        place,
        role: role::RESTORE,
        retries: RETRIES,
        timeout: restore.timeout.clone(),
        pod: PodSpec {
            init_containers: Some(vec![pod::install(&place.config.images.operator)]),
            containers: vec![restores(place, restore, lies, identity)],
            volumes: Some(volumes),
            ..job::surroundings()
        },
    };
    job::named(place, name, role::RESTORE, work.spec())
}

fn restores(
    place: &Place<'_>,
    restore: &Restore,
    lies: &Lies<'_>,
    identity: Option<String>,
) -> Container {
    let mut words = job::words(place, "restore");
    words.extend(lies.arguments());
    words.extend(identity.map(|it| format!("--identity={it}")));
    words.extend(restore.backup.as_ref().map(|it| format!("--backup={it}")));
    let mut mounts = lies.mounts(true);
    match place.object.spec.is_replicated() {
        false => mounts.push(pod::mount("data", "/data", false)),
        true => {
            words.push(format!("--into={}", names::primary(&place.name)));
            let credentials = pod::mount("credentials", "/etc/trackbed/credentials", true);
            mounts.extend([credentials, settle::superuser_mount()]);
        }
    }
    mounts.extend(job::mounts());
    let resources = &place.object.spec.resources;
    Container {
        name: CONTAINER.to_owned(),
        resources: Some(resources.with_defaults(server::RESOURCES)),
        volume_mounts: Some(mounts),
        ..job::container(place, words)
    }
}
