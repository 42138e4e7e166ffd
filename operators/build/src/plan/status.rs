//! The status that follows from a verdict.

use jiff::Timestamp;
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Time};
use serde::Deserialize;
use trackbed_api::{
    Build, BuildStatus,
    build::{BuildPhase, BuildPlan, Failure, StepDurations},
};
use trackbed_kit::conditions::tail;

use super::{log, step::Step, verdict::Verdict};
use crate::observe::Seen;

/// Bytes of a log that are kept.
const LOG: usize = 4096;

/// What `fetch` says when it is done.
#[derive(Deserialize)]
struct Fetched {
    plan: BuildPlan,
    message: String,
    author: String,
}

/// The commit's first seven digits.
pub fn short(object: &Build) -> String {
    let commit = &object.spec.source.git.commit;
    commit.get(..7).unwrap_or(commit).to_owned()
}

/// The next status. Its conditions are filled in later.
pub fn next(object: &Build, seen: &Seen, verdict: &Verdict, now: Timestamp) -> BuildStatus {
    let mut status = object.status.clone().unwrap_or_default();
    status.short_commit = Some(short(object));
    status.queue_position = None;
    let pod = seen.pods.first().map(AsRef::as_ref);
    if let Some(pod) = pod {
        status.start_time = pod.status.as_ref().and_then(|it| it.start_time.clone());
        status.durations = durations(object, pod);
        if let Some(fetched) = fetched(pod) {
            status.plan = Some(fetched.plan);
            status.message = Some(fetched.message);
            status.author = Some(fetched.author);
        }
    }
    if !matches!(verdict, Verdict::Failed(_)) {
        status.failure = None;
        status.log_tail = None;
    }
    status.step = (phase(pod) == BuildPhase::Building)
        .then(|| log::instruction(seen.log.as_deref()?).or(status.step.take()))
        .flatten();
    match verdict {
        Verdict::NoJob => status.phase = BuildPhase::Pending,
        Verdict::Running(_) | Verdict::Waiting(..) => status.phase = phase(pod),
        Verdict::Succeeded(image) => {
            status.phase = BuildPhase::Succeeded;
            status.image = Some(image.clone());
            let end = pod.and_then(|pod| Step::Push.end(pod)?.finished_at.clone());
            status.completion_time = Some(end.unwrap_or(Time(now)));
        }
        Verdict::Failed(failed) => {
            status.phase = BuildPhase::Failed;
            status.step = None;
            status.completion_time = Some(Time(failed.at.unwrap_or(now)));
            status.log_tail = seen.log.as_deref().map(printable);
            status.failure = Some(Failure {
                reason: failed.reason,
                message: failed.message.clone(),
                retryable: failed.reason.retryable(),
                step: failed.step.map(|step| step.container().to_owned()),
                exit_code: failed.exit_code,
            });
        }
    }
    status
}

fn phase(pod: Option<&Pod>) -> BuildPhase {
    let running = pod.and_then(|pod| Step::ALL.into_iter().find(|step| step.runs(pod)));
    let last = || {
        let pod = pod?;
        Step::ALL
            .into_iter()
            .rev()
            .find(|step| step.end(pod).is_some())
    };
    match (running, last()) {
        (Some(Step::Fetch), _) => BuildPhase::Fetching,
        // Between two steps, the next one is as good as begun.
        (Some(Step::Build), _) | (None, Some(Step::Fetch)) => BuildPhase::Building,
        (Some(Step::HandOver | Step::Push), _)
        | (None, Some(Step::Build | Step::HandOver | Step::Push)) => BuildPhase::Pushing,
        (None, None) => BuildPhase::Pending,
    }
}

fn fetched(pod: &Pod) -> Option<Fetched> {
    let end = Step::Fetch.end(pod).filter(|end| end.exit_code == 0)?;
    serde_json::from_str(end.message.as_deref()?).ok()
}

/// The end of a log without what would confuse a terminal.
fn printable(log: &str) -> String {
    let clean: String = log
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect();
    tail(&clean, LOG).to_owned()
}

fn durations(object: &Build, pod: &Pod) -> Option<StepDurations> {
    let seconds = |step: Step| {
        let end = step.end(pod)?;
        let (from, to) = (end.started_at.as_ref()?, end.finished_at.as_ref()?);
        Some(to.0.as_second() - from.0.as_second())
    };
    let began = Step::Fetch.status(pod).and_then(|it| {
        let state = it.state.as_ref()?;
        let running = state.running.as_ref().and_then(|it| it.started_at.clone());
        running.or_else(|| state.terminated.as_ref()?.started_at.clone())
    });
    let created = object.metadata.creation_timestamp.as_ref();
    let durations = StepDurations {
        pending: created
            .zip(began)
            .map(|(created, began)| began.0.as_second() - created.0.as_second()),
        fetch: seconds(Step::Fetch),
        build: seconds(Step::Build),
        push: seconds(Step::Push),
    };
    (durations != StepDurations::default()).then_some(durations)
}
