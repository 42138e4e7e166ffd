//! How the newest attempt stands, from its Job and pod.

use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ContainerStateTerminated, Pod},
};
use serde::Deserialize;
use trackbed_api::{Build, reason::Reason};

use super::{log, step::Step};
use crate::observe::Seen;

/// How an attempt stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is none yet.
    NoJob,
    /// It is under way.
    Running(String),
    /// It cannot go on at the moment.
    Waiting(Reason, String),
    /// The image, by digest.
    Succeeded(String),
    /// It failed.
    Failed(Failed),
}

/// A failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Why.
    pub reason: Reason,
    /// In a sentence.
    pub message: String,
    /// The step that failed, if it got that far.
    pub step: Option<Step>,
    /// Its exit code.
    pub exit_code: Option<i32>,
    /// When.
    pub at: Option<Timestamp>,
}

/// What `fetch` and `push` say when they fail.
#[derive(Deserialize)]
struct Refusal {
    reason: String,
    message: String,
}

/// What `push` says when it is done.
#[derive(Deserialize)]
struct Pushed {
    image: String,
}

/// Judges the newest attempt.
pub fn of(object: &Build, seen: &Seen, now: Timestamp) -> Verdict {
    let Some(job) = seen.jobs.last() else {
        return Verdict::NoJob;
    };
    let pod = seen.pods.first().map(AsRef::as_ref);
    if let Some(pod) = pod {
        if let Some(end) = Step::Push.end(pod).filter(|end| end.exit_code == 0) {
            return pushed(end);
        }
        if let Some(lost) = lost(seen, pod) {
            return Verdict::Failed(lost);
        }
        for step in Step::ALL {
            if let Some(end) = step.end(pod).filter(|end| end.exit_code != 0) {
                return Verdict::Failed(failed(object, seen, step, end));
            }
        }
    }
    if late(object, job, now) {
        return timeout(object, pod, now);
    }
    match (job_ended(job), pod) {
        (Some((at, message)), None) => Verdict::Failed(Failed {
            reason: Reason::Evicted,
            message: format!("its pod is gone, deleted or lost with its node ({message})"),
            step: None,
            exit_code: None,
            at,
        }),
        (Some((at, message)), Some(_)) => Verdict::Failed(Failed {
            reason: Reason::BuildJobFailed,
            message: format!("the Job ended without a result: {message}"),
            step: None,
            exit_code: None,
            at,
        }),
        (None, Some(pod)) => running(pod),
        (None, None) => Verdict::Running("waits for a pod".to_owned()),
    }
}

/// When and how a Job ended, if it did.
pub fn job_ended(job: &Job) -> Option<(Option<Timestamp>, String)> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let end = conditions
        .iter()
        .find(|it| it.status == "True" && matches!(it.type_.as_str(), "Failed" | "Complete"))?;
    let words = [end.reason.as_deref(), end.message.as_deref()];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    let at = end.last_transition_time.as_ref().map(|time| time.0);
    Some((at, words.join(": ")))
}

fn pushed(end: &ContainerStateTerminated) -> Verdict {
    let text = end.message.as_deref().unwrap_or_default();
    match serde_json::from_str::<Pushed>(text) {
        Ok(pushed) => Verdict::Succeeded(pushed.image),
        Err(_) => Verdict::Failed(Failed {
            reason: Reason::BuildJobFailed,
            message: "the push did not say what it pushed".to_owned(),
            step: Some(Step::Push),
            exit_code: Some(0),
            at: end.finished_at.as_ref().map(|time| time.0),
        }),
    }
}

fn failed(object: &Build, seen: &Seen, step: Step, end: &ContainerStateTerminated) -> Failed {
    let (reason, message) = match step {
        Step::Fetch | Step::Push => said(step, end),
        Step::Build => built(object, seen.log.as_deref().unwrap_or_default(), end),
    };
    Failed {
        reason,
        message,
        step: Some(step),
        exit_code: Some(exit_code(seen, step, end)),
        at: end.finished_at.as_ref().map(|time| time.0),
    }
}

