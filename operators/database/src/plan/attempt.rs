//! How the Jobs of backups went, from their containers' last words.

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{ContainerStateTerminated, Pod},
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::ResourceExt;
use serde::{Deserialize, de::DeserializeOwned};
use trackbed_api::{
    backup::{BackupStatus, Taken},
    common::condition::BACKUP_READY,
    database::{DatabaseSpec, DatabaseStatus, Engine},
    labels::role,
    names,
    reason::Reason,
};
use trackbed_kit::{Fact, job, meta};

use super::{
    backup::{PROVE, TAKE},
    health::{self, Refusal},
    said,
};
use crate::observe::Seen;

/// Label that Kubernetes puts on the pods of a Job.
const JOB: &str = "batch.kubernetes.io/job-name";
/// Backups that are told in status.
const TOLD: usize = 10;

/// What the supervisor says when it has taken a backup.
#[derive(Deserialize)]
struct Survey {
    count: i32,
    newest: Vec<Taken>,
    /// Why some are still there that are too many.
    left: Option<String>,
}

/// What it says when it has proven one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Proven {
    name: String,
    taken_at: Time,
    tables: usize,
    rows: u64,
}

/// Status of the backups, with what their Jobs have said meanwhile.
pub fn status(
    database: &str,
    spec: &DatabaseSpec,
    seen: &Seen,
    before: &DatabaseStatus,
) -> Option<BackupStatus> {
    let backup = spec.backup.as_ref()?;
    let mut status = before.backup.clone().unwrap_or_default();
    for job in jobs(seen) {
        let pods = pods(job, seen);
        for survey in pods.iter().filter_map(|pod| words::<Survey>(pod, TAKE)) {
            let taken = survey.newest.first().and_then(|it| it.taken_at.clone());
            if taken >= status.last {
                status.last = taken;
                status.count = survey.count;
                status.newest = survey.newest.into_iter().take(TOLD).collect();
            }
        }
        for proven in pods.iter().filter_map(|pod| words::<Proven>(pod, PROVE)) {
            let proven = Some(proven.taken_at);
            if proven > status.last_verified {
                status.last_verified = proven;
            }
        }
    }
    if let Some(request) = &backup.request {
        let name = names::requested_backup(database, request);
        let found = jobs(seen).find(|it| it.name_any() == name);
        if found.and_then(job::ended).is_some() {
            status.request = Some(request.clone());
        }
    }
    Some(status)
}

/// The condition: how the last one went that has ended. What was said holds while nobody knows more.
pub fn fact(spec: &DatabaseSpec, seen: &Seen, before: &DatabaseStatus) -> Option<Fact> {
    spec.backup.as_ref()?;
    if let Some(stuck) = stuck(spec, seen) {
        return Some(stuck);
    }
    let last = jobs(seen)
        .filter(|it| job::ended(it).is_some())
        .max_by_key(|it| began(it));
    let Some(last) = last else {
        let nothing = || {
            let message = "no backup was taken yet: backup.schedule and backup.request say when";
            Fact::new(BACKUP_READY, None, "NoBackupYet", message)
        };
        return Some(said(before, BACKUP_READY).unwrap_or_else(nothing));
    };
    if job::ended(last).is_some_and(job::succeeded) {
        let pods = pods(last, seen);
        let proven = pods
            .iter()
            .rev()
            .find_map(|pod| words::<Proven>(pod, PROVE));
        let mut message = match proven {
            Some(it) => format!(
                "the backup {} was restored into a server of its own, with {}",
                it.name,
                content(spec.engine, &it)
            ),
            None => "the last backup was taken and proven".to_owned(),
        };
        let left = pods.iter().rev().find_map(|pod| words::<Survey>(pod, TAKE));
        if let Some(why) = left.and_then(|it| it.left) {
            message += &format!("; those that are too many could not be removed: {why}");
        }
        return Some(Fact::new(BACKUP_READY, Some(true), "BackupProven", message));
    }
    let (reason, message) = failure(last, seen, Reason::BackupFailed);
    Some(Fact::new(
        BACKUP_READY,
        Some(false),
        reason.as_str(),
        message,
    ))
}

/// One that waits for what may never come says so, long before its time is over.
fn stuck(spec: &DatabaseSpec, seen: &Seen) -> Option<Fact> {
    let what = health::server(spec);
    let mut running = jobs(seen).filter(|it| job::ended(it).is_none());
    let health = running.find_map(|job| health::stuck(pods(job, seen).last()?, &what))?;
    let (_, reason, message) = health.ready();
    let message = format!("a backup is to be taken, and {message}");
    Some(Fact::new(BACKUP_READY, Some(false), reason, message))
}

