//! SQL that several servers begin with: a Job has the one that takes writes run it before there is an
//! address. A single server's supervisor does that itself.

use std::sync::Arc;

use k8s_openapi::api::{
    batch::v1::{Job, JobSpec},
    core::v1::{Container, ContainerStatus, Pod, PodSpec},
};
use kube::ResourceExt;
use trackbed_api::{
    common::{ResourceDefaults, Resources},
    init::Init,
    labels::{self, role},
    names,
    reason::Reason,
    scalar::Duration,
};
use trackbed_kit::{
    Health,
    job::{ended, succeeded},
    meta,
};

use super::{
    Place, attempt,
    health::{self, Refusal},
    job::{self, Work},
    pod,
    restore::{Act, Step},
    server, settings,
};
use crate::observe::Seen;

/// Container that runs it.
const CONTAINER: &str = "begin";
/// What it gets.
const RESOURCES: ResourceDefaults = ["10m", "32Mi", "500m", "128Mi"];
/// How often it is tried again, after pauses of up to five minutes, and for how long: somebody is to
/// correct the SQL meanwhile.
const RETRIES: i32 = 2000;
const TIMEOUT: &str = "168h";

/// Whether it is still to run.
pub(super) fn is_pending(place: &Place<'_>, seen: &Seen) -> bool {
    let done = jobs(place, seen).any(|it| ended(it).is_some_and(succeeded));
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
    let live = jobs(place, seen).find(|it| it.name_any() == name);
    let other = jobs(place, seen).find(|it| ended(it).is_none() && it.name_any() != name);
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

/// The Jobs that run it.
fn jobs<'a>(place: &'a Place<'_>, seen: &'a Seen) -> impl Iterator<Item = &'a Arc<Job>> {
    seen.backups.jobs.iter().filter(|it| {
        meta::label(it.as_ref(), labels::ROLE) == Some(role::BEGIN)
            && meta::is_controlled_by(it.as_ref(), place.object)
    })
}

fn job(place: &Place<'_>, init: &Init, name: &str) -> Job {
    let volumes = vec![
        pod::secret("credentials", names::credentials(&place.name), false),
        server::beginning(&init.config_map_key_ref),
        pod::config_map("settings", settings::name(&place.name)),
        pod::empty("run", Some("Memory")),
        pod::empty("tmp", None),
        pod::empty("bin", None),
    ];
    let work = Work {
        place,
        role: role::BEGIN,
        retries: RETRIES,
        timeout: Duration::from(TIMEOUT),
        pod: PodSpec {
            // One pod, which sees what is corrected in the ConfigMap.
            restart_policy: Some("OnFailure".to_owned()),
            init_containers: Some(vec![pod::install(&place.config.images.operator)]),
            containers: vec![runs(place)],
            volumes: Some(volumes),
            ..job::surroundings()
        },
    };
    let spec = JobSpec {
        // It is for pods that are not started again.
        pod_failure_policy: None,
        ..work.spec()
    };
    job::named(place, name, role::BEGIN, spec)
}

fn runs(place: &Place<'_>) -> Container {
    let words = vec![
        "begin".to_owned(),
        format!("--version={}", place.object.spec.version),
        format!("--into={}", names::primary(&place.name)),
        format!("--init={}/{}", server::BEGINNING, server::SQL),
    ];
    let mut mounts = vec![
        pod::mount("credentials", "/etc/trackbed/credentials", true),
        pod::mount("init", server::BEGINNING, true),
    ];
    mounts.extend(job::mounts());
    Container {
        name: CONTAINER.to_owned(),
        resources: Some(Resources::default().with_defaults(RESOURCES)),
        volume_mounts: Some(mounts),
        ..job::container(place, words)
    }
}
