//! How a release is, in words.

use trackbed_api::{
    DeploymentStatus,
    deployment::DeploymentPhase::{
        Active, Failed, Pending, PreDeploy, Progressing, RolledBack, Superseded,
    },
    reason::Reason,
};
use trackbed_kit::Health;

use super::{
    environment,
    order::{Begin, Decision, View},
    state::State,
    verdict::Trouble,
};

/// The health that goes with a decision. Messages of releases that have served their time say
/// nothing that changes: they are written once.
pub fn health(
    state: &State<'_>,
    view: &View<'_>,
    decision: Decision,
    status: &DeploymentStatus,
) -> Health {
    let service = &state.object.spec.service;
    match decision.phase {
        Pending | Active if !view.running && (view.is_target() || view.me.phase == Active) => {
            Health::Suspended(format!("Service {service} runs no pods at the moment"))
        }
        Pending if !view.is_target() => Health::Ended(
            Reason::Superseded,
            format!(
                "held back: Service {service} is pinned to {}; remove its spec.pin to release this one",
                state.pin().unwrap_or_default()
            ),
        ),
        Pending if view.references => Health::Progressing(format!(
            "waits for the end of the pre-deploy command of {}",
            state.crowd().unwrap_or("another release")
        )),
        Pending => Health::Waiting(
            Reason::ReferenceMissing,
            environment::describe(&state.seen.missing),
        ),
        PreDeploy => preparing(state),
        Progressing => progressing(state, view, decision, status),
        Active => active(state, view),
        Superseded => Health::Ended(
            Reason::Superseded,
            format!("another release of Service {service} took over"),
        ),
        Failed | RolledBack => failed(view, decision, status),
    }
}

fn progressing(
    state: &State<'_>,
    view: &View<'_>,
    decision: Decision,
    status: &DeploymentStatus,
) -> Health {
    match decision.begin {
        Some(Begin::Anew | Begin::Late) => {
            return Health::Progressing("the release is being applied".to_owned());
        }
        Some(Begin::Again) => {
            let tries = status.attempts.unwrap_or(0).saturating_add(1);
            let why = match &state.before.failure {
                Some(failure) => format!(", after {}", failure.reason.as_str()),
                None => String::new(),
            };
            return Health::Progressing(format!(
                "the release is being applied once more (try {tries}{why})"
            ));
        }
        None => {}
    }
    if !view.may_replace() {
        return Health::Progressing("a later release holds the workload".to_owned());
    }
    match state.trouble() {
        Some(trouble) => under_way(state, trouble),
        None => Health::Progressing(state.count()),
    }
}

fn preparing(state: &State<'_>) -> Health {
    let what = "the pre-deploy command";
    if let Some(trouble) = state.trouble() {
        let message = format!("{what} cannot start: {}", trouble.message);
        return match trouble.reason.retryable() {
            true => Health::Waiting(trouble.reason, message),
            false => Health::Progressing(message),
        };
    }
    Health::Progressing(match state.crowd() {
        Some(other) => format!("{what} waits for the end of that of {other}"),
        None => format!("{what} runs"),
    })
}

/// A trouble that may still pass. What others have to bring is named as the reason at once.
fn under_way(state: &State<'_>, trouble: &Trouble) -> Health {
    if trouble.is_silence() {
        let port = state.object.spec.run.port;
        return Health::Progressing(format!("{}: no answer on port {port} yet", state.count()));
    }
    let message = format!("{}: {}", state.count(), trouble.message);
    match trouble.reason.retryable() {
        true => Health::Waiting(trouble.reason, message),
        false => Health::Progressing(message),
    }
}

fn active(state: &State<'_>, view: &View<'_>) -> Health {
    let target = &view.target().name;
    if !view.carries() {
        return match (view.is_target(), state.verdict.ready) {
            (true, _) => Health::Progressing("the release is being put back".to_owned()),
            (false, 0) => Health::Progressing(format!("{target} is taking over")),
            (false, _) => Health::Ready(format!("serves until {target} is available")),
        };
    }
    match (state.verdict.available, state.trouble()) {
        (true, _) => Health::Ready(match state.replicas {
            0 => "runs when it is time".to_owned(),
            1 if !state.object.spec.run.volumes.is_empty() => {
                "serves with 1 pod, which stops before the next release starts: it has a volume"
                    .to_owned()
            }
            1 => "serves with 1 pod".to_owned(),
            replicas => format!("serves with {replicas} pods"),
        }),
        // Others of its pods answer: this one starts.
        (false, Some(trouble)) if trouble.is_silence() && state.verdict.ready > 0 => {
            under_way(state, trouble)
        }
        (false, Some(trouble)) if trouble.reason.retryable() => under_way(state, trouble),
        (false, Some(trouble)) => Health::Stalled(
            trouble.reason,
            format!("{}: {}", state.count(), trouble.message),
        ),
        (false, None) => Health::Progressing(state.count()),
    }
}

fn failed(view: &View<'_>, decision: Decision, status: &DeploymentStatus) -> Health {
    let (reason, mut message) = match &status.failure {
        Some(failure) => (failure.reason, failure.message.clone()),
        None => (Reason::RolloutTimeout, "the release failed".to_owned()),
    };
    if decision.phase == RolledBack {
        message.push_str("; the release before it serves again");
    }
    if !(view.is_newest() || view.is_target()) {
        return Health::Ended(reason, message);
    }
    if status
        .failure
        .as_ref()
        .is_some_and(|failure| failure.retryable)
    {
        message.push_str("; it is tried again by itself");
    }
    Health::Stalled(reason, message)
}