/// What was restored.
fn content(engine: Engine, proven: &Proven) -> String {
    match engine {
        Engine::Postgres => format!("{} tables and {} rows", proven.tables, proven.rows),
        Engine::Redis | Engine::Valkey => format!("{} keys", proven.rows),
    }
}

/// Why a Job failed. `otherwise`: the reason if nobody says a better one.
pub fn failure(job: &Job, seen: &Seen, otherwise: Reason) -> (Reason, String) {
    let late = job::ended(job).is_some_and(|it| it.reason.as_deref() == Some("DeadlineExceeded"));
    if late {
        let reason = match otherwise {
            Reason::BackupFailed => Reason::BackupTimeout,
            other => other,
        };
        let limit = job.spec.as_ref().and_then(|it| it.active_deadline_seconds);
        let limit = limit.unwrap_or_default();
        return (
            reason,
            format!("it had not ended after {limit} seconds: raise its timeout"),
        );
    }
    let pods = pods(job, seen);
    let Some((container, end)) = pods.iter().rev().find_map(|pod| failed(pod)) else {
        let name = job.name_any();
        return (
            otherwise,
            format!("the pod of Job {name} was taken away before it had ended"),
        );
    };
    let said = end.message.as_deref().unwrap_or_default();
    let (reason, message) = match serde_json::from_str::<Refusal>(said) {
        Ok(said) => (said.reason.parse().ok(), said.message),
        Err(_) if end.reason.as_deref() == Some("OOMKilled") => (
            None,
            "it needed more memory than its limit: raise resources.limits.memory".to_owned(),
        ),
        Err(_) => (
            None,
            format!(
                "the container {container} ended with exit code {}: 'kubectl logs job/{} -c {container}' says more",
                end.exit_code,
                job.name_any()
            ),
        ),
    };
    match container == PROVE {
        true => (Reason::BackupUnverified, message),
        false => (reason.unwrap_or(otherwise), message),
    }
}

/// The Jobs that take backups.
fn jobs(seen: &Seen) -> impl Iterator<Item = &Job> {
    let all = seen.backups.jobs.iter().map(AsRef::as_ref);
    all.filter(|it| meta::label(*it, trackbed_api::labels::ROLE) == Some(role::BACKUP))
}

fn began(job: &Job) -> Option<Timestamp> {
    let began = job.metadata.creation_timestamp.as_ref();
    began.map(|it| it.0)
}

/// The pods of a Job, oldest first.
pub(super) fn pods<'a>(job: &Job, seen: &'a Seen) -> Vec<&'a Pod> {
    let name = job.name_any();
    let all = seen.backups.pods.iter().map(AsRef::as_ref);
    let mut pods: Vec<&Pod> = all
        .filter(|it| meta::label(*it, JOB) == Some(&name))
        .collect();
    pods.sort_by_key(|it| it.metadata.creation_timestamp.as_ref().map(|it| it.0));
    pods
}

/// Whether a pod of a role may still do something, the Job of which may be gone.
pub(super) fn works(seen: &Seen, role: &str) -> bool {
    seen.backups.pods.iter().any(|pod| {
        let phase = pod.status.as_ref().and_then(|it| it.phase.as_deref());
        meta::label(pod.as_ref(), trackbed_api::labels::ROLE) == Some(role)
            && !matches!(phase, Some("Succeeded" | "Failed"))
    })
}

/// What a container said that ended well.
pub(super) fn words<T: DeserializeOwned>(pod: &Pod, container: &str) -> Option<T> {
    let (_, end) = ends(pod).find(|(name, end)| *name == container && end.exit_code == 0)?;
    serde_json::from_str(end.message.as_deref()?).ok()
}

/// The container that ended badly.
fn failed(pod: &Pod) -> Option<(&str, &ContainerStateTerminated)> {
    ends(pod).find(|(_, end)| end.exit_code != 0)
}

fn ends(pod: &Pod) -> impl Iterator<Item = (&str, &ContainerStateTerminated)> {
    let status = pod.status.as_ref();
    let inits = status.and_then(|it| it.init_container_statuses.as_ref());
    let all = inits
        .into_iter()
        .chain(status.and_then(|it| it.container_statuses.as_ref()))
        .flatten();
    all.filter_map(|it| {
        let state = it.state.as_ref()?;
        Some((it.name.as_str(), state.terminated.as_ref()?))
    })
}
