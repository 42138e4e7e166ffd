//! What all pods of a Database are made of: the official image, with Trackbed's supervisor in it.

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, KeyToPath,
    PersistentVolumeClaimVolumeSource, PodSecurityContext, SeccompProfile, SecretVolumeSource,
    SecurityContext, Volume, VolumeMount,
};
use trackbed_api::common::{ResourceDefaults, Resources};

/// User and group of the servers in all official images on Debian, which are those without a flavour
/// in their tags.
pub(super) const USER: i64 = 999;
/// The supervisor in the pod.
const SUPERVISOR: &str = "/opt/trackbed/bin/trackbed";
/// What copies it asks for. A pod asks for the most that one of its init containers does: without
/// amounts of its own, a namespace's defaults would count for more than a small server.
const INSTALL: ResourceDefaults = ["10m", "16Mi", "500m", "64Mi"];

/// A command of the supervisor.
pub(super) fn command(words: &[&str]) -> Vec<String> {
    let words = [SUPERVISOR, "supervisor"].iter().chain(words);
    words.map(|it| (*it).to_owned()).collect()
}

/// Who runs in the pod.
pub(super) fn security() -> PodSecurityContext {
    PodSecurityContext {
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        run_as_non_root: Some(true),
        fs_group: Some(USER),
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            localhost_profile: None,
        }),
        ..PodSecurityContext::default()
    }
}

/// Puts the supervisor where the other containers see it.
pub(super) fn install(image: &str) -> Container {
    let words = ["/trackbed", "supervisor", "install", "--to", SUPERVISOR];
    Container {
        name: "supervisor".to_owned(),
        image: Some(image.to_owned()),
        command: Some(words.iter().map(|it| (*it).to_owned()).collect()),
        resources: Some(Resources::default().with_defaults(INSTALL)),
        volume_mounts: Some(vec![mount("bin", "/opt/trackbed/bin", false)]),
        security_context: Some(unprivileged()),
        ..Container::default()
    }
}

/// What no container needs.
pub(super) fn unprivileged() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            add: None,
            drop: Some(vec!["ALL".to_owned()]),
        }),
        ..SecurityContext::default()
    }
}

/// A folder that goes with the pod.
pub(super) fn empty(name: &str, medium: Option<&str>) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: medium.map(str::to_owned),
            size_limit: None,
        }),
        ..Volume::default()
    }
}

/// A volume that stays.
pub(super) fn claim(name: &str, claim: String) -> Volume {
    Volume {
        name: name.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim,
            read_only: None,
        }),
        ..Volume::default()
    }
}

/// The files of a ConfigMap.
pub(super) fn config_map(name: &str, map: String) -> Volume {
    Volume {
        name: name.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: map,
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// The files of a Secret.
pub(super) fn secret(volume: &str, name: String, optional: bool) -> Volume {
    Volume {
        name: volume.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(name),
            default_mode: Some(0o440),
            optional: optional.then_some(true),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// Some files of a Secret.
pub(super) fn files(volume: &str, name: &str, keys: &[&str]) -> Volume {
    let mut volume = secret(volume, name.to_owned(), false);
    let item = |key: &&str| KeyToPath {
        key: (*key).to_owned(),
        path: (*key).to_owned(),
        mode: None,
    };
    if let Some(secret) = &mut volume.secret {
        secret.items = Some(keys.iter().map(item).collect());
    }
    volume
}

/// Where a volume is.
pub(super) fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}
