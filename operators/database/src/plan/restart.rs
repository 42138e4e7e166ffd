//! When a server is restarted. Its StatefulSet replaces no pod by itself: it always says how the next
//! one is to be, and what runs is only ended for what somebody asked for.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ContainerStatus, Pod},
};
use trackbed_kit::meta;

use super::{
    Place, health,
    image::{self, IMAGE},
    rotation::Wait,
    sentinels, server,
};
use crate::observe::Seen;

/// Annotation on the pod: hash of the settings that it was started with.
pub const SETTINGS: &str = "trackbed.dev/settings";
/// Annotation on the pod: hash of what else its Database asked for then.
pub const ASKED: &str = "trackbed.dev/asked";
/// Annotation on the pod: hash of all else that it was made of.
pub const TEMPLATE: &str = "trackbed.dev/template";
/// What `kubectl rollout restart` writes.
const BY_HAND: &str = "kubectl.kubernetes.io/restartedAt";

/// A pod that makes room for another.
#[derive(Clone, Debug)]
pub struct Restart {
    /// Which.
    pub pod: Arc<Pod>,
    /// What for, in words.
    pub why: String,
    /// Whether it is time. Not before the StatefulSet's controller has seen how the next pod is to be:
    /// it would make one as before.
    pub now: bool,
}

/// Whether there is to be another pod. `set`: as it is to be.
pub fn of(
    place: &Place<'_>,
    set: &StatefulSet,
    seen: &Seen,
    waits: Option<Wait>,
) -> Option<Restart> {
    let count = set.spec.as_ref().and_then(|it| it.replicas);
    if count == Some(0) {
        return None;
    }
    let live = seen.set.as_deref()?;
    let next = Next::of(set, live)?;
    let turn = match place.object.spec.has_sentinels() {
        true => sentinels::in_turn(place, seen),
        false => seen.pod.iter().collect(),
    };
    let mut turn = turn.into_iter().filter(|it| !meta::is_deleted(it.as_ref()));
    turn.find_map(|pod| {
        Some(Restart {
            why: next.asks(pod, waits)?,
            pod: pod.clone(),
            now: is_known(live) && is_same(set, live),
        })
    })
}

/// Whether the StatefulSet's controller has seen it, and leaves pods alone.
fn is_known(live: &StatefulSet) -> bool {
    let seen = live.status.as_ref().and_then(|it| it.observed_generation);
    let strategy = live
        .spec
        .as_ref()
        .and_then(|it| it.update_strategy.as_ref());
    let manual = strategy.is_some_and(|it| it.type_.as_deref() == Some(server::STRATEGY));
    manual && seen.is_some() && seen == live.metadata.generation
}

/// Whether the live one asks for what is to be asked for.
fn is_same(set: &StatefulSet, live: &StatefulSet) -> bool {
    let all = [IMAGE, SETTINGS, ASKED, TEMPLATE];
    let of = |set| annotations(set).map(|it| all.map(|name| it.get(name)));
    of(set) == of(live)
}

fn annotations(set: &StatefulSet) -> Option<&BTreeMap<String, String>> {
    let template = &set.spec.as_ref()?.template;
    template.metadata.as_ref()?.annotations.as_ref()
}

/// How the next pod is to be.
struct Next<'a> {
    annotations: &'a BTreeMap<String, String>,
    /// When somebody asked for another pod by hand.
    by_hand: Option<&'a str>,
}

impl<'a> Next<'a> {
    fn of(set: &'a StatefulSet, live: &'a StatefulSet) -> Option<Self> {
        let by_hand = annotations(live).and_then(|it| it.get(BY_HAND));
        Some(Self {
            annotations: annotations(set)?,
            by_hand: by_hand.map(String::as_str),
        })
    }

    /// What asks for another pod.
    fn asks(&self, pod: &Pod, waits: Option<Wait>) -> Option<String> {
        let idle = is_stuck(pod);
        if self.differs(pod, SETTINGS) {
            return Some("for settings that it reads when it starts".to_owned());
        }
        // Not known of pods that are older than the annotation.
        if meta::annotation(pod, ASKED).is_some() && self.differs(pod, ASKED) {
            return Some("for other resources or another certificate".to_owned());
        }
        if let Some(image) = self.newer(pod, idle) {
            return Some(format!("for the image {image}"));
        }
        if waits == Some(Wait::Restart) {
            return Some("because its supervisor knows one user only".to_owned());
        }
        if self.by_hand.is_some() && self.by_hand != meta::annotation(pod, BY_HAND) {
            return Some("as somebody asked of its StatefulSet".to_owned());
        }
        let other = idle && self.differs(pod, TEMPLATE);
        other.then(|| "because it does not start, and is to be another now".to_owned())
    }

    fn differs(&self, pod: &Pod, annotation: &str) -> bool {
        self.annotations.get(annotation).map(String::as_str) != meta::annotation(pod, annotation)
    }

    /// The image, if it is another one. What runs under a tag may well be the one.
    fn newer(&self, pod: &Pod, idle: bool) -> Option<&'a str> {
        let image = self.annotations.get(IMAGE)?;
        let made = meta::annotation(pod, IMAGE);
        let known = match idle {
            true => made.is_some(),
            false => image::is_digest(image),
        };
        let has = image::running(pod);
        (known && made != Some(image) && has.as_ref() != Some(image)).then_some(image)
    }
}

/// Whether a pod waits for what may never come, or for its next attempt. One that starts for a long
/// time is not begun anew.
pub(super) fn is_stuck(pod: &Pod) -> bool {
    let waits = |status: &ContainerStatus| {
        let waiting = status.state.as_ref().and_then(|it| it.waiting.as_ref());
        let reason = waiting.and_then(|it| it.reason.as_deref());
        reason.is_some_and(|it| !matches!(it, "ContainerCreating" | "PodInitializing"))
    };
    !health::is_ready(pod)
        && (health::homeless(pod).is_some() || health::containers(pod).any(waits))
}
