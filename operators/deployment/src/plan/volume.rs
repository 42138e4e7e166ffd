//! Volumes of an application.

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Volume as PodVolume, VolumeMount,
};
use trackbed_api::{names, project::DeletionPolicy, run::Volume};
use trackbed_kit::claim;

use super::{bindings, subject::Subject};
use crate::observe::Seen;

/// Group to which volumes belong, so that applications may write that do not run as root.
pub const GROUP: i64 = 1000;

/// The claims. They outlive releases, and under `Retain` the Service too: one of the same name takes
/// them up again.
pub fn claims(subject: &Subject<'_>, seen: &Seen) -> Vec<PersistentVolumeClaim> {
    let volumes = subject.object.spec.run.volumes.iter();
    volumes.map(|it| desired(subject, it, seen)).collect()
}

fn desired(subject: &Subject<'_>, volume: &Volume, seen: &Seen) -> PersistentVolumeClaim {
    let name = names::volume_claim(subject.name(), &volume.name);
    let live = seen.claim(&name);
    let mut metadata = subject.metadata();
    metadata.name = Some(name);
    if volume.deletion_policy == DeletionPolicy::Retain {
        metadata.owner_references = None;
    }
    PersistentVolumeClaim {
        metadata,
        spec: Some(claim::spec(
            live,
            &volume.size,
            volume.class_name.as_deref(),
        )),
        status: None,
    }
}

/// The volumes of the pod, and what is mounted besides.
pub fn of_pod(subject: &Subject<'_>) -> Option<Vec<PodVolume>> {
    let run = &subject.object.spec.run;
    let volumes = run.volumes.iter().map(|volume| PodVolume {
        name: volume.name.to_string(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: names::volume_claim(subject.name(), &volume.name),
            read_only: None,
        }),
        ..PodVolume::default()
    });
    some(volumes.chain(bindings::of_pod(run)))
}

/// Where the container has them.
pub fn mounts(subject: &Subject<'_>) -> Option<Vec<VolumeMount>> {
    let run = &subject.object.spec.run;
    let volumes = run.volumes.iter().map(|volume| VolumeMount {
        name: volume.name.to_string(),
        mount_path: volume.mount_path.to_string(),
        ..VolumeMount::default()
    });
    some(volumes.chain(bindings::mounts(run)))
}

/// A list that is not there if it is empty, as the API server has it.
pub fn some<T>(all: impl Iterator<Item = T>) -> Option<Vec<T>> {
    let all: Vec<T> = all.collect();
    (!all.is_empty()).then_some(all)
}
