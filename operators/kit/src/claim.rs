//! Claims of volumes that keep data.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use trackbed_api::{reason::Reason, scalar::Quantity};

use crate::{Class, Error};

/// What a claim asks for. It never asks for less than the live one has: an object that is made
/// again, or gone back to, may name the size that it began with. The class is that of the live one,
/// for it cannot change.
pub fn spec(
    live: Option<&PersistentVolumeClaim>,
    size: &Quantity,
    class: Option<&str>,
) -> PersistentVolumeClaimSpec {
    let has = live.and_then(requested);
    let live = live.and_then(|claim| claim.spec.as_ref());
    let size = has
        .filter(|has| has.units() >= size.units())
        .unwrap_or_else(|| size.clone());
    PersistentVolumeClaimSpec {
        access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
        resources: Some(VolumeResourceRequirements {
            requests: Some(BTreeMap::from([("storage".to_owned(), size.to_k8s())])),
            limits: None,
        }),
        storage_class_name: match live {
            Some(live) => live.storage_class_name.clone(),
            None => class.map(str::to_owned),
        },
        ..PersistentVolumeClaimSpec::default()
    }
}

/// The size that a claim asks for.
pub fn requested(claim: &PersistentVolumeClaim) -> Option<Quantity> {
    let resources = claim.spec.as_ref()?.resources.as_ref()?;
    let size = resources.requests.as_ref()?.get("storage")?;
    Some(Quantity(size.0.clone()))
}

/// A refusal of a claim that is there already is one of its growth. `goes_on` says what does.
pub fn refused(error: Error, is_there: bool, goes_on: &str) -> Error {
    match error.class() {
        Class::User | Class::Bug if is_there => Error::refused(
            Reason::StorageCannotGrow,
            format!("the volume keeps its size, {goes_on}: {error}"),
        ),
        _ => error,
    }
}
