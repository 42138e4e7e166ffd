//! The volume. It stays when the Database goes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use trackbed_api::{names, scalar::Quantity};

use super::Place;
use crate::observe::Seen;

/// The claim. It never asks for less than it has: a Database that is made again may name the size
/// that it began with.
pub fn desired(place: &Place<'_>, seen: &Seen) -> PersistentVolumeClaim {
    let storage = &place.object.spec.storage;
    let live = seen.claim.as_deref().and_then(|claim| {
        let spec = claim.spec.as_ref()?;
        let size = spec.resources.as_ref()?.requests.as_ref()?.get("storage")?;
        Some(Quantity(size.0.clone()))
    });
    let size = match live {
        Some(live) if live.units() >= storage.size.units() => live,
        _ => storage.size.clone(),
    };
    let class = seen
        .claim
        .as_deref()
        .and_then(|claim| claim.spec.as_ref()?.storage_class_name.clone());
    PersistentVolumeClaim {
        metadata: place.retained(&names::data_claim(&place.name)),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), size.to_k8s())])),
                limits: None,
            }),
            // Of a claim that is there it cannot change.
            storage_class_name: match seen.claim {
                Some(_) => class,
                None => storage.class_name.as_ref().map(ToString::to_string),
            },
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

/// The size that the volume really has.
pub fn capacity(seen: &Seen) -> Option<String> {
    let status = seen.claim.as_deref()?.status.as_ref()?;
    Some(status.capacity.as_ref()?.get("storage")?.0.clone())
}
