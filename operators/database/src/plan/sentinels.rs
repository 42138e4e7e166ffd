//! Several servers of Redis or Valkey, of which Sentinels decide who is the primary. They do that
//! among themselves; what is here only looks on.

use std::{cmp::Reverse, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{
            Affinity, Container, EnvVar, EnvVarSource, ObjectFieldSelector, PersistentVolumeClaim,
            Pod, PodAffinityTerm, PodAntiAffinity, PodDNSConfig, PodDNSConfigOption, PodSpec,
            Probe, TCPSocketAction, WeightedPodAffinityTerm,
        },
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use kube::ResourceExt;
use trackbed_api::{
    common::{ResourceDefaults, Resources, condition::REPLICATED},
    database::{DatabaseStatus, ReplicationStatus},
    names,
    reason::Reason,
};
use trackbed_kit::{Fact, Health, claim, conditions::find, meta};

use super::{
    Place, health, pod, server, settings,
    tls::{self, Transport},
};
use crate::observe::Seen;

/// Where servers and Sentinels listen for each other.
pub(super) const PORTS: [i32; 2] = [6380, 26379];
/// Container of the Sentinel.
const CONTAINER: &str = "sentinel";
/// What it gets.
const RESOURCES: ResourceDefaults = ["10m", "32Mi", "500m", "96Mi"];
/// So many have to be up for writes to be taken: the primary, and one that follows it.
const WRITES: usize = 2;

/// How many servers there are to be now. Those that are too many go one at a time, the last one
/// first, and only while all are well: the primary may be among them, and another one takes over.
pub(super) fn count(place: &Place<'_>, seen: &Seen) -> i32 {
    let wanted = place.object.spec.replicas;
    let spec = seen.set.as_deref().and_then(|it| it.spec.as_ref());
    match spec.and_then(|it| it.replicas) {
        // The primary may be among those that were too many when all ended.
        Some(0) => wanted.max(settings::servers(seen)),
        Some(live) if live > wanted => {
            let calm = are_ready(live, seen) && seen.primary.is_some();
            let stay = !place.object.spec.suspend && !all_end(place, seen);
            live - i32::from(calm && stay)
        }
        Some(_) | None => wanted,
    }
}

/// Whether all servers that there are to be are up.
pub(super) fn are_all_ready(place: &Place<'_>, seen: &Seen) -> bool {
    are_ready(place.object.spec.replicas, seen)
}

/// Whether all have to end before one begins: those that encrypt and those that do not, or that have
/// another certificate, would turn each other away.
pub(super) fn all_end(place: &Place<'_>, seen: &Seen) -> bool {
    let secret = tls::secret(place.object);
    let of = |pod: &Pod| server::certificate(pod.spec.as_ref()) != secret.as_deref();
    seen.pods.iter().any(|it| of(it))
}

fn are_ready(count: i32, seen: &Seen) -> bool {
    seen.pods.len() == usize::try_from(count).unwrap_or_default() && ready(seen) == seen.pods.len()
}

fn is_up(pod: &Pod) -> bool {
    health::is_ready(pod) && !meta::is_deleted(pod)
}

fn ready(seen: &Seen) -> usize {
    seen.pods.iter().filter(|it| is_up(it)).count()
}

/// The pods that may be restarted now, the primary last. While one is away none of the others is, but
/// for those that come up by nothing else.
pub(super) fn in_turn<'a>(place: &Place<'_>, seen: &'a Seen) -> Vec<&'a Arc<Pod>> {
    let mut turn: Vec<_> = seen.pods.iter().collect();
    turn.sort_by_key(|it| Reverse((ordinal(it), it.name_any())));
    let away = seen.pods.len() - ready(seen);
    let missing = seen.pods.len() < usize::try_from(place.object.spec.replicas).unwrap_or_default();
    match (away, missing, &seen.primary) {
        (0, false, Some(primary)) => turn.sort_by_key(|it| it.name_any() == *primary),
        (1, false, _) => turn.retain(|it| !is_up(it)),
        _ => turn.retain(|it| super::restart::is_stuck(it)),
    }
    turn
}

fn ordinal(pod: &Pod) -> Option<u32> {
    pod.metadata.name.as_ref()?.rsplit_once('-')?.1.parse().ok()
}

/// Health while all of them end, to begin anew. `set`: as it is to be.
pub(super) fn ends(place: &Place<'_>, set: &StatefulSet, seen: &Seen) -> Option<Health> {
    let spec = &place.object.spec;
    let none = set.spec.as_ref().and_then(|it| it.replicas) == Some(0);
    let ends = spec.has_sentinels() && none && !spec.suspend && !seen.pods.is_empty();
    ends.then(|| {
        let what = health::server(spec);
        Health::Progressing(format!(
            "{what} is restarted for tls: all servers end first, as those with it and those without would turn each other away"
        ))
    })
}

/// Health.
pub(super) fn health(place: &Place<'_>, seen: &Seen, now: Timestamp) -> Health {
    let spec = &place.object.spec;
    let what = health::server(spec);
    match (spec.suspend, seen.pods.is_empty()) {
        (true, true) => {
            return Health::Suspended("suspended: no pod runs, the data are kept".to_owned());
        }
        (true, false) => return Health::Progressing("suspended: its pods are ending".to_owned()),
        (false, true) => return Health::Progressing(format!("{what} is being started")),
        (false, false) => {}
    }
    let up = ready(seen);
    if up >= WRITES {
        let (host, of) = (place.host(), spec.replicas);
        return Health::Ready(format!(
            "{what} answers at {host}, {up} of {of} servers are up"
        ));
    }
    trouble(seen, &what, now).unwrap_or_else(|| match up {
        0 => Health::Progressing(format!("{what} is starting")),
        _ => Health::Progressing(format!("{what} takes no writes yet: no other server is up")),
    })
}

/// What is the matter with servers that are not up, if it is more than that they start.
fn trouble(seen: &Seen, what: &str, now: Timestamp) -> Option<Health> {
    let away = seen.pods.iter().filter(|it| !is_up(it));
    let mut all = away.map(|it| health::unready(it, what, now));
    all.find(|it| matches!(it, Health::Waiting(..) | Health::Stalled(..)))
}

/// The condition: whether all servers are up.
pub(super) fn fact(
    place: &Place<'_>,
    seen: &Seen,
    before: &DatabaseStatus,
    now: Timestamp,
) -> Option<Fact> {
    let spec = &place.object.spec;
    if !spec.has_sentinels() || spec.suspend || seen.set.is_none() {
        return None;
    }
    let (up, of) = (ready(seen), spec.replicas);
    let message = format!("{up} of {of} servers are up");
    if are_all_ready(place, seen) || usize::try_from(of).is_ok_and(|of| up >= of) {
        return Some(Fact::new(REPLICATED, Some(true), "Replicated", message));
    }
    let was = find(&before.conditions, REPLICATED).map(|it| it.status.as_str());
    let trouble = trouble(seen, &health::server(spec), now);
    let why = trouble.map_or_else(
        || "the others are starting".to_owned(),
        |it| it.ready().2.to_owned(),
    );
    if was.is_none_or(|was| was == "Unknown") {
        let message = format!("{message}: {why}");
        return Some(Fact::new(REPLICATED, None, "Progressing", message));
    }
    let rest = match up {
        0 | 1 => "no other could take over".to_owned(),
        more => format!("{} could take over", more - 1),
    };
    let message = format!("{message}, {rest}: {why}");
    let reason = Reason::ReplicasMissing.as_str();
    Some(Fact::new(REPLICATED, Some(false), reason, message))
}

/// For status.
pub(super) fn status(place: &Place<'_>, seen: &Seen) -> Option<ReplicationStatus> {
    let several = place.object.spec.has_sentinels();
    several.then(|| ReplicationStatus {
        cluster: String::new(),
        primary: seen.primary.clone(),
        ready: format!("{}/{}", ready(seen), place.object.spec.replicas),
    })
}

/// Keeps nodes that are emptied from ending more than one at a time.
pub(super) fn budget(place: &Place<'_>) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: place.owned(&format!("{}-database", place.name)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(selector(place)),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}

fn selector(place: &Place<'_>) -> LabelSelector {
    LabelSelector {
        match_labels: Some(place.selector()),
        match_expressions: None,
    }
}

/// What the StatefulSet would make claims from, which are there before: its pods find theirs by it. It
/// cannot change.
pub(super) fn template(place: &Place<'_>, seen: &Seen) -> PersistentVolumeClaim {
    let storage = &place.object.spec.storage;
    let spec = seen.set.as_deref().and_then(|it| it.spec.as_ref());
    let live = spec.and_then(|it| it.volume_claim_templates.as_ref()?.first());
    let size = live.and_then(|it| {
        let requests = it.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
        Some(trackbed_api::scalar::Quantity(
            requests.get("storage")?.0.clone(),
        ))
    });
    let size = size.unwrap_or_else(|| storage.size.clone());
    let mut metadata = place.retained("data");
    metadata.namespace = None;
    PersistentVolumeClaim {
        metadata,
        spec: Some(claim::spec(None, &size, storage.class_name.as_deref())),
        status: None,
    }
}

/// What supervisors are told of where the others are.
fn word(place: &Place<'_>) -> String {
    let domain = format!(
        "{}.{}.svc.{}",
        names::headless(&place.name),
        place.namespace,
        place.config.cluster_domain
    );
    format!("--domain={domain}")
}

/// What tells them which one they are.
fn env() -> EnvVar {
    EnvVar {
        name: "TRACKBED_POD".to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".to_owned()),
                field_path: "metadata.name".to_owned(),
            }),
            ..EnvVarSource::default()
        }),
    }
}

