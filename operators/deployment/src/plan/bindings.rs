//! Databases that an application finds as files, by the Service Binding specification:
//! <https://servicebinding.io/spec/core/1.1.0/#workload-projection>.

use k8s_openapi::api::core::v1::{SecretVolumeSource, Volume, VolumeMount};
use trackbed_api::run::{Binding, RunSpec};

/// Variable that says where the files are.
pub const ROOT: &str = "SERVICE_BINDING_ROOT";
/// Where they are.
pub const FOLDER: &str = "/bindings";

/// The volumes of the pod.
pub fn of_pod(run: &RunSpec) -> impl Iterator<Item = Volume> {
    run.bindings.iter().map(|binding| Volume {
        name: volume(binding),
        secret: Some(SecretVolumeSource {
            secret_name: Some(binding.secret()),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    })
}

/// Where a container has them.
pub fn mounts(run: &RunSpec) -> impl Iterator<Item = VolumeMount> {
    run.bindings.iter().map(|binding| VolumeMount {
        name: volume(binding),
        mount_path: format!("{FOLDER}/{}", binding.name),
        read_only: Some(true),
        ..VolumeMount::default()
    })
}

/// Not what anybody calls a volume of the application, whose names are in the same list.
fn volume(binding: &Binding) -> String {
    format!("trackbed-binding-{}", binding.name)
}
