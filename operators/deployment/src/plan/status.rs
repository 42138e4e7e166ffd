//! The status that follows from a decision.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use trackbed_api::{
    DeploymentStatus,
    deployment::DeploymentPhase::{
        Active, Failed, Pending, PreDeploy, Progressing, RolledBack, Superseded,
    },
};

use super::{
    order::{Begin, Decision},
    state::State,
    text,
};

/// The next status. Its conditions are filled in later.
pub fn next(state: &State<'_>, decision: Decision, now: Timestamp) -> DeploymentStatus {
    let mut status = state.before.clone();
    let moved = status.phase != decision.phase;
    status.phase = decision.phase;
    if let Some(begin) = decision.begin {
        status.start_time = Some(Time(now));
        status.attempts = match begin {
            // Another Job than the one that failed before.
            Begin::Anew if decision.phase == PreDeploy => state.next_try(),
            Begin::Anew => None,
            Begin::Again => Some(status.attempts.unwrap_or(0).saturating_add(1)),
            Begin::Late => status.attempts,
        };
    }
    let log = || state.seen.log.as_deref().and_then(text::log_tail);
    match decision.phase {
        Pending => {
            status.start_time = None;
            status.attempts = None;
            status.failure = None;
            status.log_tail = None;
        }
        Progressing | PreDeploy => {
            if decision.phase == Progressing && state.before.phase == PreDeploy {
                status.pre_deploy_time.get_or_insert(Time(now));
            }
            status.start_time.get_or_insert(Time(now));
            status.failure = None;
            let goes_on = !moved && decision.begin.is_none();
            status.log_tail = status.log_tail.filter(|_| goes_on).or_else(log);
        }
        Active => {
            status.active_since.get_or_insert(Time(now));
            status.failure = None;
            if state.verdict.available {
                status.log_tail = None;
            } else if status.log_tail.is_none() {
                status.log_tail = log();
            }
        }
        Failed if moved => {
            status.failure = Some(state.failure());
            status.log_tail = log().or(status.log_tail);
        }
        Failed if status.log_tail.is_none() => status.log_tail = log(),
        Superseded => {
            status.failure = None;
            status.log_tail = None;
        }
        Failed | RolledBack => {}
    }
    status
}