/// Makes a single server's pod one of several.
pub(super) fn among(place: &Place<'_>, mut pod: PodSpec, transport: Option<&Transport>) -> PodSpec {
    let word = word(place);
    if let Some(server) = pod.containers.first_mut() {
        server.env = Some(vec![env()]);
        server.command.get_or_insert_default().push(word.clone());
        let liveness = server.liveness_probe.as_mut();
        if let Some(it) = liveness.and_then(|it| it.tcp_socket.as_mut()) {
            it.port = IntOrString::Int(PORTS[0]);
        }
        let probes = [&mut server.startup_probe, &mut server.readiness_probe];
        for probe in probes.into_iter().flatten() {
            let exec = probe.exec.get_or_insert_default();
            exec.command.get_or_insert_default().push(word.clone());
        }
    }
    pod.containers.push(sentinel(place, word, transport));
    // The volume of each is its own, by the StatefulSet's template.
    pod.volumes
        .get_or_insert_default()
        .retain(|it| it.name != "data");
    pod.affinity = Some(apart(place));
    pod.dns_config = Some(PodDNSConfig {
        options: Some(vec![
            option("ndots", "1"),
            option("timeout", "1"),
            option("attempts", "2"),
        ]),
        ..PodDNSConfig::default()
    });
    pod
}

