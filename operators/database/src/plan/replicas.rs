//! How several servers are, as CloudNativePG says it.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use trackbed_api::{
    common::condition::REPLICATED,
    database::{DatabaseStatus, ReplicationStatus},
    labels, names,
    reason::Reason,
};
use trackbed_kit::{Fact, Health, conditions::find, meta};

use super::{Place, health, secret};
use crate::{
    cloudnative_pg::{Cluster, ClusterStatus, HIBERNATED},
    observe::Seen,
};

/// After so long somebody should have looked at a new Cluster.
const LOOKED_AT: SignedDuration = SignedDuration::from_secs(60);
/// How CloudNativePG calls a server that is up.
const HEALTHY: &str = "healthy";
/// What it says when a server ended for want of room.
const NO_ROOM: &str = "Not enough disk space";
/// What it says when nothing more happens by itself.
const UNRECOVERABLE: &str = "unrecoverable";

/// Whether there are servers of that name that are somebody else's: what they say of themselves must
/// not be taken for this Database's.
pub(super) fn conflict(place: &Place<'_>, seen: &Seen) -> Option<Health> {
    let live = seen.cluster.as_deref();
    let theirs = live.is_some_and(|it| !meta::is_managed(it));
    theirs.then(|| {
        Health::Stalled(
            Reason::NameConflict,
            format!(
                "a Cluster {} exists and is not Trackbed's: rename or remove it, or give the Database another name",
                place.name
            ),
        )
    })
}

/// What keeps several servers from being made, or from being touched.
pub(super) fn hindrance(place: &Place<'_>, seen: &Seen, initialised: bool) -> Option<Health> {
    let name = &place.name;
    if !place.config.served.cloudnative_pg {
        return Some(Health::Stalled(
            Reason::CloudNativePgMissing,
            format!(
                "replicas: {} need CloudNativePG, which this cluster did not have when the operator started: have it installed and the operator restarted, or create the Database with one",
                place.object.spec.replicas
            ),
        ));
    }
    let live = seen.cluster.as_deref();
    let whose = live.and_then(|it| meta::annotation(it, labels::IDENTITY));
    if whose.is_some_and(|it| it != secret::identity(seen)) {
        return Some(Health::Stalled(
            Reason::DataBelongsToAnother,
            format!(
                "the Cluster {name} has the data of another Database than the Secret {} is of: restore that one's Secret, or delete the Cluster if its data are not wanted",
                names::credentials(name)
            ),
        ));
    }
    (live.is_none() && initialised && seen.volumes.is_empty()).then(|| {
        Health::Stalled(
            Reason::DataMissing,
            format!(
                "there were data, and neither the Cluster {name} nor a volume of it exists: restore its volumes, or delete the Secret {} to begin anew",
                names::credentials(name)
            ),
        )
    })
}

/// Whether a server takes writes, none is about to take over from it, and all users may come in: their
/// passwords are given them when it runs already.
pub(crate) fn serves(cluster: &Cluster) -> bool {
    cluster.status.as_ref().is_some_and(|status| {
        let known = &status.managed_roles_status.password_status;
        let mut roles = cluster.spec.managed.roles.iter();
        has_primary(status) && roles.all(|role| known.contains_key(&role.name))
    })
}

fn has_primary(status: &ClusterStatus) -> bool {
    let primary = &status.current_primary;
    let healthy = status.instances_status.get(HEALTHY);
    status.target_primary == *primary && healthy.is_some_and(|it| it.contains(primary))
}

