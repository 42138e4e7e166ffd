//! How the newest attempt stands, from its Job and pod.

mod kaniko;
mod lost;
mod waiting;

use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::Job, core::v1::ContainerStateTerminated};
use serde::Deserialize;
use trackbed_api::{Build, build::BuildPhase, reason::Reason};

use super::{log, step::Step};
use crate::observe::Seen;

/// Exit code of the step that builds when there is no Kaniko where it should be: Kaniko's own is 1.
pub const NOT_STARTED: u8 = 127;

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
    /// When. `None`: it is not known, and nothing is to be waited for.
    pub at: Option<Timestamp>,
    /// What follows.
    pub then: Then,
}

/// What follows from a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Another, if the reason may pass.
    Again,
    /// None: it would build again what is built.
    End,
    /// None, for the time is up, and its Job does not end by itself.
    Stop,
}

/// What our own steps say when they fail.
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
        return absent(object);
    };
    let pod = seen.pods.first().map(AsRef::as_ref);
    if let Some(pod) = pod {
        if let Some(end) = Step::Push.end(pod).filter(|end| end.exit_code == 0) {
            return pushed(end);
        }
        if let Some(lost) = lost::pod(seen, pod) {
            return Verdict::Failed(lost);
        }
        for step in Step::ALL {
            if let Some(end) = step.end(pod).filter(|end| end.exit_code != 0) {
                let lost = lost::step(object, pod, step, end);
                return Verdict::Failed(lost.unwrap_or_else(|| failed(object, seen, step, end)));
            }
        }
    }
    if late(object, job, now) {
        return Verdict::Failed(timeout(object, seen, now));
    }
    match (job_ended(job), pod) {
        (Some(end), pod) => Verdict::Failed(without_result(end, pod.is_some())),
        (None, _) => waiting::of(seen),
    }
}

/// A Build that had a Job, as its status says, and has none.
fn absent(object: &Build) -> Verdict {
    let phase = object.status.as_ref().map(|status| status.phase);
    let began = [
        BuildPhase::Fetching,
        BuildPhase::Building,
        BuildPhase::Pushing,
    ];
    if !phase.is_some_and(|phase| began.contains(&phase)) {
        return Verdict::NoJob;
    }
    Verdict::Failed(Failed {
        reason: Reason::BuildJobFailed,
        message: "its Job is gone: somebody, or something that cleans up, deleted it".to_owned(),
        step: None,
        exit_code: None,
        at: None,
        then: Then::Again,
    })
}

/// How a Job ended.
pub struct Ended {
    /// When.
    pub at: Option<Timestamp>,
    /// Why, in one word.
    pub reason: String,
    /// Why, in the words of the Job controller.
    pub words: String,
}

/// How a Job ended, if it did.
pub fn job_ended(job: &Job) -> Option<Ended> {
    let end = trackbed_kit::job::ended(job)?;
    let words = [end.reason.as_deref(), end.message.as_deref()];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    Some(Ended {
        at: end.last_transition_time.as_ref().map(|time| time.0),
        reason: end.reason.clone().unwrap_or_default(),
        words: words.join(": "),
    })
}

fn without_result(end: Ended, pod: bool) -> Failed {
    let words = end.words;
    // Not ours: our own comes later than the build's timeout.
    let deadline = end.reason == "DeadlineExceeded";
    let (reason, message) = if pod || deadline {
        (
            Reason::BuildJobFailed,
            format!("the Job ended without a result: {words}"),
        )
    } else {
        (
            Reason::Evicted,
            format!("its pod is gone, deleted or lost with its node ({words})"),
        )
    };
    Failed {
        reason,
        message,
        step: None,
        exit_code: None,
        at: end.at,
        then: Then::Again,
    }
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
            then: Then::Again,
        }),
    }
}

fn failed(object: &Build, seen: &Seen, step: Step, end: &ContainerStateTerminated) -> Failed {
    let (reason, message) = match step {
        Step::Fetch | Step::HandOver | Step::Push => said(step, end),
        Step::Build if end.exit_code == i32::from(NOT_STARTED) => said(step, end),
        Step::Build => kaniko::failed(object, seen.log.as_deref().unwrap_or_default(), end),
    };
    Failed {
        reason,
        message,
        step: Some(step),
        exit_code: Some(exit_code(seen, step, end)),
        at: end.finished_at.as_ref().map(|time| time.0),
        // The push itself tries again what may pass.
        then: match step {
            Step::Push => Then::End,
            Step::Fetch | Step::Build | Step::HandOver => Then::Again,
        },
    }
}

/// Kaniko's own is always 1: that of the command it ran says more.
fn exit_code(seen: &Seen, step: Step, end: &ContainerStateTerminated) -> i32 {
    let log = seen.log.as_deref().filter(|_| step == Step::Build);
    log.and_then(log::exit_status).unwrap_or(end.exit_code)
}

/// Our own steps say why they failed.
fn said(step: Step, end: &ContainerStateTerminated) -> (Reason, String) {
    refusal(end).unwrap_or_else(|| {
        let (name, code) = (step.container(), end.exit_code);
        let words = match end.reason.as_deref() {
            Some("OOMKilled") => "was killed for want of memory".to_owned(),
            _ => format!("ended with exit code {code} and no reason"),
        };
        (Reason::BuildJobFailed, format!("step {name} {words}"))
    })
}

fn refusal(end: &ContainerStateTerminated) -> Option<(Reason, String)> {
    let text = end.message.as_deref().unwrap_or_default();
    let refusal: Refusal = serde_json::from_str(text).ok()?;
    Some((refusal.reason.parse().ok()?, refusal.message))
}

/// Whether an attempt's time is up, counted from the Job's creation: a pod that never starts counts
/// too.
pub fn late(object: &Build, job: &Job, now: Timestamp) -> bool {
    let limit = i64::try_from(object.spec.build.timeout.seconds()).unwrap_or(i64::MAX);
    let begun = job.metadata.creation_timestamp.as_ref();
    begun.is_some_and(|begun| now.as_second() - begun.0.as_second() >= limit)
}

/// The time is up. Where something is known that was waited for, that is the reason.
fn timeout(object: &Build, seen: &Seen, now: Timestamp) -> Failed {
    let pod = seen.pods.first();
    let step = pod.and_then(|pod| Step::ALL.into_iter().find(|step| step.runs(pod)));
    let limit = &object.spec.build.timeout;
    let still = |doing: &str| {
        format!(
            "the build was still {doing} after {limit}: raise build.timeout, or look in the log for what it waited for"
        )
    };
    let (reason, message) = match (step, waiting::of(seen)) {
        (Some(Step::Fetch), _) => (
            Reason::SourceTimeout,
            format!(
                "the source was not fetched within {limit}: raise build.timeout, or look why {} takes that long",
                object.spec.source.git.url
            ),
        ),
        (Some(Step::Build), _) => (Reason::BuildTimeout, still("building the image")),
        (Some(Step::HandOver | Step::Push), _) => {
            (Reason::BuildTimeout, still("pushing the image"))
        }
        (None, Verdict::Waiting(reason, why)) => {
            (reason, format!("{why}; that was so for {limit}"))
        }
        (None, _) => (Reason::BuildTimeout, still("waiting for its pod")),
    };
    Failed {
        reason,
        message,
        step,
        exit_code: None,
        at: Some(now),
        then: Then::Stop,
    }
}
