//! How a Service is, in the words of its conditions.

use kube::ResourceExt;
use trackbed_api::{
    Build, Deployment, ServiceStatus,
    build::BuildPhase,
    common::condition::{AVAILABLE, BUILD_SUCCEEDED, READY, SOURCE_READY},
    deployment::DeploymentPhase,
    reason::{Reason, progress},
};
use trackbed_kit::{
    Fact, Health, Plan as Outcome,
    conditions::{find, tail},
};

use super::{Children, View};
use crate::source::Look;

/// Lines and bytes of a log that a message has.
const WORDS: (usize, usize) = (3, 300);

/// A Service outside of every environment.
pub fn unmanaged(status: ServiceStatus) -> Outcome<ServiceStatus> {
    Outcome {
        status,
        health: Health::Stalled(
            Reason::NamespaceNotManaged,
            "this namespace belongs to no Project: create the Service in a namespace of a Project's environment, or name the environment in a Project".to_owned(),
        ),
        facts: Vec::new(),
        requeue: None,
    }
}

/// Health and facts.
pub fn of(view: &View<'_>, children: &Children) -> (Health, Vec<Fact>) {
    let mut facts = vec![source(view)];
    facts.extend(view.object.spec.source.git.as_ref().map(|_| built(view)));
    facts.push(available(view));
    (health(view, children), facts)
}

fn health(view: &View<'_>, children: &Children) -> Health {
    if view.object.spec.suspend {
        return match view.status.replicas {
            Some(0) | None => Health::Suspended(
                "suspended: no pods run and nothing new is built or released".to_owned(),
            ),
            Some(left) => Health::Progressing(format!("suspended: {left} pods are ending")),
        };
    }
    if let Some(pin) = view.object.spec.pin.as_deref() {
        return pinned(view, pin);
    }
    let upstream = upstream(view, children);
    match (upstream, view.newest()) {
        (Some(health), _) => with_serving(view, health),
        (None, Some(newest)) => with_serving(view, release(view, newest)),
        (None, None) => Health::Progressing("a release is being made".to_owned()),
    }
}

fn pinned(view: &View<'_>, pin: &str) -> Health {
    let mut releases = view.seen.releases.iter();
    match releases.find(|release| release.name_any() == pin) {
        None => with_serving(
            view,
            Health::Stalled(
                Reason::ReferenceMissing,
                format!(
                    "Deployment {pin}, which spec.pin names, does not exist: name one that 'kubectl get tdep' shows, or remove the pin"
                ),
            ),
        ),
        Some(found) => match release(view, found) {
            Health::Ready(message) => Health::Ready(format!(
                "{message}; pinned, so nothing newer is released until spec.pin is removed"
            )),
            other => other,
        },
    }
}

/// What keeps the newest of the source from being released: `None` if it is.
fn upstream(view: &View<'_>, children: &Children) -> Option<Health> {
    let asked = || "the source is being looked at".to_owned();
    let taken = view.status.source.as_ref();
    match (&view.seen.look, taken) {
        (Look::Unknown, None) | (Look::Pending, _) => {
            return Some(Health::Progressing(asked()));
        }
        (Look::Failed(reason, message), None) if reason.retryable() => {
            return Some(Health::Waiting(*reason, message.clone()));
        }
        (Look::Failed(reason, message), _) if !reason.retryable() => {
            return Some(Health::Stalled(*reason, message.clone()));
        }
        _ => {}
    }
    let taken = taken?;
    let before = view
        .object
        .status
        .as_ref()
        .and_then(|it| it.source.as_ref());
    if before.map(|source| source.sequence) != Some(taken.sequence) {
        return Some(Health::Progressing(format!(
            "takes up {}",
            what(taken.commit.as_deref(), taken.image.as_deref())
        )));
    }
    if let Some(made) = &children.release {
        return Some(Health::Progressing(format!(
            "releases Deployment {}",
            made.name_any()
        )));
    }
    if let Some(made) = &children.build {
        return Some(Health::Progressing(format!(
            "starts Build {} of {}",
            made.name_any(),
            what(taken.commit.as_deref(), None)
        )));
    }
    let newest = view.newest().map_or(0, |newest| newest.spec.sequence);
    if newest >= taken.sequence {
        return None;
    }
    Some(match view.build() {
        Some(build) => building(build),
        None => Health::Progressing(asked()),
    })
}

