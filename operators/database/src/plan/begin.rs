//! SQL that several servers begin with: a Job has the one that takes writes run it before there is an
//! address. A single server's supervisor does that itself.

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ContainerStatus, Pod},
};
use kube::ResourceExt;
use trackbed_api::{init::Init, labels::role, names, reason::Reason};
use trackbed_kit::{
    Health,
    job::{ended, succeeded},
};

use super::{
    Place, attempt,
    health::{self, Refusal},
    job::{self, Errand},
    pod,
    restore::{Act, Step},
    server,
};
use crate::observe::Seen;

/// Whether it is still to run.
pub(super) fn is_pending(place: &Place<'_>, seen: &Seen) -> bool {
    let done = job::of(place, seen, role::BEGIN).any(|it| ended(it).is_some_and(succeeded));
    place.object.spec.init.is_some() && !done
}

/// How it stands.
pub(super) fn of(place: &Place<'_>, seen: &Seen, initialised: bool) -> Step {
    let Some(init) = place.object.spec.init.as_ref() else {
        return Step::Done;
    };
    if initialised || !is_pending(place, seen) {
        return Step::Done;
    }
    // What has a schema always has a text.
    let asked = serde_json::to_string(init).unwrap_or_default();
    let name = names::begin(&place.name, &asked);
    let live = job::of(place, seen, role::BEGIN).find(|it| it.name_any() == name);
    let other =
        job::of(place, seen, role::BEGIN).find(|it| ended(it).is_none() && it.name_any() != name);
    let health = Health::Progressing("its SQL is being run".to_owned());
    match (live, other) {
        (Some(live), _) => Step::Before {
            health: under_way(live, seen).unwrap_or(health),
            act: Act::Nothing,
        },
        (None, Some(other)) => Step::Before {
            health,
            act: Act::Stop(other.clone()),
        },
        (None, None) => Step::Before {
            health,
            act: Act::Make(Box::new(job(place, init, &name))),
        },
    }
}

/// Why it does not run.
fn under_way(live: &Job, seen: &Seen) -> Option<Health> {
    if ended(live).is_some() {
        let (reason, message) = attempt::failure(live, seen, Reason::InitFailed);
        let name = live.name_any();
        let message = format!("{message}. To have it tried again, delete the Job {name}");
        return Some(Health::Stalled(reason, message));
    }
    let pods = attempt::pods(live, seen);
    let last = pods.last()?;
    health::stuck(last, "the server").or_else(|| refused(last))
}

/// What the last try said.
fn refused(pod: &Pod) -> Option<Health> {
    let said = health::containers(pod).find_map(|container: &ContainerStatus| {
        let ended = container
            .state
            .as_ref()
            .and_then(|it| it.terminated.as_ref());
        let before = container.last_state.as_ref();
        let before = before.and_then(|it| it.terminated.as_ref());
        serde_json::from_str::<Refusal>(ended.or(before)?.message.as_deref()?).ok()
    })?;
    let reason = said.reason.parse().unwrap_or(Reason::InitFailed);
    Some(match reason {
        Reason::InitFailed => Health::Stalled(reason, said.message),
        other => Health::Waiting(other, said.message),
    })
}

fn job(place: &Place<'_>, init: &Init, name: &str) -> Job {
    let errand = Errand {
        role: role::BEGIN,
        argument: format!("--init={}/{}", server::BEGINNING, server::SQL),
        volumes: vec![server::beginning(&init.config_map_key_ref)],
        mounts: vec![pod::mount("init", server::BEGINNING, true)],
    };
    errand.job(place, name)
}
