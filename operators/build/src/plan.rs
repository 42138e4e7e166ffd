//! What a Build needs next, from what was seen. No I/O and no clock.

pub mod claim;
mod environment;
pub mod fate;
pub mod job;
mod log;
pub mod status;
pub mod step;
pub mod verdict;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::Job, core::v1::PersistentVolumeClaim};
use kube::ResourceExt;
use trackbed_api::{
    Build, BuildStatus,
    build::BuildPhase,
    common::condition::{READY, SUCCEEDED},
    reason::{Reason, progress},
};
use trackbed_kit::{Config, Fact, Health, Plan as Outcome, conditions::find};

use crate::{observe::Seen, queue::Turn};
use step::Step;
use verdict::{Failed, Then, Verdict};

/// Jobs that a Build has at most.
const ATTEMPTS: usize = 3;
/// How often the log of a build that runs is read, to tell what it does.
const LOOK: Duration = Duration::from_secs(5);
/// How long an attempt waits after the failure of the one before, times its number.
const PAUSE: i64 = 15;
/// How long an attempt may take to begin before somebody is asked why it does not, in seconds.
const PATIENCE: i64 = 5;

/// Everything that follows from a look at a Build.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Status and when to look again.
    pub outcome: Outcome<BuildStatus>,
    /// What to create and to stop.
    pub children: Children,
}

/// Objects to create and to stop.
#[derive(Clone, Debug, Default)]
pub struct Children {
    /// The Service's cache, if it is not there.
    pub claim: Option<PersistentVolumeClaim>,
    /// A Job to create.
    pub job: Option<Job>,
    /// Jobs that must not go on.
    pub stop: Vec<Arc<Job>>,
}

/// The number of an attempt, from its Job's name.
pub fn attempt(job: &str, build: &str) -> u32 {
    let number = job
        .strip_prefix(build)
        .and_then(|rest| rest.strip_prefix("-try"));
    number.and_then(|number| number.parse().ok()).unwrap_or(1)
}

/// Whether the next step is a first Job.
pub fn starts(object: &Build, seen: &Seen) -> bool {
    seen.project_name.is_some() && seen.jobs.is_empty() && !ended(object) && !object.spec.cancel
}

/// Whether a Secret was missing or wrong at the last look.
pub fn waits_for_secret(object: &Build) -> bool {
    let conditions = object.status.as_ref().map(|status| &status.conditions);
    let ready = conditions.and_then(|all| find(all, READY));
    ready.is_some_and(|ready| ready.reason == Reason::SecretInvalid.as_str())
}

/// Whose log the plan wants: that of a step which ended badly or took too long, or that builds.
pub fn needs_log(object: &Build, seen: &Seen, now: Timestamp) -> Option<(String, &'static str)> {
    if ended(object) {
        return None;
    }
    let pod = seen.pods.first()?;
    let step = match verdict::of(object, seen, now) {
        Verdict::Failed(failed) => failed.step?,
        Verdict::Running(_) if Step::Build.runs(pod) => Step::Build,
        _ => return None,
    };
    Some((pod.name_any(), step.container()))
}

/// The uid of what the cluster may complain of: a Job that gets no pod, or a pod that does not begin.
pub fn needs_warning(object: &Build, seen: &Seen, now: Timestamp) -> Option<String> {
    let job = seen.jobs.last()?;
    let begun = job.metadata.creation_timestamp.as_ref()?.0;
    let patient = now.as_second() - begun.as_second() < PATIENCE;
    if patient || object.spec.cancel || ended(object) || verdict::job_ended(job).is_some() {
        return None;
    }
    let Some(pod) = seen.pods.first() else {
        return job.uid();
    };
    let begins = |step: &Step| step.runs(pod) || step.end(pod).is_some();
    (!Step::ALL.iter().any(begins)).then(|| pod.uid()).flatten()
}

/// Whether nothing more will happen.
pub fn ended(object: &Build) -> bool {
    object
        .status
        .as_ref()
        .is_some_and(|status| status.phase.ended())
}