fn building(build: &Build) -> Health {
    let name = build.name_any();
    let commit = what(Some(&build.spec.source.git.commit), None);
    let status = build.status.clone().unwrap_or_default();
    let failed = |reason: Reason, message: &str| {
        Health::Stalled(
            reason,
            format!(
                "Build {name} of {commit} failed: {message} ('kubectl describe tbuild {name}' has the log)"
            ),
        )
    };
    match status.phase {
        BuildPhase::Failed => match &status.failure {
            Some(failure) => failed(failure.reason, &failure.message),
            None => failed(Reason::BuildFailed, "no reason is known"),
        },
        BuildPhase::Cancelled => Health::Stalled(
            Reason::Cancelled,
            format!(
                "Build {name} of {commit} was cancelled: the next commit, or a change of spec.build, is built again"
            ),
        ),
        BuildPhase::Superseded => Health::Stalled(
            Reason::Superseded,
            format!("Build {name} of {commit} gave way to another"),
        ),
        phase => match own_reason(&status.conditions) {
            Some((reason, message)) => {
                Health::Waiting(reason, format!("Build {name} of {commit}: {message}"))
            }
            None => Health::Progressing(format!(
                "Build {name} of {commit}: {}",
                phase.as_str().to_lowercase()
            )),
        },
    }
}

fn release(view: &View<'_>, release: &Deployment) -> Health {
    let name = release.name_any();
    let status = release.status.clone().unwrap_or_default();
    let ready = find(&status.conditions, READY);
    match status.phase {
        DeploymentPhase::Active if ready.is_none_or(|ready| ready.status == "True") => {
            let of = release.spec.commit.as_deref();
            let of = what(of, Some(&release.spec.image));
            if let Some(cron) = &view.object.spec.cron {
                return Health::Ready(format!(
                    "Deployment {name} runs {of} at '{}' ({})",
                    cron.schedule, cron.time_zone
                ));
            }
            let (available, wanted) = pods(view);
            let message =
                format!("Deployment {name} serves {of} with {available} of {wanted} pods");
            // What the release says may be of before another number was asked for.
            match available < wanted {
                true => Health::Progressing(message),
                false => Health::Ready(message),
            }
        }
        DeploymentPhase::Failed | DeploymentPhase::RolledBack => {
            let (reason, message) = match &status.failure {
                Some(failure) => (failure.reason, failure.message.as_str()),
                None => (Reason::RolloutTimeout, "no reason is known"),
            };
            Health::Stalled(
                reason,
                format!(
                    "Deployment {name} failed: {message}{} ('kubectl describe tdep {name}' has the log)",
                    last_words(status.log_tail.as_deref())
                ),
            )
        }
        _ => match (own_reason(&status.conditions), ready) {
            (Some((reason, message)), _) => {
                Health::Waiting(reason, format!("Deployment {name}: {message}"))
            }
            (None, Some(ready)) => {
                Health::Progressing(format!("Deployment {name}: {}", ready.message))
            }
            (None, None) => Health::Progressing(format!("Deployment {name} is waiting")),
        },
    }
}

/// The last lines of a log, in a sentence's words.
fn last_words(log: Option<&str>) -> String {
    let lines = log.unwrap_or_default().lines().map(str::trim);
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(WORDS.0)..].join(" / ");
    match tail(&last, WORDS.1) {
        "" => String::new(),
        words => format!("; its last words: {words}"),
    }
}

/// Adds what keeps serving meanwhile, because that is the first question.
fn with_serving(view: &View<'_>, health: Health) -> Health {
    let Some(active) = view.active().map(ResourceExt::name_any) else {
        return health;
    };
    let add = |message: String| match message.contains(&format!("Deployment {active} ")) {
        true => message,
        false => format!("{message}; Deployment {active} keeps serving"),
    };
    match health {
        Health::Progressing(message) => Health::Progressing(add(message)),
        Health::Waiting(reason, message) => Health::Waiting(reason, add(message)),
        Health::Stalled(reason, message) => Health::Stalled(reason, add(message)),
        other => other,
    }
}

