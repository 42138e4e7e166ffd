//! What a new Database begins with: a Job restores a backup into its volume before there is a
//! server.

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
    Place, attempt,
    destination::{At, Lies},
    job,
    job::Work,
    pod, server, settings,
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
        /// The Job to make.
        job: Option<Box<Job>>,
    },
}

/// How it stands with a Database that has no data yet.
pub fn of(place: &Place<'_>, seen: &Seen, initialised: bool) -> Step {
    let Some(restore) = place.object.spec.restore.as_ref().filter(|_| !initialised) else {
        return Step::Done;
    };
    let name = names::restore(&place.name);
    let live = seen.backups.jobs.iter().find(|it| it.name_any() == name);
    let Some(live) = live else {
        return match origin(restore, seen) {
            Ok((lies, identity)) => Step::Before {
                health: Health::Progressing("the backup is being restored".to_owned()),
                job: Some(Box::new(job(place, restore, &lies, identity))),
            },
            Err((reason, message)) => Step::Before {
                health: Health::Waiting(reason, message),
                job: None,
            },
        };
    };
    let health = match ended(live) {
        None => Health::Progressing(format!(
            "the backup is being restored: 'kubectl logs job/{name}' says how far it is"
        )),
        Some(end) if succeeded(end) => return Step::Done,
        Some(_) => {
            let (reason, message) = attempt::failure(live, seen, Reason::RestoreFailed);
            let message = format!(
                "{message}. Nothing was written: delete the Job {name} to have it tried again, or create the Database again with another restore"
            );
            Health::Stalled(reason, message)
        }
    };
    Step::Before { health, job: None }
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

fn job(place: &Place<'_>, restore: &Restore, lies: &Lies<'_>, identity: Option<String>) -> Job {
    let mut volumes = lies.volumes();
    volumes.extend([
        pod::claim("data", names::data_claim(&place.name)),
        pod::config_map("settings", settings::name(&place.name)),
        pod::empty("run", Some("Memory")),
        pod::empty("tmp", None),
        pod::empty("bin", None),
    ]);
    let work = Work {
        place,
        role: role::RESTORE,
        retries: RETRIES,
        timeout: &restore.timeout,
        pod: PodSpec {
            init_containers: Some(vec![pod::install(&place.config.images.operator)]),
            containers: vec![restores(place, restore, lies, identity)],
            volumes: Some(volumes),
            ..job::surroundings()
        },
    };
    let name = names::restore(&place.name);
    job::named(place, &name, role::RESTORE, work.spec())
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
    mounts.push(pod::mount("data", "/data", false));
    mounts.extend(job::mounts());
    let resources = &place.object.spec.resources;
    Container {
        name: CONTAINER.to_owned(),
        resources: Some(resources.with_defaults(server::RESOURCES)),
        volume_mounts: Some(mounts),
        ..job::container(place, words)
    }
}
