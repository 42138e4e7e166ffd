//! How a Database is, in the words of its conditions.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};
use serde::Deserialize;
use trackbed_api::{DatabaseSpec, reason::Reason};
use trackbed_kit::Health;

use super::{Place, replicas, sentinels};
use crate::observe::Seen;

/// Longest look of a supervisor at its volume, before it starts a server or refuses to.
const LOOK: SignedDuration = SignedDuration::from_secs(5);

/// What the supervisor says when it does not do what it was asked for.
#[derive(Deserialize)]
pub(super) struct Refusal {
    pub(super) reason: String,
    pub(super) message: String,
}

/// What serves, in words.
pub(super) fn server(spec: &DatabaseSpec) -> String {
    format!("{} {}", spec.engine.as_str(), spec.version)
}

/// Whether the server answers with the credentials.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|it| it.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|it| it.type_ == "Ready" && it.status == "True")
}

/// Whether applications can work with it.
pub fn answers(seen: &Seen) -> bool {
    let single = seen.pod.as_deref().is_some_and(is_ready);
    let any = seen.pods.iter().any(|it| is_ready(it));
    single || any || seen.cluster.as_deref().is_some_and(replicas::serves)
}

/// Health.
pub fn of(place: &Place<'_>, seen: &Seen, now: Timestamp) -> Health {
    let spec = &place.object.spec;
    if spec.is_replicated() {
        return replicas::health(place, seen, now);
    }
    if spec.has_sentinels() {
        return sentinels::health(place, seen, now);
    }
    let what = server(spec);
    let Some(pod) = seen.pod.as_deref() else {
        return match spec.suspend {
            true => Health::Suspended("suspended: no pod runs, the data are kept".to_owned()),
            false => Health::Progressing(format!("{what} is being started")),
        };
    };
    if spec.suspend {
        return Health::Progressing("suspended: its pod is ending".to_owned());
    }
    if is_ready(pod) && pod.metadata.deletion_timestamp.is_none() {
        return Health::Ready(format!("{what} answers at {}", place.host()));
    }
    unready(pod, &what, now)
}

/// Health of a Database with parameters that its server would not take: it runs on without them.
pub fn faulty(faults: &[String], health: &Health) -> Health {
    let (_, _, server) = health.ready();
    Health::Stalled(
        Reason::InvalidParameter,
        format!(
            "{}; {server}, with the parameters of before",
            faults.join("; ")
        ),
    )
}

pub(super) fn unready(pod: &Pod, what: &str, now: Timestamp) -> Health {
    let failed = || containers(pod).find_map(|it| refusal(it, now));
    homeless(pod)
        .or_else(failed)
        .or_else(|| unpulled(pod, what))
        .unwrap_or_else(|| Health::Progressing(format!("{what} is starting")))
}

/// What a pod waits for that may never come: a node, or an image.
pub(super) fn stuck(pod: &Pod, what: &str) -> Option<Health> {
    homeless(pod).or_else(|| unpulled(pod, what))
}

pub(super) fn homeless(pod: &Pod) -> Option<Health> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let unscheduled = |it: &&PodCondition| {
        it.type_ == "PodScheduled" && it.reason.as_deref() == Some("Unschedulable")
    };
    let condition = conditions.iter().find(unscheduled)?;
    let words = condition.message.as_deref().unwrap_or_default();
    let reason = match words.contains("PersistentVolume") || words.contains("volume") {
        true => Reason::VolumePending,
        false => Reason::Unschedulable,
    };
    Some(Health::Waiting(
        reason,
        format!("its pod has no place: {words}"),
    ))
}

fn unpulled(pod: &Pod, what: &str) -> Option<Health> {
    let words = pulls(containers(pod))?;
    Some(Health::Waiting(
        Reason::ImagePullFailed,
        format!("the image of {what} cannot be pulled: {words}"),
    ))
}

/// Why one of these containers has not pulled its image.
pub(super) fn pulls<'a>(
    mut containers: impl Iterator<Item = &'a ContainerStatus>,
) -> Option<String> {
    containers.find_map(|it| {
        let waiting = it.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref()?;
        (reason.contains("ImagePull") || reason.contains("ErrImage"))
            .then(|| waiting.message.clone().unwrap_or_default())
    })
}

pub(super) fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let first = status.and_then(|it| it.init_container_statuses.as_ref());
    let then = status.and_then(|it| it.container_statuses.as_ref());
    first.into_iter().chain(then).flatten()
}

/// The reason for which a container ended badly, now or before its restart.
fn refusal(container: &ContainerStatus, now: Timestamp) -> Option<Health> {
    let ended = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| {
        state
            .as_ref()?
            .terminated
            .clone()
            .filter(|it| it.exit_code != 0)
    };
    // One that runs again may well come up this time, if it does for longer than it takes to look at
    // the volume.
    let running = container.state.as_ref().is_some_and(|it| {
        let running = it.running.as_ref();
        let since = running.and_then(|it| it.started_at.as_ref());
        running.is_some() && since.is_none_or(|since| now.duration_since(since.0) > LOOK)
    });
    let end =
        ended(&container.state).or_else(|| ended(&container.last_state).filter(|_| !running))?;
    let words = end.message.unwrap_or_default();
    let known: Option<(Reason, String)> = serde_json::from_str::<Refusal>(&words)
        .ok()
        .and_then(|it| Some((it.reason.parse().ok()?, it.message)));
    Some(match known {
        Some((reason, message)) if reason.retryable() => Health::Waiting(reason, message),
        Some((reason, message)) => Health::Stalled(reason, message),
        None if end.reason.as_deref() == Some("OOMKilled") => Health::Waiting(
            Reason::DatabaseNotReady,
            "the server needed more memory than resources.limits.memory".to_owned(),
        ),
        None => Health::Waiting(
            Reason::DatabaseNotReady,
            format!(
                "the server ended with exit code {}: 'kubectl logs' of its pod says more",
                end.exit_code
            ),
        ),
    })
}