/// Kaniko's own is always 1: that of the command it ran says more.
fn exit_code(seen: &Seen, step: Step, end: &ContainerStateTerminated) -> i32 {
    let log = seen.log.as_deref().filter(|_| step == Step::Build);
    log.and_then(log::exit_status).unwrap_or(end.exit_code)
}

/// A pod that failed as a whole: how its containers ended is only what followed.
fn lost(seen: &Seen, pod: &Pod) -> Option<Failed> {
    let status = pod.status.as_ref()?;
    let why = status.reason.as_deref()?;
    if status.phase.as_deref() != Some("Failed") || why == "DeadlineExceeded" {
        return None;
    }
    let words = status.message.clone().unwrap_or_default();
    let (reason, message) = match why {
        "Evicted" => put_out(&words),
        _ => (
            Reason::Evicted,
            format!("the node ended the build ({why}): {words}"),
        ),
    };
    let step = Step::ALL.into_iter().find(|step| {
        let end = step.end(pod);
        end.is_none_or(|end| end.exit_code != 0)
    });
    let end = step.and_then(|step| step.end(pod));
    let job = seen.jobs.last().and_then(|job| job_ended(job));
    let ended = end.and_then(|end| end.finished_at.as_ref().map(|time| time.0));
    Some(Failed {
        reason,
        message,
        step,
        exit_code: end.map(|end| end.exit_code),
        at: ended.or(job.and_then(|(at, _)| at)),
    })
}

/// The kubelet puts a pod out for what it took itself, and for want of what others took. Its words:
/// <https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/kubelet/eviction/eviction_manager.go>.
fn put_out(words: &str) -> (Reason, String) {
    const OWN: [&str; 3] = [
        "exceeded its local ephemeral storage limit",
        "ephemeral local storage usage exceeds",
        "Usage of EmptyDir volume",
    ];
    if OWN.iter().any(|own| words.contains(own)) {
        (
            Reason::DiskFull,
            format!("the build took more than build.diskLimit of the operator's settings: {words}"),
        )
    } else {
        (
            Reason::Evicted,
            format!("the node put the build out: {words}"),
        )
    }
}

/// Our own steps say why they failed.
fn said(step: Step, end: &ContainerStateTerminated) -> (Reason, String) {
    let text = end.message.as_deref().unwrap_or_default();
    let refusal: Option<Refusal> = serde_json::from_str(text).ok();
    let known = refusal.and_then(|it| Some((it.reason.parse().ok()?, it.message)));
    known.unwrap_or_else(|| {
        let code = end.exit_code;
        (
            Reason::BuildJobFailed,
            format!(
                "{} ended with exit code {code} and no reason",
                step.container()
            ),
        )
    })
}

/// Kaniko only has a log. Its words: <https://github.com/chainguard-dev/kaniko>.
fn built(object: &Build, log: &str, end: &ContainerStateTerminated) -> (Reason, String) {
    let line = log::last(log);
    let killed = log.contains("signal: killed");
    if end.reason.as_deref() == Some("OOMKilled") || end.exit_code == 137 || killed {
        let limits = object.spec.build.resources.limits.as_ref();
        let limit = limits.and_then(|it| it.memory.as_ref());
        let limit = limit.map_or("4Gi".to_owned(), ToString::to_string);
        return (
            Reason::OutOfMemory,
            format!(
                "the build needed more than {limit} of memory: raise build.resources.limits.memory"
            ),
        );
    }
    const BASE: [&str; 6] = [
        "MANIFEST_UNKNOWN",
        "NAME_UNKNOWN",
        "retrieving image",
        "UNAUTHORIZED",
        "failed to get filesystem from image",
        "unable to complete operation after",
    ];
    if BASE.iter().any(|words| line.contains(words)) {
        return (
            Reason::BaseImageUnavailable,
            format!("a base image cannot be pulled: {line}"),
        );
    }
    const FULL: [&str; 3] = ["no space left on device", "ENOSPC", "disk quota exceeded"];
    if let Some(words) = log
        .lines()
        .rev()
        .take(20)
        .find(|it| FULL.iter().any(|full| it.contains(full)))
    {
        return (
            Reason::DiskFull,
            format!("the build found no room on its disk: {}", log::last(words)),
        );
    }
    (Reason::BuildFailed, command_failed(log, &line, end))
}

