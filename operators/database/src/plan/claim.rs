//! The volume. It stays when the Database goes.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use trackbed_api::{names, scalar::Quantity};
use trackbed_kit::claim;

use super::{Place, sentinels};
use crate::observe::Seen;

/// The claim of a single server.
pub fn desired(place: &Place<'_>, seen: &Seen) -> PersistentVolumeClaim {
    let name = names::data_claim(&place.name);
    one(place, name, seen.claim.as_deref())
}

/// Those of several servers that Sentinels watch. One that is too many stays, and grows no more.
pub fn several(place: &Place<'_>, seen: &Seen) -> Vec<PersistentVolumeClaim> {
    let of = |ordinal| {
        let name = names::server_claim(&place.name, ordinal);
        let live = seen.claims.iter().find(|it| it.name_any() == name);
        one(place, name, live.map(AsRef::as_ref))
    };
    (0..sentinels::count(place, seen)).map(of).collect()
}

fn one(
    place: &Place<'_>,
    name: String,
    live: Option<&PersistentVolumeClaim>,
) -> PersistentVolumeClaim {
    let storage = &place.object.spec.storage;
    PersistentVolumeClaim {
        metadata: place.retained(&name),
        spec: Some(claim::spec(
            live,
            &storage.size,
            storage.class_name.as_deref(),
        )),
        status: None,
    }
}

/// The claim that a backup is restored into: of several servers that of the first one, which the
/// others take everything from.
pub fn first(place: &Place<'_>) -> String {
    match place.object.spec.has_sentinels() {
        true => names::server_claim(&place.name, 0),
        false => names::data_claim(&place.name),
    }
}

/// The size that the volume really has, of several the smallest.
pub fn capacity(place: &Place<'_>, seen: &Seen) -> Option<String> {
    let size = |claim: &PersistentVolumeClaim| {
        let capacity = claim.status.as_ref()?.capacity.as_ref()?;
        Some(capacity.get("storage")?.0.clone())
    };
    let several = several(place, seen).into_iter().map(|it| it.name_any());
    let several: Vec<_> = match place.object.spec.has_sentinels() {
        true => several.collect(),
        false => Vec::new(),
    };
    let theirs = seen
        .claims
        .iter()
        .filter(|it| several.contains(&it.name_any()));
    let all = seen.claim.iter().chain(theirs);
    all.filter_map(|it| size(it))
        .min_by_key(|it| Quantity::from(it.as_str()).units())
}
