//! The server: the official image with Trackbed's supervisor as process 1.

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::{
    api::{
        apps::v1::{StatefulSet, StatefulSetSpec},
        core::v1::{
            Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource,
            ExecAction, PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec,
            PodTemplateSpec, Probe, SeccompProfile, SecretVolumeSource, SecurityContext,
            TCPSocketAction, Volume, VolumeMount,
        },
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use std::collections::BTreeMap;
use trackbed_api::{common::ResourceDefaults, database::Engine, labels, names};
use trackbed_kit::meta;

use super::{Place, settings};
use crate::observe::Seen;

/// What a server gets when its spec says nothing.
pub const RESOURCES: ResourceDefaults = ["100m", "256Mi", "1", "512Mi"];
/// User and group of the servers in both official images.
const USER: i64 = 999;
/// Annotation on the pod: hash of the settings that it was started with.
const SETTINGS: &str = "trackbed.dev/settings";
/// The supervisor in the pod.
const SUPERVISOR: &str = "/opt/trackbed/bin/trackbed";

/// The StatefulSet. The supervisor's image stays the one that the live set has as long as nothing
/// else changes and its pod is well: an upgrade of the operator restarts no database.
pub fn desired(place: &Place<'_>, settings: &ConfigMap, seen: &Seen) -> StatefulSet {
    let fresh = set(place, settings, &place.config.images.operator);
    let well = seen.pod.as_deref().is_some_and(super::health::is_ready);
    let live = seen
        .set
        .as_deref()
        .filter(|_| well)
        .and_then(supervisor_image);
    match live {
        Some(image) if image != place.config.images.operator => {
            let kept = set(place, settings, &image);
            match seen.set.as_deref() {
                Some(live) if same_hash(live, &kept) => kept,
                _ => fresh,
            }
        }
        _ => fresh,
    }
}

/// Whether the live set runs this image, version and settings.
fn same_hash(live: &StatefulSet, kept: &StatefulSet) -> bool {
    let key = |set: &StatefulSet| {
        let template = &set.spec.as_ref()?.template;
        let hash = template
            .metadata
            .as_ref()?
            .annotations
            .as_ref()?
            .get(SETTINGS)?
            .clone();
        let server = template.spec.as_ref()?.containers.first()?;
        Some((hash, server.image.clone(), server.resources.clone()))
    };
    key(live).is_some() && key(live) == key(kept)
}

fn supervisor_image(set: &StatefulSet) -> Option<String> {
    let spec = set.spec.as_ref()?.template.spec.as_ref()?;
    spec.init_containers.as_ref()?.first()?.image.clone()
}

fn set(place: &Place<'_>, settings: &ConfigMap, supervisor: &str) -> StatefulSet {
    let mut labels = meta::managed();
    labels.extend(place.selector());
    labels.insert(labels::PROJECT.to_owned(), place.project.to_owned());
    StatefulSet {
        metadata: place.owned(&place.name),
        spec: Some(StatefulSetSpec {
            replicas: Some(if place.object.spec.suspend { 0 } else { 1 }),
            service_name: Some(names::headless(&place.name)),
            // In order, a pod that never gets ready is not replaced by one that would.
            pod_management_policy: Some("Parallel".to_owned()),
            selector: LabelSelector {
                match_labels: Some(place.selector()),
                match_expressions: None,
            },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels),
                    annotations: Some(BTreeMap::from([(
                        SETTINGS.to_owned(),
                        settings::hash(settings),
                    )])),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(place, supervisor)),
            },
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}

fn pod(place: &Place<'_>, supervisor: &str) -> PodSpec {
    PodSpec {
        init_containers: Some(vec![install(supervisor)]),
        containers: vec![server(place)],
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        // A server that writes much to disk at its end.
        termination_grace_period_seconds: Some(120),
        security_context: Some(PodSecurityContext {
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
        }),
        volumes: Some(volumes(place)),
        ..PodSpec::default()
    }
}

fn install(image: &str) -> Container {
    let words = ["/trackbed", "supervisor", "install", "--to", SUPERVISOR];
    Container {
        name: "supervisor".to_owned(),
        image: Some(image.to_owned()),
        command: Some(words.iter().map(|it| (*it).to_owned()).collect()),
        volume_mounts: Some(vec![mount("bin", "/opt/trackbed/bin", false)]),
        security_context: Some(unprivileged()),
        ..Container::default()
    }
}

fn server(place: &Place<'_>) -> Container {
    let spec = &place.object.spec;
    let engine = spec.engine.as_str().to_lowercase();
    let repository = match spec.engine {
        Engine::Postgres => &place.config.images.postgres,
        Engine::Redis => &place.config.images.redis,
    };
    let command = |words: &[&str]| {
        let words = [SUPERVISOR, "supervisor"].iter().chain(words);
        Some(words.map(|it| (*it).to_owned()).collect::<Vec<_>>())
    };
    let version = format!("--version={}", spec.version);
    let probe = |failures: i32, period: i32| Probe {
        exec: Some(ExecAction {
            command: command(&["probe", &engine, &version]),
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    };
    Container {
        name: engine.clone(),
        image: Some(format!("{repository}:{}", spec.version)),
        command: command(&[&engine, &version]),
        ports: Some(vec![ContainerPort {
            container_port: spec.engine.port(),
            name: Some(engine.clone()),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        resources: Some(spec.resources.with_defaults(RESOURCES)),
        volume_mounts: Some(vec![
            mount("data", "/data", false),
            mount("credentials", "/etc/trackbed/credentials", true),
            mount("settings", "/etc/trackbed/state", true),
            mount("run", "/run/trackbed", false),
            mount("tmp", "/tmp", false),
            mount("bin", "/opt/trackbed/bin", true),
        ]),
        // Half an hour for a recovery, then readiness every ten seconds.
        startup_probe: Some(probe(600, 3)),
        readiness_probe: Some(probe(3, 10)),
        liveness_probe: Some(Probe {
            tcp_socket: Some(TCPSocketAction {
                port: IntOrString::Int(spec.engine.port()),
                host: None,
            }),
            period_seconds: Some(20),
            timeout_seconds: Some(5),
            failure_threshold: Some(6),
            ..Probe::default()
        }),
        security_context: Some(unprivileged()),
        ..Container::default()
    }
}

fn unprivileged() -> SecurityContext {
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

fn volumes(place: &Place<'_>) -> Vec<Volume> {
    let empty = |name: &str, medium: Option<&str>| Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: medium.map(str::to_owned),
            size_limit: None,
        }),
        ..Volume::default()
    };
    vec![
        Volume {
            name: "data".to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: names::data_claim(&place.name),
                read_only: None,
            }),
            ..Volume::default()
        },
        Volume {
            name: "credentials".to_owned(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(names::credentials(&place.name)),
                default_mode: Some(0o440),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: "settings".to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: settings::name(&place.name),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        },
        empty("run", Some("Memory")),
        empty("tmp", None),
        empty("bin", None),
    ]
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}