/// Health.
pub(super) fn health(place: &Place<'_>, seen: &Seen, now: Timestamp) -> Health {
    let spec = &place.object.spec;
    let what = health::server(spec);
    let begins = || Health::Progressing(format!("{what} is being started"));
    let Some(cluster) = seen.cluster.as_deref() else {
        return begins();
    };
    let status = cluster.status.clone().unwrap_or_default();
    let sleeps = find(&status.conditions, HIBERNATED).is_some_and(|it| it.status == "True");
    match (spec.suspend, sleeps) {
        (true, true) => {
            return Health::Suspended("suspended: no pod runs, the data are kept".to_owned());
        }
        (true, false) => {
            return Health::Progressing("suspended: its pods are ending".to_owned());
        }
        (false, true) => return begins(),
        (false, false) => {}
    }
    if serves(cluster) {
        return Health::Ready(format!(
            "{what} answers at {}, {} of {} servers are up",
            place.host(),
            status.ready_instances,
            spec.replicas
        ));
    }
    if has_primary(&status) {
        return Health::Progressing(format!("{what} is being told whom to let in"));
    }
    let stuck = seen
        .instances
        .iter()
        .find_map(|it| health::stuck(it, &what));
    stuck.unwrap_or_else(|| unready(cluster, &status, &what, now))
}

fn unready(cluster: &Cluster, status: &ClusterStatus, what: &str, now: Timestamp) -> Health {
    let phase = sentence(status);
    if phase.is_empty() {
        let made = cluster.metadata.creation_timestamp.as_ref();
        if made.is_some_and(|it| now.duration_since(it.0) < LOOKED_AT) {
            return Health::Progressing(format!("{what} is being started"));
        }
        return Health::Waiting(
            Reason::DatabaseNotReady,
            format!(
                "CloudNativePG has not looked at the Cluster {}: see whether its operator runs",
                cluster.name_any()
            ),
        );
    }
    if status.phase == NO_ROOM {
        return Health::Stalled(
            Reason::StorageFull,
            format!("{what} does not start without room on its volume: raise storage.size"),
        );
    }
    if phase.contains(UNRECOVERABLE) {
        return Health::Stalled(
            Reason::DatabaseNotReady,
            format!("{what} does not start: {phase}"),
        );
    }
    Health::Progressing(format!("{what} does not take writes yet: {phase}"))
}

fn sentence(status: &ClusterStatus) -> String {
    let words = [status.phase.as_str(), status.phase_reason.as_str()];
    let words: Vec<_> = words.into_iter().filter(|it| !it.is_empty()).collect();
    words.join(": ")
}

/// Whether all of them are up. Until they were for the first time nobody is to be alarmed.
pub(super) fn fact(place: &Place<'_>, seen: &Seen, before: &DatabaseStatus) -> Option<Fact> {
    let spec = &place.object.spec;
    if !spec.is_replicated() || spec.suspend {
        return None;
    }
    let status = seen.cluster.as_deref()?.status.as_ref()?;
    if status.phase.is_empty() {
        return None;
    }
    let (up, of) = (status.ready_instances, spec.replicas);
    let message = format!("{up} of {of} servers are up");
    if up >= of {
        return Some(Fact::new(REPLICATED, Some(true), "Replicated", message));
    }
    let was = find(&before.conditions, REPLICATED).map(|it| it.status.as_str());
    if was.is_none_or(|was| was == "Unknown") {
        let message = format!("{message}: {}", sentence(status));
        return Some(Fact::new(REPLICATED, None, "Progressing", message));
    }
    let rest = match up {
        0 | 1 => "no other could take over".to_owned(),
        more => format!("{} could take over", more - 1),
    };
    let message = format!("{message}, {rest}: {}", sentence(status));
    let reason = Reason::ReplicasMissing.as_str();
    Some(Fact::new(REPLICATED, Some(false), reason, message))
}

/// For status.
pub(super) fn status(place: &Place<'_>, seen: &Seen) -> Option<ReplicationStatus> {
    let cluster = seen.cluster.as_deref()?;
    let status = cluster.status.clone().unwrap_or_default();
    let primary = Some(status.current_primary).filter(|it| !it.is_empty());
    Some(ReplicationStatus {
        cluster: cluster.name_any(),
        primary,
        ready: format!("{}/{}", status.ready_instances, place.object.spec.replicas),
    })
}

/// Whether the servers let a user in with what a Secret holds.
pub(super) fn know(cluster: &Cluster, secret: &Secret, username: &str) -> bool {
    let known = cluster.status.as_ref().and_then(|status| {
        let all = &status.managed_roles_status.password_status;
        Some(all.get(username)?.resource_version.clone())
    });
    known.is_some() && known == secret.resource_version()
}
