//! The claim that keeps a Service's layers for its next build.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements},
    apimachinery::pkg::api::resource::Quantity as Amount,
};
use trackbed_api::{labels, names, scalar::Quantity};
use trackbed_kit::meta;

use super::job::Place;
use crate::observe::Seen;

/// Size where the settings say nothing.
const SIZE: &str = "5Gi";

fn size<'a>(place: &'a Place<'_>) -> &'a str {
    match place.config.build.cache_size.as_str() {
        "" => SIZE,
        size => size,
    }
}

/// Most that layers may take of the claim, in bytes, when a build has ended: the next one needs room
/// for what it adds.
pub fn limit(place: &Place<'_>) -> u64 {
    let bytes = Quantity::from(size(place)).units().unwrap_or_default();
    u64::try_from(bytes / 5 * 4).unwrap_or(u64::MAX)
}

/// The claim, if the Service has none. It belongs to the Service and goes with it.
pub fn next(place: &Place<'_>, seen: &Seen) -> Option<PersistentVolumeClaim> {
    let service = place.cache()?;
    if seen.claim {
        return None;
    }
    let build = place.object;
    let owner = build
        .metadata
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.kind == "Service")?;
    let mut metadata = meta::retained(&place.namespace, &names::build_cache(service));
    metadata.owner_references = Some(vec![owner.clone()]);
    meta::insert(&mut metadata.labels, labels::SERVICE, service);
    let size = size(place);
    Some(PersistentVolumeClaim {
        metadata,
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([(
                    "storage".to_owned(),
                    Amount(size.to_owned()),
                )])),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    })
}
