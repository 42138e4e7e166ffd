//! The server: the official image with Trackbed's supervisor as process 1.

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::{
    api::{
        apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy},
        core::v1::{
            Container, ContainerPort, ExecAction, KeyToPath, Pod, PodSpec, PodTemplateSpec, Probe,
            TCPSocketAction, Volume, VolumeMount,
        },
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use std::collections::BTreeMap;
use trackbed_api::{common::ResourceDefaults, labels, names, run::KeyReference};
use trackbed_kit::meta;

use super::{
    Place,
    image::IMAGE,
    pod,
    restart::{ASKED, SETTINGS, TEMPLATE},
    sentinels, settings,
    tls::{self, Transport},
};
use crate::observe::Seen;

/// What a server gets when its spec says nothing.
pub const RESOURCES: ResourceDefaults = ["100m", "256Mi", "1", "512Mi"];
/// Port on which the supervisor tells how the server and its volume are.
pub const METRICS: i32 = 9187;
/// Volume with the certificate.
const CERTIFICATE: &str = "certificate";
/// Where the SQL is that it begins with, and its file there.
pub(super) const BEGINNING: &str = "/etc/trackbed/init";
pub(super) const SQL: &str = "init.sql";
/// A pod that runs is replaced by nobody but the operator.
pub const STRATEGY: &str = "OnDelete";

/// The StatefulSet. It says how the next pod is to be, and replaces none: see [`super::restart`].
pub fn desired(
    place: &Place<'_>,
    seen: &Seen,
    settings: &ConfigMap,
    transport: Option<&Transport>,
) -> StatefulSet {
    let several = place.object.spec.has_sentinels();
    let count = match several {
        true if sentinels::all_end(place, seen) => 0,
        true => sentinels::count(place, seen),
        false => 1,
    };
    StatefulSet {
        metadata: place.owned(&place.name),
        spec: Some(StatefulSetSpec {
            replicas: Some(if place.object.spec.suspend { 0 } else { count }),
            service_name: Some(names::headless(&place.name)),
            // In order, a pod that never gets ready is not replaced by one that would.
            pod_management_policy: Some("Parallel".to_owned()),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some(STRATEGY.to_owned()),
                rolling_update: None,
            }),
            selector: LabelSelector {
                match_labels: Some(place.selector()),
                match_expressions: None,
            },
            template: template(place, settings, transport),
            volume_claim_templates: several.then(|| vec![sentinels::template(place, seen)]),
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}

fn template(
    place: &Place<'_>,
    settings: &ConfigMap,
    transport: Option<&Transport>,
) -> PodTemplateSpec {
    let mut labels = meta::managed();
    labels.extend(place.selector());
    labels.insert(labels::PROJECT.to_owned(), place.project.to_owned());
    let spec = &place.object.spec;
    let pod = pod_spec(place, transport);
    // The same image has a tag first, and a digest then.
    let mut rest = pod.clone();
    for container in &mut rest.containers {
        container.image = None;
    }
    // What has a schema always has a text.
    let rest = serde_json::to_vec(&rest).unwrap_or_default();
    let annotations = [
        (IMAGE, place.image.clone()),
        (SETTINGS, settings::hash(settings, spec)),
        (ASKED, asked(place, transport)),
        (TEMPLATE, names::hash(&rest)[..16].to_owned()),
    ];
    let annotations = annotations.map(|(name, value)| (name.to_owned(), value));
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(BTreeMap::from(annotations)),
            ..ObjectMeta::default()
        }),
        spec: Some(pod),
    }
}

/// A hash of what else than settings and image a server is restarted for: its resources, as amounts,
/// and the Secret with its certificate.
fn asked(place: &Place<'_>, transport: Option<&Transport>) -> String {
    let resources = place.object.spec.resources.with_defaults(RESOURCES);
    let both = [resources.limits, resources.requests].into_iter().flatten();
    let mut text = String::new();
    for (name, amount) in both.flatten() {
        let amount = trackbed_api::scalar::Quantity(amount.0);
        text += &format!("{name}={:?}\n", amount.milli());
    }
    text += transport.map_or("", |it| &it.secret);
    names::hash(text.as_bytes())[..16].to_owned()
}

