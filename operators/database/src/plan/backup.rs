//! Backups: a CronJob for those of the schedule, a Job for one that somebody asks for, and the claim
//! where they lie if it is not a bucket. The claim stays when the Database goes.

use k8s_openapi::api::{
    batch::v1::{CronJob, Job},
    core::v1::{Container, PersistentVolumeClaim, PodSpec},
};
use kube::ResourceExt;
use trackbed_api::{
    DatabaseStatus,
    backup::Backup,
    common::{ResourceDefaults, Resources},
    database::Engine,
    labels::role,
    names,
};
use trackbed_kit::claim;

use super::{Place, destination::Lies, health, job, job::Work, pod, server, settings};
use crate::observe::Seen;

/// Container that takes the backup.
pub const TAKE: &str = "backup";
/// Container that proves it.
pub const PROVE: &str = "prove";
/// Where the scratch server has its files.
const SCRATCH: &str = "/scratch";
/// What the container gets that takes one of Postgres: the data run through it.
const RESOURCES: ResourceDefaults = ["50m", "128Mi", "1", "256Mi"];
/// How late one may begin, in seconds, when the cluster's controllers were away.
const LATE: i64 = 3600;
/// How long a Job that was asked for stays to be looked at, in seconds.
const KEPT: i32 = 86_400;

/// What backups are made by.
#[derive(Clone, Debug, Default)]
pub struct Backups {
    /// The volume of their own.
    pub claim: Option<PersistentVolumeClaim>,
    /// Those of the schedule.
    pub scheduled: Option<CronJob>,
    /// The one that is asked for.
    pub requested: Option<Job>,
}

/// What is to be there. A backup that is asked for waits for the server.
pub fn desired(place: &Place<'_>, seen: &Seen, before: &DatabaseStatus) -> Backups {
    let Some(backup) = place.object.spec.backup.as_ref() else {
        return Backups::default();
    };
    let volume = backup.destination.volume.as_ref();
    let ready = health::answers(seen);
    Backups {
        claim: volume.map(|volume| PersistentVolumeClaim {
            metadata: place.retained(&names::backup_claim(&place.name)),
            spec: Some(claim::spec(
                seen.backups.claim.as_deref(),
                &volume.size,
                volume.class_name.as_deref(),
            )),
            status: None,
        }),
        scheduled: scheduled(place, backup),
        requested: requested(place, seen, backup, before).filter(|_| ready),
    }
}

/// The Job that is to be made: none if it is there, or was.
fn requested(
    place: &Place<'_>,
    seen: &Seen,
    backup: &Backup,
    before: &DatabaseStatus,
) -> Option<Job> {
    let request = backup.request.as_deref()?;
    let name = names::requested_backup(&place.name, request);
    let done = before.backup.as_ref().and_then(|it| it.request.as_deref());
    let is_there = seen.backups.jobs.iter().any(|job| job.name_any() == name);
    if done == Some(request) || is_there {
        return None;
    }
    let mut spec = work(place, backup).spec();
    spec.ttl_seconds_after_finished = Some(KEPT);
    Some(job::named(place, &name, role::BACKUP, spec))
}

fn scheduled(place: &Place<'_>, backup: &Backup) -> Option<CronJob> {
    let schedule = backup.schedule.as_ref()?;
    let rhythm = job::Rhythm {
        name: names::backups(&place.name),
        schedule,
        time_zone: &backup.time_zone,
        late: LATE,
    };
    Some(rhythm.of(work(place, backup)))
}

fn work<'a>(place: &'a Place<'a>, backup: &'a Backup) -> Work<'a> {
    Work {
        place,
        role: role::BACKUP,
        // The destination's own requests are tried again before.
        retries: 1,
        timeout: backup.timeout.clone(),
        pod: pod_spec(place, backup),
    }
}

fn pod_spec(place: &Place<'_>, backup: &Backup) -> PodSpec {
    let lies = Lies::of(backup, &place.name);
    let mut scratch = pod::empty("scratch", None);
    if let Some(folder) = &mut scratch.empty_dir {
        folder.size_limit = Some(place.object.spec.storage.size.to_k8s());
    }
    let mut volumes = lies.volumes();
    volumes.extend([
        pod::secret("credentials", names::credentials(&place.name), false),
        pod::secret("standby", names::standby(&place.name), true),
        pod::config_map("settings", settings::name(&place.name)),
        scratch,
        pod::empty("run", Some("Memory")),
        pod::empty("tmp", None),
        pod::empty("bin", None),
    ]);
    let image = &place.config.images.operator;
    PodSpec {
        init_containers: Some(vec![pod::install(image), take(place, backup, &lies)]),
        containers: vec![prove(place, &lies)],
        volumes: Some(volumes),
        ..job::surroundings()
    }
}

fn take(place: &Place<'_>, backup: &Backup, lies: &Lies<'_>) -> Container {
    let spec = &place.object.spec;
    let mut words = job::words(place, "backup");
    words.extend(lies.arguments());
    words.push(format!("--keep={}", backup.retain.count));
    words.push(format!("--timeout={}", backup.timeout.seconds()));
    if let Some(age) = &backup.retain.age {
        words.push(format!("--keep-for={}", age.seconds()));
    }
    let mut mounts = lies.mounts(false);
    mounts.extend([
        pod::mount("credentials", "/etc/trackbed/credentials", true),
        pod::mount("standby", "/etc/trackbed/standby", true),
    ]);
    mounts.extend(job::mounts());
    let resources = match spec.engine {
        Engine::Postgres => Resources::default().with_defaults(RESOURCES),
        // All data are on disk on their way, and are looked at value by value.
        Engine::Redis | Engine::Valkey => {
            words.push(format!("--data={SCRATCH}"));
            mounts.push(pod::mount("scratch", SCRATCH, false));
            spec.resources.with_defaults(server::RESOURCES)
        }
    };
    Container {
        name: TAKE.to_owned(),
        resources: Some(resources),
        volume_mounts: Some(mounts),
        ..job::container(place, words)
    }
}

fn prove(place: &Place<'_>, lies: &Lies<'_>) -> Container {
    let mut words = job::words(place, "prove");
    words.push(format!("--data={SCRATCH}"));
    words.extend(lies.arguments());
    let mut mounts = lies.mounts(true);
    mounts.push(pod::mount("scratch", SCRATCH, false));
    mounts.extend(job::mounts());
    let resources = &place.object.spec.resources;
    Container {
        name: PROVE.to_owned(),
        resources: Some(resources.with_defaults(server::RESOURCES)),
        volume_mounts: Some(mounts),
        ..job::container(place, words)
    }
}
