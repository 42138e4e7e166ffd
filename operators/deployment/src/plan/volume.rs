//! Volumes of an application.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimVolumeSource,
    Volume as PodVolume, VolumeMount, VolumeResourceRequirements,
};
use kube::ResourceExt;
use trackbed_api::{names, project::DeletionPolicy, run::Volume, scalar::Quantity};

use super::subject::Subject;
use crate::observe::Seen;

/// Group to which volumes belong, so that applications may write that do not run as root.
pub const GROUP: i64 = 1000;

/// The claims. They outlive releases, and under `Retain` the Service too: one of the same name takes
/// them up again.
pub fn claims(subject: &Subject<'_>, seen: &Seen) -> Vec<PersistentVolumeClaim> {
    let volumes = subject.object.spec.run.volumes.iter();
    volumes.map(|it| claim(subject, it, seen)).collect()
}

/// A claim never asks for less than it has: a release that is gone back to may name a smaller size.
fn claim(subject: &Subject<'_>, volume: &Volume, seen: &Seen) -> PersistentVolumeClaim {
    let name = names::volume_claim(subject.name(), &volume.name);
    let live = seen.claims.iter().find(|claim| claim.name_any() == name);
    let live = live.and_then(|claim| claim.spec.as_ref());
    let has = live.and_then(|spec| {
        let size = spec.resources.as_ref()?.requests.as_ref()?.get("storage")?;
        Some(Quantity(size.0.clone()))
    });
    let size = match has {
        Some(has) if has.units() >= volume.size.units() => has,
        _ => volume.size.clone(),
    };
    let mut metadata = subject.metadata();
    metadata.name = Some(name);
    if volume.deletion_policy == DeletionPolicy::Retain {
        metadata.owner_references = None;
    }
    PersistentVolumeClaim {
        metadata,
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), size.to_k8s())])),
                limits: None,
            }),
            // Of a claim that is there it cannot change.
            storage_class_name: match live {
                Some(live) => live.storage_class_name.clone(),
                None => volume.class_name.as_ref().map(ToString::to_string),
            },
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

/// The volumes of the pod.
pub fn of_pod(subject: &Subject<'_>) -> Option<Vec<PodVolume>> {
    let volumes = &subject.object.spec.run.volumes;
    let all = volumes.iter().map(|volume| PodVolume {
        name: volume.name.to_string(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: names::volume_claim(subject.name(), &volume.name),
            read_only: None,
        }),
        ..PodVolume::default()
    });
    (!volumes.is_empty()).then(|| all.collect())
}

/// Where the container has them.
pub fn mounts(subject: &Subject<'_>) -> Option<Vec<VolumeMount>> {
    let volumes = &subject.object.spec.run.volumes;
    let all = volumes.iter().map(|volume| VolumeMount {
        name: volume.name.to_string(),
        mount_path: volume.mount_path.to_string(),
        ..VolumeMount::default()
    });
    (!volumes.is_empty()).then(|| all.collect())
}
