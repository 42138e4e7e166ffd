//! Status, written on every path and only when it changed.

use std::time::Duration;

use jiff::Timestamp;
use kube::{
    Api, ResourceExt,
    api::PostParams,
    runtime::{controller::Action, events::EventType},
};
use trackbed_api::{common::condition::READY, labels::field_manager};

use crate::{
    Class, Context, Error, Fact, Health, Kind, StatusParts,
    conditions::{conditions, find},
    events,
};

/// How long until an object that only a person can mend is looked at again.
pub const STALLED_RETRY: Duration = Duration::from_secs(600);
/// How long until a bug is tried again.
pub const BUG_RETRY: Duration = Duration::from_secs(300);

/// What a plan says besides the children.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan<S> {
    /// The status; its conditions and observed generation are filled in by [`finish`].
    pub status: S,
    /// How the object is.
    pub health: Health,
    /// Conditions besides those of kstatus.
    pub facts: Vec<Fact>,
    /// When to look again if nothing changes before. `None`: not at all.
    pub requeue: Option<Duration>,
}

/// Writes status (if it changed) and tells when to look again.
///
/// # Errors
/// A transient error of the apply or of the write itself: the caller's harness tries again.
pub async fn finish<K: Kind>(
    context: &Context,
    api: &Api<K>,
    object: &K,
    plan: Plan<K::Status>,
    applied: Result<(), Error>,
) -> Result<Action, Error> {
    let mut requeue = plan.requeue;
    let health = match &applied {
        Ok(()) => plan.health,
        Err(error) => match error.class() {
            // Tried again soon; what was true before may well still be.
            Class::Transient => return Err(Error::Transient(error.to_string())),
            Class::User => {
                requeue = Some(requeue.map_or(STALLED_RETRY, |soon| soon.min(STALLED_RETRY)));
                Health::Stalled(error.reason(), error.to_string())
            }
            Class::Bug => {
                requeue = Some(BUG_RETRY);
                tracing::error!(%error, object = %crate::apply::describe(object), "a bug, or rights are missing");
                Health::Stalled(error.reason(), error.to_string())
            }
        },
    };
    write(context, api, object, plan.status, &health, &plan.facts).await?;
    Ok(requeue.map_or_else(Action::await_change, Action::requeue))
}

/// Writes status if it changed, and an Event if the object's health did.
///
/// # Errors
/// The API server's refusals; a conflict is transient.
pub async fn write<K: Kind>(
    context: &Context,
    api: &Api<K>,
    object: &K,
    mut status: K::Status,
    health: &Health,
    facts: &[Fact],
) -> Result<(), Error> {
    let empty = K::Status::default();
    let before = object.status().unwrap_or(&empty);
    let generation = object.meta().generation;
    *status.conditions_mut() = conditions(
        before.conditions(),
        generation,
        health,
        facts,
        Timestamp::now(),
    );
    *status.observed_generation_mut() = generation;
    if object.status().is_some() && *before == status {
        return Ok(());
    }
    let announced = announce(before, health);
    let mut next = object.clone();
    *next.status_mut() = Some(status);
    let what = crate::apply::describe(object);
    api.replace_status(
        &object.name_any(),
        &PostParams {
            field_manager: Some(field_manager(K::CONTROLLER)),
            ..PostParams::default()
        },
        &next,
    )
    .await
    .map_err(|source| Error::api(format!("write status of {what}"), source))?;
    context.metrics.write(K::CONTROLLER, "status");
    if announced {
        publish(context, object, health).await;
    }
    Ok(())
}

/// Whether the change of health is worth an Event: another reason or another message of a failure.
fn announce<S: StatusParts>(before: &S, health: &Health) -> bool {
    let (status, reason, _) = health.ready();
    find(before.conditions(), READY)
        .is_none_or(|ready| ready.reason != reason || ready.status != status)
}

async fn publish<K: Kind>(context: &Context, object: &K, health: &Health) {
    let (_, reason, message) = health.ready();
    context.metrics.transition(K::CONTROLLER, reason);
    tracing::info!(object = %crate::apply::describe(object), reason, message, "health changed");
    let kind = match health.is_warning() {
        true => EventType::Warning,
        false => EventType::Normal,
    };
    events::publish(context, object, kind, reason, message).await;
}
