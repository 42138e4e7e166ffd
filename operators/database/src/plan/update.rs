//! Newer images of a server's major version. A Job pulls the image that the settings say, on the
//! server's node and with all that the node needs for it, and says what it got: a server is only
//! restarted for an image that is there, and runs.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{
        batch::v1::{CronJob, Job},
        core::v1::{
            Affinity, Container, PodAffinity, PodAffinityTerm, PodSpec, WeightedPodAffinityTerm,
        },
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, Time},
};
use kube::ResourceExt;
use trackbed_api::{
    Database, DatabaseSpec, DatabaseStatus,
    common::{ResourceDefaults, Resources, condition::UP_TO_DATE},
    labels::{self, role},
    names,
    reason::Reason,
    scalar::Duration,
    updates::{Updates, UpdatesStatus},
};
use trackbed_kit::{Config, Fact, Health, job as ends, meta};

use super::{Place, attempt, health, image, job, job::Work, pod, said};
use crate::observe::Seen;

/// Container that has the image.
const LOOK: &str = "look";
/// What it gets.
const RESOURCES: ResourceDefaults = ["10m", "16Mi", "500m", "128Mi"];
/// How long a look may take, most of which is the pull.
const TIMEOUT: &str = "15m";
/// How late one of the schedule may begin, in seconds, when the cluster's controllers were away.
const LATE: i64 = 1800;
/// Text of the request that Trackbed itself makes; a person's has one letter at least.
const FIRST: &str = "";
/// How long its result counts. With [`LATE`], a restart happens within an hour, or not at all.
const COUNTS: SignedDuration = SignedDuration::from_secs(1800);
/// How long a Job that was asked for stays to be looked at, in seconds.
const KEPT: i32 = 86_400;

/// What looks for images.
#[derive(Clone, Debug, Default)]
pub struct Looks {
    /// By the schedule.
    pub scheduled: Option<CronJob>,
    /// Because somebody asked for it.
    pub requested: Option<Job>,
}

/// An image that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// By digest.
    pub image: String,
    /// Since when it was looked for.
    at: Time,
}

/// The newest image that a Job found since the last one counted.
pub(super) fn found(
    object: &Database,
    seen: &Seen,
    before: &DatabaseStatus,
    now: Timestamp,
) -> Option<Found> {
    let updates = object.spec.updates.as_ref()?;
    let asked = requested_name(&object.name_any(), updates);
    let last = before.updates.as_ref().and_then(|it| it.found.as_ref());
    let counts = |job: &&Job| {
        let fresh = began(job).is_some_and(|at| now.duration_since(at.0) <= COUNTS);
        began(job) > last && (fresh || Some(job.name_any()) == asked)
    };
    let found = jobs(seen).filter(counts).filter_map(|job| {
        Some(Found {
            image: result(job, seen)?,
            at: began(job)?.clone(),
        })
    });
    found.max_by(|a, b| a.at.cmp(&b.at))
}

/// What several servers wait for before there are any: to be told of an image by its content later
/// would have them taken over from each other for nothing. `None`: for nothing.
pub(super) fn first(place: &Place<'_>, seen: &Seen) -> Option<(Option<Job>, Health)> {
    let begun = seen.cluster.is_some() || image::is_digest(&place.image);
    if begun || !place.object.spec.is_replicated() {
        return None;
    }
    let what = health::server(&place.object.spec);
    let looks = Health::Progressing(format!("the image of {what} is being looked for"));
    let Some(job) = look(&place.name, seen) else {
        let name = names::requested_update(&place.name, FIRST);
        return Some((Some(request(place, &name)), looks));
    };
    // One in vain is no reason to have no server: its image may be on the nodes.
    let pods = attempt::pods(job, seen);
    // What is said of a Job and of its pod does not come at once.
    let late = pods.iter().any(|pod| {
        let phase = pod.status.as_ref().and_then(|it| it.phase.as_deref());
        phase == Some("Running")
    });
    if ends::ended(job).is_some() && !late {
        return None;
    }
    let stuck = pods.last().and_then(|pod| health::stuck(pod, &what));
    Some((None, stuck.unwrap_or(looks)))
}

/// What that found.
pub(super) fn first_found(object: &Database, seen: &Seen) -> Option<String> {
    let job = look(&object.name_any(), seen)?;
    result(job, seen).filter(|_| object.spec.is_replicated())
}

fn look<'a>(database: &str, seen: &'a Seen) -> Option<&'a Job> {
    let name = names::requested_update(database, FIRST);
    jobs(seen).find(|job| job.name_any() == name)
}

/// Status of the updates. It stays when they are no longer wanted: what was counted is not counted
/// again.
pub(super) fn status(
    object: &Database,
    seen: &Seen,
    before: &DatabaseStatus,
    found: Option<Found>,
) -> Option<UpdatesStatus> {
    let Some(updates) = &object.spec.updates else {
        return before.updates.clone();
    };
    let mut status = before.updates.clone().unwrap_or_default();
    if let Some(found) = found {
        status.found = Some(found.at);
    }
    let asked = requested_name(&object.name_any(), updates);
    let mut ended = jobs(seen).filter(|it| ends::ended(it).is_some());
    if ended.any(|it| Some(it.name_any()) == asked) {
        status.request.clone_from(&updates.request);
    }
    Some(status)
}

