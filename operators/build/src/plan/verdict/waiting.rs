//! What an attempt does, or waits for, that has not ended.

use k8s_openapi::api::core::v1::Pod;
use trackbed_api::reason::Reason;
use trackbed_kit::{conditions::clip, meta};

use super::Verdict;
use crate::{
    observe::{Seen, Warning},
    plan::step::Step,
};

/// Longest part of a foreign sentence that is told.
const SAID: usize = 400;

/// How an attempt stands that has not ended.
pub(super) fn of(seen: &Seen) -> Verdict {
    let Some(pod) = seen.pods.first() else {
        return match &seen.warning {
            Some(warning) => refused(warning),
            None => Verdict::Running("waits for a pod".to_owned()),
        };
    };
    if let Some(step) = Step::ALL.into_iter().find(|step| step.runs(pod)) {
        return Verdict::Running(if meta::is_deleted(pod.as_ref()) {
            "its pod ends, for it was deleted".to_owned()
        } else {
            let doing = match step {
                Step::Fetch => "fetches the source",
                Step::Build => "builds the image",
                Step::HandOver | Step::Push => "pushes the image",
            };
            doing.to_owned()
        });
    }
    let known = unscheduled(pod).or_else(|| not_started(pod));
    let known = known.or_else(|| seen.warning.as_ref().map(not_mounted));
    known.unwrap_or_else(|| Verdict::Running("its pod starts".to_owned()))
}

/// The Job controller cannot create the pod.
fn refused(warning: &Warning) -> Verdict {
    let said = &warning.message;
    // In front of it stands the pod's name, another one at each try.
    match said.split_once(" is forbidden: ") {
        Some((_, why)) => Verdict::Waiting(
            Reason::QuotaExceeded,
            format!(
                "a quota or policy of the namespace refuses the build's pod ({}): lower build.resources, or raise the Project's quota",
                quote(why)
            ),
        ),
        None => Verdict::Waiting(
            Reason::BuildJobFailed,
            format!("the build's pod cannot be created ({})", quote(said)),
        ),
    }
}

fn unscheduled(pod: &Pod) -> Option<Verdict> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|it| {
        it.type_ == "PodScheduled"
            && it.status == "False"
            && it.reason.as_deref() == Some("Unschedulable")
    })?;
    let said = condition.message.as_deref().unwrap_or_default();
    // What follows is about pods that could be put out for it.
    let said = quote(said.split(". ").next().unwrap_or_default());
    Some(if said.contains("PersistentVolumeClaim") {
        Verdict::Waiting(
            Reason::VolumePending,
            format!(
                "the volume of the build's cache is not provided ({said}): look at the claims of the namespace, or set build.cache to false"
            ),
        )
    } else {
        Verdict::Waiting(
            Reason::Unschedulable,
            format!(
                "no node has room for the build ({said}): lower build.resources.requests, or add nodes"
            ),
        )
    })
}

fn not_started(pod: &Pod) -> Option<Verdict> {
    let (step, reason, said) = Step::ALL.into_iter().find_map(|step| {
        let state = step.status(pod)?.state.as_ref()?.waiting.as_ref()?;
        Some((step, state.reason.clone()?, state.message.clone()))
    })?;
    let said = said.unwrap_or_default();
    let name = step.container();
    let pull = ["RegistryUnavailable", "SignatureValidationFailed"];
    if reason.contains("Image") || pull.contains(&reason.as_str()) {
        // The back-off repeats the error of the last try.
        let said = said
            .rsplit_once("ErrImagePull: ")
            .map_or(said.as_str(), |(_, said)| said);
        return Some(Verdict::Waiting(
            Reason::ImagePullFailed,
            format!(
                "the image of step {name}, which the operator's settings name, cannot be pulled: {}",
                quote(said)
            ),
        ));
    }
    reason.contains("Error").then(|| {
        Verdict::Waiting(
            Reason::ContainerConfigError,
            format!("step {name} cannot start: {}", quote(&said)),
        )
    })
}

/// The kubelet cannot prepare the pod.
fn not_mounted(warning: &Warning) -> Verdict {
    let said = quote(&warning.message);
    let secret = said.contains("secret \"") || said.contains("non-existent secret key");
    if warning.reason == "FailedMount" && secret {
        Verdict::Waiting(
            Reason::SecretInvalid,
            format!("a Secret of the build is not there, or lacks a key: {said}"),
        )
    } else {
        Verdict::Waiting(
            Reason::BuildJobFailed,
            format!("the build's pod cannot start: {said}"),
        )
    }
}

/// What others said, on one line, without what would confuse a terminal.
fn quote(said: &str) -> String {
    let clean: String = said
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    clip(clean.trim().trim_end_matches('.'), SAID)
}
