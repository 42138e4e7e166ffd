//! The claim that keeps a Service's layers for its next build.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements},
    apimachinery::pkg::api::resource::Quantity,
};
use trackbed_api::{labels, names};
use trackbed_kit::meta;

use super::job::Place;
use crate::observe::Seen;

/// Size where the settings say nothing.
const SIZE: &str = "5Gi";

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
    let size = match place.config.build.cache_size.as_str() {
        "" => SIZE,
        size => size,
    };
    Some(PersistentVolumeClaim {
        metadata,
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([(
                    "storage".to_owned(),
                    Quantity(size.to_owned()),
                )])),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    })
}
