//! Events, for people.

use kube::runtime::events::{Event, EventType};

use crate::{Context, Kind, conditions::clip};

/// Longest note that an Event takes.
const NOTE_MAX: usize = 1000;

/// Publishes an Event about an object. Its loss changes nothing that the object itself does not
/// say, so it fails nothing.
pub async fn publish<K: Kind>(
    context: &Context,
    object: &K,
    kind: EventType,
    reason: &str,
    note: &str,
) {
    let event = Event {
        type_: kind,
        reason: reason.to_owned(),
        note: Some(clip(note, NOTE_MAX)),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    let about = object.object_ref(&());
    if let Err(error) = context.recorder.publish(&event, &about).await {
        tracing::warn!(%error, "Event not published");
    }
}
