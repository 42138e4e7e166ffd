//! Attempts that were ended from outside: by the kubelet, with the node, or by hand.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use trackbed_api::{Build, reason::Reason};

use super::{Failed, Then, job_ended, kaniko, refusal};
use crate::{observe::Seen, plan::step::Step};

/// A pod that failed as a whole: how its containers ended is only what followed.
pub(super) fn pod(seen: &Seen, pod: &Pod) -> Option<Failed> {
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
        message: message.trim_end().to_owned(),
        step,
        exit_code: end.map(|end| end.exit_code),
        at: ended.or(job.and_then(|end| end.at)).or(changed(pod)),
        then: Then::Again,
    })
}

/// When a pod's conditions changed last.
fn changed(pod: &Pod) -> Option<Timestamp> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let times = conditions
        .iter()
        .filter_map(|it| it.last_transition_time.as_ref());
    times.map(|time| time.0).max()
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
            format!(
                "the build took more than build.diskLimit of the operator's settings: leave out what is not needed, or ask the platform's administrators for more ({})",
                words.trim_end().trim_end_matches('.')
            ),
        )
    } else {
        (
            Reason::Evicted,
            format!("the node put the build out: {words}"),
        )
    }
}

/// A step that did not end by itself: its pod was deleted, or its process was killed.
pub(super) fn step(
    object: &Build,
    pod: &Pod,
    step: Step,
    end: &ContainerStateTerminated,
) -> Option<Failed> {
    if refusal(end).is_some() {
        return None;
    }
    let name = step.container();
    let message = if deleted_before(pod, end) {
        format!("its pod was deleted, or put off its node, during step {name}")
    } else if killed(end) {
        let memory = match step {
            // The kubelet does not always get to know what a process died of.
            Step::Build => format!(
                ", or it needed more than its {} of memory",
                kaniko::memory(object)
            ),
            Step::Fetch | Step::HandOver | Step::Push => String::new(),
        };
        format!("step {name} was killed: its node went down, or somebody ended it{memory}")
    } else {
        return None;
    };
    Some(Failed {
        reason: Reason::Evicted,
        message,
        step: Some(step),
        exit_code: Some(end.exit_code),
        at: end.finished_at.as_ref().map(|time| time.0),
        then: Then::Again,
    })
}

/// Whether a pod's deletion came before a container's end. The deletion's time is at first that of
/// the request and the grace period, and then that at which the kubelet was done, which may be a
/// while after the container's end.
fn deleted_before(pod: &Pod, end: &ContainerStateTerminated) -> bool {
    const DONE: i64 = 30;
    let Some(deletion) = &pod.metadata.deletion_timestamp else {
        return false;
    };
    let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
    let asked = deletion.0.as_second() - grace - DONE;
    let finished = end.finished_at.as_ref();
    finished.is_none_or(|finished| finished.0.as_second() >= asked)
}

/// By a signal that nothing in the container sent, or found dead after the runtime came back. Its
/// words: <https://github.com/containerd/containerd/blob/v1.7.0/pkg/cri/server/restart.go> and
/// <https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/kubelet/container/runtime.go>.
fn killed(end: &ContainerStateTerminated) -> bool {
    match end.reason.as_deref() {
        Some("OOMKilled") => false,
        Some("Unknown" | "ContainerStatusUnknown") => true,
        _ => end.exit_code == 137,
    }
}