/// Names are whole, and who waits for one answers nobody.
fn option(name: &str, value: &str) -> PodDNSConfigOption {
    PodDNSConfigOption {
        name: Some(name.to_owned()),
        value: Some(value.to_owned()),
    }
}

fn sentinel(place: &Place<'_>, word: String, transport: Option<&Transport>) -> Container {
    let spec = &place.object.spec;
    let engine = spec.engine.as_str().to_lowercase();
    let version = format!("--version={}", spec.version);
    let mut command = pod::command(&["sentinel", &engine, &version]);
    command.push(word);
    let mut mounts = vec![
        pod::mount("data", "/data", false),
        pod::mount("standby", "/etc/trackbed/standby", true),
        pod::mount("settings", "/etc/trackbed/state", true),
        pod::mount("tmp", "/tmp", false),
        pod::mount("bin", "/opt/trackbed/bin", true),
    ];
    // It shows what the server shows, whose supervisor leaves it there.
    mounts.extend(transport.map(|_| pod::mount("run", "/run/trackbed", true)));
    mounts.extend(transport.map(|_| server::shown()));
    Container {
        name: CONTAINER.to_owned(),
        image: Some(place.image.clone()),
        command: Some(command),
        env: Some(vec![env()]),
        resources: Some(Resources::default().with_defaults(RESOURCES)),
        volume_mounts: Some(mounts),
        liveness_probe: Some(Probe {
            tcp_socket: Some(TCPSocketAction {
                port: IntOrString::Int(PORTS[1]),
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

/// On nodes of their own, if there are enough.
fn apart(place: &Place<'_>) -> Affinity {
    let term = PodAffinityTerm {
        label_selector: Some(selector(place)),
        topology_key: "kubernetes.io/hostname".to_owned(),
        ..PodAffinityTerm::default()
    };
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![
                WeightedPodAffinityTerm {
                    weight: 100,
                    pod_affinity_term: term,
                },
            ]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}