/// Which instruction failed, how, and what it wrote last.
fn command_failed(log: &str, line: &str, end: &ContainerStateTerminated) -> String {
    let ran = line.contains("exit status");
    match (log::instruction(log).filter(|_| ran), log::exit_status(log)) {
        (Some(instruction), Some(code)) => {
            let words = log::output(log).map(|it| format!(": {it}"));
            format!(
                "{instruction} ended with exit code {code}{}",
                words.unwrap_or_default()
            )
        }
        _ if line.is_empty() => format!("the build ended with exit code {}", end.exit_code),
        _ => format!("the build ended: {line}"),
    }
}

fn late(object: &Build, job: &Job, now: Timestamp) -> bool {
    let limit = i64::try_from(object.spec.build.timeout.seconds()).unwrap_or(i64::MAX);
    let begun = job.metadata.creation_timestamp.as_ref();
    begun.is_some_and(|begun| now.as_second() - begun.0.as_second() >= limit)
}

fn timeout(object: &Build, pod: Option<&Pod>, now: Timestamp) -> Verdict {
    let step = pod.and_then(|pod| Step::ALL.into_iter().find(|step| step.runs(pod)));
    let doing = step.map_or("waiting for its pod", |step| match step {
        Step::Fetch => "fetching the source",
        Step::Build => "building the image",
        Step::Push => "pushing the image",
    });
    let waited = pod.map(running);
    let why = match waited {
        Some(Verdict::Waiting(_, message)) => format!(" ({message})"),
        _ => String::new(),
    };
    Verdict::Failed(Failed {
        reason: Reason::BuildTimeout,
        message: format!(
            "the build was still {doing} after {}{why}: raise build.timeout, or look in the log for what it waited for",
            object.spec.build.timeout
        ),
        step,
        exit_code: None,
        at: Some(now),
    })
}

fn running(pod: &Pod) -> Verdict {
    if let Some(step) = Step::ALL.into_iter().find(|step| step.runs(pod)) {
        let doing = match step {
            Step::Fetch => "fetches the source",
            Step::Build => "builds the image",
            Step::Push => "pushes the image",
        };
        return Verdict::Running(doing.to_owned());
    }
    let conditions = pod.status.as_ref().and_then(|it| it.conditions.as_ref());
    let unscheduled = conditions.into_iter().flatten().find(|it| {
        it.type_ == "PodScheduled"
            && it.status == "False"
            && it.reason.as_deref() == Some("Unschedulable")
    });
    if let Some(condition) = unscheduled {
        let words = condition.message.clone().unwrap_or_default();
        return Verdict::Waiting(Reason::Unschedulable, format!("no node has room: {words}"));
    }
    let waiting = Step::ALL.into_iter().find_map(|step| {
        let state = step.status(pod)?.state.as_ref()?.waiting.as_ref()?;
        Some((
            step,
            state.reason.clone()?,
            state.message.clone().unwrap_or_default(),
        ))
    });
    match waiting {
        Some((step, reason, message)) if reason.contains("Image") => Verdict::Waiting(
            Reason::ImagePullFailed,
            format!(
                "the image of step {} cannot be pulled: {message}",
                step.container()
            ),
        ),
        Some((step, reason, message)) if reason.contains("Error") => Verdict::Waiting(
            Reason::ContainerConfigError,
            format!("step {} cannot start: {message}", step.container()),
        ),
        _ => Verdict::Running("its pod starts".to_owned()),
    }
}