/// Name of the Secret with the certificate that the server of a pod shows.
pub(super) fn certificate(pod: Option<&PodSpec>) -> Option<&str> {
    let volumes = pod?.volumes.as_ref()?;
    let volume = volumes.iter().find(|it| it.name == CERTIFICATE)?;
    volume.secret.as_ref()?.secret_name.as_deref()
}

/// Whether the pod's supervisor knows of the user in reserve.
pub fn knows_two(place: &Place<'_>, pod: &Pod) -> bool {
    let name = names::standby(&place.name);
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
    volumes.into_iter().flatten().any(|volume| {
        let secret = volume.secret.as_ref();
        secret.and_then(|secret| secret.secret_name.as_deref()) == Some(&name)
    })
}

fn pod_spec(place: &Place<'_>, transport: Option<&Transport>) -> PodSpec {
    let pod = PodSpec {
        init_containers: Some(vec![pod::install(&place.config.images.operator)]),
        containers: vec![server(place, transport)],
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        // A server that writes much to disk at its end.
        termination_grace_period_seconds: Some(120),
        security_context: Some(pod::security()),
        volumes: Some(volumes(place, transport)),
        ..PodSpec::default()
    };
    match place.object.spec.has_sentinels() {
        true => sentinels::among(place, pod, transport),
        false => pod,
    }
}

fn server(place: &Place<'_>, transport: Option<&Transport>) -> Container {
    let spec = &place.object.spec;
    let engine = spec.engine.as_str().to_lowercase();
    let command = |words: &[&str]| Some(pod::command(words));
    let version = format!("--version={}", spec.version);
    let begin = format!("--init={BEGINNING}/{SQL}");
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
        image: Some(place.image.clone()),
        command: command(&match &spec.init {
            None => vec![&*engine, &version],
            Some(_) => vec![&*engine, &version, &begin],
        }),
        ports: Some(vec![
            port(&engine, spec.engine.port()),
            port("metrics", METRICS),
        ]),
        resources: Some(spec.resources.with_defaults(RESOURCES)),
        volume_mounts: Some(mounts(place, transport)),
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
        security_context: Some(pod::unprivileged()),
        ..Container::default()
    }
}

fn mounts(place: &Place<'_>, transport: Option<&Transport>) -> Vec<VolumeMount> {
    let mut mounts = vec![
        pod::mount("data", "/data", false),
        pod::mount("credentials", "/etc/trackbed/credentials", true),
        pod::mount("standby", "/etc/trackbed/standby", true),
        pod::mount("settings", "/etc/trackbed/state", true),
        pod::mount("run", "/run/trackbed", false),
        pod::mount("tmp", "/tmp", false),
        pod::mount("bin", "/opt/trackbed/bin", true),
    ];
    mounts.extend(transport.map(|_| shown()));
    let init = place.object.spec.init.as_ref();
    mounts.extend(init.map(|_| pod::mount("init", BEGINNING, true)));
    mounts
}

/// Where a container finds the certificate.
pub(super) fn shown() -> VolumeMount {
    pod::mount(CERTIFICATE, tls::FOLDER, true)
}

fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        container_port: number,
        name: Some(name.to_owned()),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn volumes(place: &Place<'_>, transport: Option<&Transport>) -> Vec<Volume> {
    let mut volumes = vec![
        pod::claim("data", names::data_claim(&place.name)),
        pod::secret("credentials", names::credentials(&place.name), false),
        pod::secret("standby", names::standby(&place.name), true),
        pod::config_map("settings", settings::name(&place.name)),
        pod::empty("run", Some("Memory")),
        pod::empty("tmp", None),
        pod::empty("bin", None),
    ];
    let files = tls::files(place);
    volumes.extend(transport.map(|it| pod::files(CERTIFICATE, &it.secret, files)));
    let init = place.object.spec.init.as_ref();
    volumes.extend(init.map(|it| beginning(&it.config_map_key_ref)));
    volumes
}

/// The SQL that it begins with. A server that has begun does without.
pub(super) fn beginning(at: &KeyReference) -> Volume {
    let mut volume = pod::config_map("init", at.name.to_string());
    if let Some(map) = &mut volume.config_map {
        map.optional = Some(true);
        map.items = Some(vec![KeyToPath {
            key: at.key.clone(),
            path: SQL.to_owned(),
            mode: None,
        }]);
    }
    volume
}