/// The named reason for which a child is not ready, if it is one.
fn own_reason(
    conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition],
) -> Option<(Reason, String)> {
    let ready = find(conditions, READY)?;
    let reason = ready.reason.parse().ok()?;
    (ready.status != "True").then(|| (reason, ready.message.clone()))
}

fn source(view: &View<'_>) -> Fact {
    match &view.seen.look {
        Look::Found(found) => {
            let at = match &found.r#ref {
                Some(name) => format!(" at {name}"),
                None => String::new(),
            };
            let what = what(found.commit.as_deref(), found.image.as_deref());
            Fact::new(
                SOURCE_READY,
                Some(true),
                progress::READY,
                format!("found {what}{at}"),
            )
        }
        Look::Failed(reason, message) => {
            Fact::new(SOURCE_READY, Some(false), reason.as_str(), message)
        }
        Look::Unknown | Look::Pending => {
            let status = view.object.status.as_ref();
            let before = status.and_then(|status| find(&status.conditions, SOURCE_READY));
            match before {
                Some(before) => Fact::new(
                    SOURCE_READY,
                    before.status.to_lowercase().parse().ok(),
                    &before.reason,
                    &before.message,
                ),
                None => Fact::new(
                    SOURCE_READY,
                    None,
                    progress::PROGRESSING,
                    "the source is being looked at",
                ),
            }
        }
    }
}

fn built(view: &View<'_>) -> Fact {
    let fact =
        |status, reason: &str, message: String| Fact::new(BUILD_SUCCEEDED, status, reason, message);
    let Some(build) = view.build() else {
        return fact(None, progress::PROGRESSING, "no Build yet".to_owned());
    };
    let name = build.name_any();
    let status = build.status.clone().unwrap_or_default();
    match (status.phase, &status.failure) {
        (BuildPhase::Succeeded, _) => fact(
            Some(true),
            progress::READY,
            format!("Build {name} made {}", status.image.unwrap_or_default()),
        ),
        (BuildPhase::Failed, Some(failure)) => fact(
            Some(false),
            failure.reason.as_str(),
            format!("Build {name}: {}", failure.message),
        ),
        (phase, _) if phase.ended() => fact(
            Some(false),
            phase.as_str(),
            format!("Build {name} was {}", phase.as_str().to_lowercase()),
        ),
        (phase, _) => fact(
            None,
            progress::PROGRESSING,
            format!("Build {name}: {}", phase.as_str().to_lowercase()),
        ),
    }
}

fn available(view: &View<'_>) -> Fact {
    let spec = &view.object.spec;
    if spec.cron.is_some() && !spec.suspend && view.active().is_some() {
        return Fact::new(
            AVAILABLE,
            Some(true),
            progress::READY,
            "it runs when it is time",
        );
    }
    let (available, wanted) = pods(view);
    let message = format!("{available} of {wanted} pods are available");
    match (view.active(), available) {
        (Some(_), 1..) => Fact::new(AVAILABLE, Some(true), progress::READY, message),
        (Some(_), _) => Fact::new(AVAILABLE, Some(false), "NoPods", message),
        (None, _) => Fact::new(
            AVAILABLE,
            Some(false),
            "NoRelease",
            "no release serves yet".to_owned(),
        ),
    }
}

/// Available pods, and how many there should be.
fn pods(view: &View<'_>) -> (i32, i32) {
    let workload = view.seen.workload.as_deref();
    let available = workload.and_then(|it| it.status.as_ref()?.available_replicas);
    let wanted = if view.object.spec.suspend {
        0
    } else {
        view.object.spec.scale.wanted()
    };
    let serving = view.active().map(|it| it.spec.run.pods(wanted));
    (available.unwrap_or(0), serving.unwrap_or(wanted))
}

/// A commit or image, as short as people write it.
fn what(commit: Option<&str>, image: Option<&str>) -> String {
    match (commit, image) {
        (Some(commit), _) => format!("commit {}", commit.get(..7).unwrap_or(commit)),
        (None, Some(image)) => format!("image {image}"),
        (None, None) => "nothing".to_owned(),
    }
}