/// Whether a Build has ended well.
pub fn succeeded(object: &Build) -> bool {
    let status = object.status.as_ref();
    status.is_some_and(|status| status.phase == BuildPhase::Succeeded)
}

/// Decides.
pub fn plan(object: &Build, seen: &Seen, config: &Config, now: Timestamp) -> Plan {
    let status = object.status.clone().unwrap_or_default();
    if ended(object) {
        return still(object, seen, status, now);
    }
    let Some(project) = seen.project_name.as_deref() else {
        let health = Health::Stalled(
            Reason::NamespaceNotManaged,
            "this namespace belongs to no Project: create the Build in a namespace of a Project's environment".to_owned(),
        );
        return of(status, health, None);
    };
    if object.spec.cancel {
        let health = Health::Ended(Reason::Cancelled, "was cancelled".to_owned());
        return halted(object, seen, status, (BuildPhase::Cancelled, health), now);
    }
    if let Some(newer) = &seen.superseded_by {
        let health = Health::Ended(Reason::Superseded, superseded(Some(newer)));
        return halted(object, seen, status, (BuildPhase::Superseded, health), now);
    }
    if let Some(Turn::Waits(position)) = seen.turn {
        return queued(object, status, position);
    }
    if let Some(message) = &seen.secret {
        let health = Health::Waiting(Reason::SecretInvalid, message.clone());
        // Nobody watches Secrets.
        return of(status, health, Some(Duration::from_secs(30)));
    }
    let verdict = verdict::of(object, seen, now);
    let mut status = status::next(object, seen, &verdict, now);
    let left = remaining(object, seen, now);
    match verdict {
        Verdict::NoJob => {
            let place = job::Place::new(object, project, seen, config);
            status.attempts = status.attempts.max(1);
            let mut plan = of(status, Health::Progressing("starts".to_owned()), None);
            plan.children.claim = claim::next(&place, seen);
            plan.children.job = Some(job::desired(&place, 1));
            plan
        }
        Verdict::Running(message) => {
            let moves = !matches!(status.phase, BuildPhase::Fetching | BuildPhase::Pushing);
            let requeue = left.map(|left| if moves { left.min(LOOK) } else { left });
            of(status, Health::Progressing(message), requeue)
        }
        Verdict::Waiting(reason, message) => {
            let requeue = left.map(|left| left.min(LOOK));
            of(status, Health::Waiting(reason, message), requeue)
        }
        Verdict::Succeeded(image) => of(status, Health::Ready(format!("made {image}")), None),
        Verdict::Failed(failed) => {
            let place = job::Place::new(object, project, seen, config);
            after(&place, seen, status, failed, now)
        }
    }
}

/// After a failed attempt: another one, or the end.
fn after(
    place: &job::Place<'_>,
    seen: &Seen,
    mut status: BuildStatus,
    failed: Failed,
    now: Timestamp,
) -> Plan {
    let number = seen
        .jobs
        .len()
        .max(usize::try_from(status.attempts).unwrap_or(0));
    let passes = failed.then == Then::Again && failed.reason.retryable();
    if !passes || number >= ATTEMPTS {
        return end(seen, status, failed, number);
    }
    let next = number + 1;
    let message = format!("{}; attempt {next} of {ATTEMPTS} follows", failed.message);
    status.phase = BuildPhase::Pending;
    status.completion_time = None;
    let pause = i64::try_from(number).unwrap_or(1) * PAUSE;
    let waited = failed.at.map(|at| now.as_second() - at.as_second());
    let left = pause - waited.unwrap_or(pause);
    let due = left <= 0;
    if due {
        status.attempts = i32::try_from(next).unwrap_or(i32::MAX);
    }
    let left = Duration::from_secs(u64::try_from(left).unwrap_or(0).max(1));
    let mut plan = of(status, Health::Waiting(failed.reason, message), Some(left));
    // By the number of Jobs that are there: where one was deleted, the next has its name, and so
    // there are never two.
    plan.children.job = due.then(|| job::desired(place, seen.jobs.len() + 1));
    plan
}

