//! The application's pod.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, ContainerPort, HTTPGetAction, Lifecycle, LifecycleHandler,
        PodSecurityContext, PodSpec, PodTemplateSpec, Probe, SeccompProfile, SecurityContext,
        SleepAction, TCPSocketAction, TopologySpreadConstraint,
    },
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use trackbed_api::{common::APP_RESOURCES, labels, run::RunSpec};

use super::{
    environment::{literal, variables},
    subject::Subject,
    verdict::CONTAINER,
    volume,
};

/// Name of the application's port.
pub const PORT_NAME: &str = "http";
/// Seconds that a pod serves on after it was told to end, so that all proxies have forgotten it
/// before it stops to listen.
const DRAIN: i64 = 5;
/// Seconds from the end of that until the application is killed, and those of the drain.
const GRACE: i64 = 30;
/// Seconds between two looks at a starting application.
const STARTUP_PERIOD: i32 = 2;
/// Annotation: when the credentials of the Databases that the pod uses were changed.
const ROTATED: &str = "trackbed.dev/credentials";
/// What programs that start as root and then become somebody else need. The rest of the runtime's
/// default set (raw sockets, device nodes, chroot, audit) is dropped.
const CAPABILITIES: [&str; 7] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "KILL",
    "NET_BIND_SERVICE",
    "SETGID",
    "SETUID",
];

/// The template of the release's pods.
pub fn template(subject: &Subject<'_>) -> PodTemplateSpec {
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(subject.labels(labels::role::APP)),
            annotations: rotated(subject),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            containers: vec![container(subject)],
            volumes: volume::of_pod(subject),
            topology_spread_constraints: Some(vec![TopologySpreadConstraint {
                max_skew: 1,
                topology_key: "kubernetes.io/hostname".to_owned(),
                when_unsatisfiable: "ScheduleAnyway".to_owned(),
                label_selector: Some(subject.label_selector()),
                ..TopologySpreadConstraint::default()
            }]),
            ..surroundings(subject)
        }),
    }
}

/// Pods read a Secret when they start: those of a Database whose credentials were changed are
/// replaced. That is no release, since nothing could go back to credentials that have ended.
fn rotated(subject: &Subject<'_>) -> Option<BTreeMap<String, String>> {
    let all = subject.rotated.iter();
    let all: Vec<String> = all.map(|(name, at)| format!("{name}={at}")).collect();
    let value = (!all.is_empty()).then(|| all.join(","))?;
    Some(BTreeMap::from([(ROTATED.to_owned(), value)]))
}

/// What all pods of a release have around their containers.
pub fn surroundings(subject: &Subject<'_>) -> PodSpec {
    let has_volumes = !subject.object.spec.run.volumes.is_empty();
    PodSpec {
        image_pull_secrets: subject.pull_secrets(),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE),
        security_context: Some(PodSecurityContext {
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            fs_group: has_volumes.then_some(volume::GROUP),
            fs_group_change_policy: has_volumes.then(|| "OnRootMismatch".to_owned()),
            ..PodSecurityContext::default()
        }),
        ..PodSpec::default()
    }
}

/// The application's container.
pub fn container(subject: &Subject<'_>) -> Container {
    let spec = &subject.object.spec;
    let run = &spec.run;
    let listens = subject.listens();
    Container {
        name: CONTAINER.to_owned(),
        image: Some(spec.image.to_string()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        // In place of the image's ENTRYPOINT and CMD both: what is written is what runs.
        command: (!run.command.is_empty())
            .then(|| run.command.iter().map(|word| literal(word)).collect()),
        env: Some(variables(
            subject.object,
            listens,
            &subject.namespace,
            subject.config,
        )),
        ports: listens.then(|| {
            vec![ContainerPort {
                name: Some(PORT_NAME.to_owned()),
                container_port: run.port,
                protocol: Some("TCP".to_owned()),
                ..ContainerPort::default()
            }]
        }),
        resources: Some(run.resources.with_defaults(APP_RESOURCES)),
        volume_mounts: volume::mounts(subject),
        startup_probe: listens.then(|| startup(run)),
        readiness_probe: listens.then(|| Probe {
            period_seconds: Some(5),
            timeout_seconds: Some(5),
            failure_threshold: Some(3),
            ..question(run)
        }),
        liveness_probe: liveness(run).filter(|_| listens),
        // What gets no requests can be told to end at once.
        lifecycle: listens.then(|| Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction { seconds: DRAIN }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                add: Some(CAPABILITIES.map(str::to_owned).to_vec()),
            }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

/// What is asked: the path, or else whether the port takes a connection.
fn question(run: &RunSpec) -> Probe {
    let port = IntOrString::String(PORT_NAME.to_owned());
    match &run.healthcheck.path {
        Some(path) => Probe {
            http_get: Some(HTTPGetAction {
                path: Some(path.to_string()),
                port,
                scheme: Some("HTTP".to_owned()),
                ..HTTPGetAction::default()
            }),
            ..Probe::default()
        },
        None => Probe {
            tcp_socket: Some(TCPSocketAction { port, host: None }),
            ..Probe::default()
        },
    }
}

/// As many looks as fit into the health check's time.
fn startup(run: &RunSpec) -> Probe {
    let looks = run
        .healthcheck
        .timeout
        .seconds()
        .div_ceil(STARTUP_PERIOD.unsigned_abs().into());
    Probe {
        period_seconds: Some(STARTUP_PERIOD),
        timeout_seconds: Some(5),
        failure_threshold: Some(i32::try_from(looks).unwrap_or(i32::MAX).max(1)),
        ..question(run)
    }
}

/// Only with a path: a port that takes connections says nothing about a program that hangs. Slow
/// to act, because a restart helps few programs that are merely busy.
fn liveness(run: &RunSpec) -> Option<Probe> {
    run.healthcheck.path.is_some().then(|| Probe {
        period_seconds: Some(10),
        timeout_seconds: Some(10),
        failure_threshold: Some(6),
        ..question(run)
    })
}