/// The condition: how the last look went that has ended. What was said holds while nobody knows more.
pub fn fact(
    spec: &DatabaseSpec,
    seen: &Seen,
    before: &DatabaseStatus,
    config: &Config,
) -> Option<Fact> {
    spec.updates.as_ref()?;
    let named = image::named(spec, config);
    let failed = |reason: &str, why: String| {
        let message =
            format!("{named} could not be looked for, the server runs on as it is: {why}");
        Some(Fact::new(UP_TO_DATE, Some(false), reason, message))
    };
    let mut running = jobs(seen).filter(|it| ends::ended(it).is_none());
    let stuck = running.find_map(|job| {
        let pods = attempt::pods(job, seen);
        health::stuck(pods.last()?, &health::server(spec))
    });
    if let Some(stuck) = stuck {
        let (_, reason, message) = stuck.ready();
        return failed(reason, message.to_owned());
    }
    let ended = jobs(seen).filter(|it| ends::ended(it).is_some());
    let Some(last) = ended.max_by_key(|it| began(it).map(|at| at.0)) else {
        let message =
            "no newer image was looked for yet: updates.schedule and updates.request say when";
        let nothing = || Fact::new(UP_TO_DATE, None, "NotLookedYet", message);
        return Some(said(before, UP_TO_DATE).unwrap_or_else(nothing));
    };
    if let Some(image) = result(last, seen) {
        let at = began(last).map(|at| at.0.to_string()).unwrap_or_default();
        let message = format!("{named} is {image}, as of {at}");
        return Some(Fact::new(UP_TO_DATE, Some(true), "ImageFound", message));
    }
    let reason = Reason::UpdateFailed.as_str();
    match ends::ended(last) {
        Some(end) if ends::succeeded(end) => failed(
            reason,
            "the node that has it names no digest of it in its repository".to_owned(),
        ),
        Some(end) if end.reason.as_deref() == Some("DeadlineExceeded") => {
            failed(reason, format!("it had not run after {TIMEOUT}"))
        }
        _ => {
            let (reason, why) = attempt::failure(last, seen, Reason::UpdateFailed);
            failed(reason.as_str(), why)
        }
    }
}

/// What is to be there.
pub(super) fn desired(place: &Place<'_>, seen: &Seen, before: &DatabaseStatus) -> Looks {
    if let Some((requested, _)) = first(place, seen) {
        return Looks {
            scheduled: None,
            requested,
        };
    }
    match &place.object.spec.updates {
        None => Looks::default(),
        Some(updates) => Looks {
            scheduled: scheduled(place, updates),
            requested: requested(place, updates, seen, before),
        },
    }
}

fn scheduled(place: &Place<'_>, updates: &Updates) -> Option<CronJob> {
    let schedule = updates.schedule.as_ref()?;
    let rhythm = job::Rhythm {
        name: names::updates(&place.name),
        schedule,
        time_zone: &updates.time_zone,
        late: LATE,
    };
    Some(rhythm.of(work(place)))
}

/// The Job that is to be made: none if it is there, or was. One that cannot pull its image has a pod,
/// too, and may be helped by another image.
fn requested(
    place: &Place<'_>,
    updates: &Updates,
    seen: &Seen,
    before: &DatabaseStatus,
) -> Option<Job> {
    let name = requested_name(&place.name, updates)?;
    let done = before.updates.as_ref().and_then(|it| it.request.as_ref());
    let there = jobs(seen).any(|job| job.name_any() == name);
    let runs = (seen.pod.is_some() || seen.cluster.is_some()) && !place.object.spec.suspend;
    if done == updates.request.as_ref() || there || !runs {
        return None;
    }
    Some(request(place, &name))
}

fn request(place: &Place<'_>, name: &str) -> Job {
    let mut spec = work(place).spec();
    spec.ttl_seconds_after_finished = Some(KEPT);
    job::named(place, name, role::UPDATE, spec)
}

fn requested_name(database: &str, updates: &Updates) -> Option<String> {
    let request = updates.request.as_deref()?;
    Some(names::requested_update(database, request))
}

fn work<'a>(place: &'a Place<'a>) -> Work<'a> {
    Work {
        place,
        role: role::UPDATE,
        retries: 1,
        timeout: Duration::from(TIMEOUT),
        pod: PodSpec {
            init_containers: Some(vec![pod::install(&place.config.images.operator)]),
            containers: vec![Container {
                name: LOOK.to_owned(),
                image: Some(image::named(&place.object.spec, place.config)),
                image_pull_policy: Some("Always".to_owned()),
                resources: Some(Resources::default().with_defaults(RESOURCES)),
                volume_mounts: Some(vec![pod::mount("bin", "/opt/trackbed/bin", true)]),
                ..job::container(place, job::words(place, "look"))
            }],
            volumes: Some(vec![pod::empty("bin", None)]),
            affinity: Some(beside(place)),
            ..job::surroundings()
        },
    }
}

/// On the server's node, if it has room: then the server does not wait for the image.
fn beside(place: &Place<'_>) -> Affinity {
    let term = PodAffinityTerm {
        label_selector: Some(LabelSelector {
            match_labels: Some(place.selector()),
            match_expressions: None,
        }),
        topology_key: "kubernetes.io/hostname".to_owned(),
        ..PodAffinityTerm::default()
    };
    Affinity {
        pod_affinity: Some(PodAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![
                WeightedPodAffinityTerm {
                    weight: 100,
                    pod_affinity_term: term,
                },
            ]),
            ..PodAffinity::default()
        }),
        ..Affinity::default()
    }
}

/// The image of a Job that ended well.
fn result(job: &Job, seen: &Seen) -> Option<String> {
    ends::ended(job).filter(|end| ends::succeeded(end))?;
    let pods = attempt::pods(job, seen);
    pods.iter().rev().find_map(|pod| image::running(pod))
}

fn jobs(seen: &Seen) -> impl Iterator<Item = &Job> {
    let all = seen.backups.jobs.iter().map(AsRef::as_ref);
    all.filter(|it| meta::label(*it, labels::ROLE) == Some(role::UPDATE))
}

fn began(job: &Job) -> Option<&Time> {
    job.metadata.creation_timestamp.as_ref()
}