/// Nothing follows.
fn end(seen: &Seen, mut status: BuildStatus, failed: Failed, number: usize) -> Plan {
    let mut message = failed.message;
    if failed.then == Then::Again && failed.reason.retryable() {
        message = format!("{message}; that was attempt {number} of {ATTEMPTS}");
    }
    if let Some(failure) = &mut status.failure {
        failure.message.clone_from(&message);
    }
    let mut plan = of(status, Health::Stalled(failed.reason, message), None);
    if failed.then == Then::Stop {
        plan.children.stop = running(seen);
    }
    plan
}

/// Jobs that are not at their end.
fn running(seen: &Seen) -> Vec<Arc<Job>> {
    let ended = |job: &Job| verdict::job_ended(job).is_some();
    seen.jobs
        .iter()
        .filter(|job| !ended(job))
        .cloned()
        .collect()
}

/// Nothing changes any more, but for what still runs.
fn still(object: &Build, seen: &Seen, status: BuildStatus, now: Timestamp) -> Plan {
    let health = match (status.phase, &status.failure) {
        (BuildPhase::Succeeded, _) => {
            Health::Ready(format!("made {}", status.image.clone().unwrap_or_default()))
        }
        (BuildPhase::Cancelled, _) => Health::Ended(Reason::Cancelled, "was cancelled".to_owned()),
        (BuildPhase::Superseded, _) => Health::Ended(
            Reason::Superseded,
            superseded(seen.superseded_by.as_deref()),
        ),
        (_, Some(failure)) => Health::Stalled(failure.reason, failure.message.clone()),
        (_, None) => Health::Stalled(Reason::BuildFailed, "it failed".to_owned()),
    };
    // Others end by themselves, and their pods stay to be looked at.
    let late = |job: &Arc<Job>| verdict::late(object, job, now);
    let halt = matches!(health, Health::Ended(..)) || seen.jobs.iter().any(late);
    let mut plan = of(status, health, None);
    if halt {
        plan.children.stop = running(seen);
    }
    plan
}

fn superseded(by: Option<&str>) -> String {
    match by {
        Some(newer) => format!("the newer Build {newer} took over"),
        None => "a newer commit took over".to_owned(),
    }
}

/// It has no place, and costs no pod until it has one.
fn queued(object: &Build, mut status: BuildStatus, position: usize) -> Plan {
    status.phase = BuildPhase::Queued;
    status.short_commit = Some(status::short(object));
    status.queue_position = i32::try_from(position).ok();
    let about = if position > 10 { "about " } else { "" };
    let message = format!("waits for a place, {about}number {position} in the queue");
    of(status, Health::Progressing(message), None)
}

fn halted(
    object: &Build,
    seen: &Seen,
    mut status: BuildStatus,
    (phase, health): (BuildPhase, Health),
    now: Timestamp,
) -> Plan {
    status.phase = phase;
    status.short_commit = Some(status::short(object));
    status.queue_position = None;
    status.step = None;
    status.completion_time = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
    let mut plan = of(status, health, None);
    plan.children.stop = running(seen);
    plan
}

/// When the time is up, counted from the Job's creation: a pod that never starts counts too.
fn remaining(object: &Build, seen: &Seen, now: Timestamp) -> Option<Duration> {
    let begun = seen.jobs.last()?.metadata.creation_timestamp.as_ref()?.0;
    let limit = i64::try_from(object.spec.build.timeout.seconds()).unwrap_or(i64::MAX);
    let left = limit - (now.as_second() - begun.as_second());
    Some(Duration::from_secs(u64::try_from(left).unwrap_or(0) + 1))
}

fn of(status: BuildStatus, health: Health, requeue: Option<Duration>) -> Plan {
    let fact = match (&health, status.phase) {
        (_, BuildPhase::Succeeded) => (Some(true), progress::READY),
        (Health::Stalled(reason, _) | Health::Ended(reason, _), phase) if phase.ended() => {
            (Some(false), reason.as_str())
        }
        _ => (None, progress::PROGRESSING),
    };
    let message = health.ready().2.to_owned();
    Plan {
        outcome: Outcome {
            status,
            facts: vec![Fact::new(SUCCEEDED, fact.0, fact.1, message)],
            health,
            requeue,
        },
        children: Children::default(),
    }
}
