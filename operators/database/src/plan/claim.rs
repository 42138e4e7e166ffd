//! The volume. It stays when the Database goes.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use trackbed_api::names;
use trackbed_kit::claim;

use super::Place;
use crate::observe::Seen;

/// The claim.
pub fn desired(place: &Place<'_>, seen: &Seen) -> PersistentVolumeClaim {
    let storage = &place.object.spec.storage;
    PersistentVolumeClaim {
        metadata: place.retained(&names::data_claim(&place.name)),
        spec: Some(claim::spec(
            seen.claim.as_deref(),
            &storage.size,
            storage.class_name.as_deref(),
        )),
        status: None,
    }
}

/// The size that the volume really has.
pub fn capacity(seen: &Seen) -> Option<String> {
    let status = seen.claim.as_deref()?.status.as_ref()?;
    Some(status.capacity.as_ref()?.get("storage")?.0.clone())
}
