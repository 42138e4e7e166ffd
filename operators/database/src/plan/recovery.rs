//! Several servers that begin as another Database was at a moment: CloudNativePG restores a copy of
//! that one's archive, and replays the log onto it.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use trackbed_api::{Database, backup::Restore, names, reason::Reason};
use trackbed_kit::{Health, meta};

use super::{Place, archive, health};
use crate::{
    barman_cloud::ObjectStore,
    cloudnative_pg::{
        Bootstrap, Cluster, ExternalCluster, JOB, Name, Plugin, Recovery, RecoveryTarget,
    },
    observe::Seen,
};

/// What the other one is called in the Cluster.
const ORIGIN: &str = "origin";
/// What CloudNativePG calls the pods that restore.
const RESTORES: &str = "full-recovery";
/// Annotation of a Cluster: what it began with.
pub(super) const ASKED: &str = "trackbed.dev/restore";
/// What stands for the end of the log.
const LATEST: &str = "latest";

/// What is restored.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// Who has it.
    plugin: Plugin,
    /// Where the log ends.
    target: Option<RecoveryTarget>,
    /// Where it is, unless a Database of the namespace has said so.
    pub(super) store: Option<ObjectStore>,
}

impl Origin {
    /// What a Cluster begins with, whose database is its owner's.
    pub(super) fn bootstrap(&self, owner: &str, secret: Name) -> Bootstrap {
        Bootstrap {
            initdb: None,
            recovery: Some(Recovery {
                source: ORIGIN.to_owned(),
                database: owner.to_owned(),
                owner: owner.to_owned(),
                secret,
                recovery_target: self.target.clone(),
            }),
        }
    }

    /// Whose data that are.
    pub(super) fn external(&self) -> ExternalCluster {
        ExternalCluster {
            name: ORIGIN.to_owned(),
            plugin: self.plugin.clone(),
        }
    }
}

/// What is asked for, of a Database that has no data.
fn asked<'a>(place: &'a Place<'_>, initialised: bool) -> Option<(&'a Restore, &'a str)> {
    let restore = place
        .object
        .spec
        .restore
        .as_ref()
        .filter(|_| !initialised)?;
    Some((restore, restore.time.as_deref()?))
}

/// What is restored, if anything.
///
/// # Errors
/// What there is to wait for, or to correct.
pub(super) fn of(
    place: &Place<'_>,
    seen: &Seen,
    initialised: bool,
    now: Timestamp,
) -> Result<Option<Origin>, Health> {
    let Some((restore, time)) = asked(place, initialised) else {
        return Ok(None);
    };
    if !place.config.served.archives() {
        return Err(Health::Stalled(
            Reason::BarmanCloudMissing,
            "restore.time needs CloudNativePG's plugin Barman Cloud, which this cluster did not have when the operator started: have it installed and the operator restarted, or restore a backup".to_owned(),
        ));
    }
    let moment = moment(time, now)?;
    let target = moment.map(|it| RecoveryTarget {
        target_time: it.to_string(),
    });
    if let Some(name) = restore.from.database.as_deref() {
        let identity = kept(place, seen.backups.origin.as_deref(), name, moment)?;
        return Ok(Some(Origin {
            plugin: archive::named(&names::archive(name), identity),
            target,
            store: None,
        }));
    }
    let (Some(bucket), Some(identity)) = (&restore.from.s3, &restore.from.identity) else {
        // The schema lets nobody write that.
        return Ok(None);
    };
    let secret = seen.archive.origin_bucket.as_ref();
    if let Some(missing) = archive::missing(bucket, secret) {
        let message = format!("restore.from.s3.secretRef: {missing}");
        return Err(Health::Waiting(Reason::ReferenceMissing, message));
    }
    let name = names::origin(&place.name);
    Ok(Some(Origin {
        plugin: archive::named(&name, identity),
        target,
        store: Some(archive::store(place, &name, bucket, secret)),
    }))
}

/// The moment; none is the last.
fn moment(text: &str, now: Timestamp) -> Result<Option<Timestamp>, Health> {
    if text == LATEST {
        return Ok(None);
    }
    let wrong = |what: &str| {
        let message = format!("restore.time: {text} {what}");
        Health::Stalled(Reason::RestoreTimeUnavailable, message)
    };
    let moment: Timestamp = text.parse().map_err(|_| wrong("is no moment"))?;
    match moment > now {
        true => Err(wrong("is still to come")),
        false => Ok(Some(moment)),
    }
}

/// The folder of a Database's archive that has the moment.
fn kept<'a>(
    place: &Place<'_>,
    origin: Option<&'a Database>,
    name: &str,
    moment: Option<Timestamp>,
) -> Result<&'a str, Health> {
    let missing = |what: &str| {
        let message = format!("restore.from.database: Database {name} {what}");
        Health::Waiting(Reason::ReferenceMissing, message)
    };
    let origin = origin.ok_or_else(|| missing("does not exist in this namespace"))?;
    if origin.spec.archive.is_none() {
        return Err(missing("has no archive in its spec"));
    }
    let (theirs, ours) = (&origin.spec.version, &place.object.spec.version);
    if theirs != ours {
        return Err(Health::Stalled(
            Reason::MajorVersionMismatch,
            format!(
                "an archive is of one major version: Database {name} has {theirs}, and this one is to have {ours}; restore a backup instead"
            ),
        ));
    }
    let status = origin.status.as_ref();
    let identity = status.and_then(|it| it.identity.as_deref());
    let first = status.and_then(|it| it.archive.as_ref()?.first.as_ref());
    let (Some(identity), Some(first)) = (identity, first) else {
        return Err(missing("has no copy in its archive yet"));
    };
    match moment.filter(|it| *it < first.0) {
        Some(moment) => Err(Health::Stalled(
            Reason::RestoreTimeUnavailable,
            format!(
                "restore.time: {moment} is before what Database {name} has in its archive, which begins at {}",
                first.0
            ),
        )),
        None => Ok(identity),
    }
}

/// What tells one restore from another that is asked for instead: it begins anew.
pub(super) fn mark(place: &Place<'_>, initialised: bool) -> Option<String> {
    let (restore, _) = asked(place, initialised)?;
    // What has a schema always has a text.
    let asked = serde_json::to_string(restore).unwrap_or_default();
    Some(names::hash(asked.as_bytes())[..8].to_owned())
}

/// Whether servers that restore something else are to go first. None of them has ever served.
pub(super) fn is_another(cluster: &Cluster, mark: Option<&str>, initialised: bool) -> bool {
    let live = meta::annotation(cluster, ASKED);
    !initialised && !has_data(cluster) && live.is_some() && live != mark
}

/// Whether a server has come to its end with what it began with: CloudNativePG names it from then on.
fn has_data(cluster: &Cluster) -> bool {
    let status = cluster.status.as_ref();
    status.is_some_and(|it| !it.current_primary.is_empty())
}

/// How a restore is.
pub(super) fn health(
    place: &Place<'_>,
    seen: &Seen,
    initialised: bool,
    now: Timestamp,
) -> Option<Health> {
    let (restore, time) = asked(place, initialised)?;
    let cluster = seen.cluster.as_deref()?;
    if has_data(cluster) || place.object.spec.suspend {
        return None;
    }
    let what = match time {
        LATEST => "the last moment of the archive".to_owned(),
        time => format!("the moment {time}"),
    };
    let pods: Vec<_> = seen.instances.iter().filter(|it| restores(it)).collect();
    let failed = |pod: &&&Pod| {
        let status = pod.status.as_ref();
        status.and_then(|it| it.phase.as_deref()) == Some("Failed")
    };
    let job = pods.first().and_then(|it| meta::label(*it, "job-name"));
    let job = job.map_or_else(|| format!("{}-1-{RESTORES}", place.name), str::to_owned);
    let failed = pods.iter().filter(failed).count();
    if failed > 0 {
        return Some(Health::Waiting(
            Reason::RestoreFailed,
            format!(
                "restoring {what} failed {failed} times: 'kubectl logs job/{job}' says why. Correct restore, which has it begin anew"
            ),
        ));
    }
    let begun = cluster.metadata.creation_timestamp.as_ref();
    let limit = i64::try_from(restore.timeout.seconds()).unwrap_or(i64::MAX);
    if begun.is_some_and(|it| now.duration_since(it.0) > SignedDuration::from_secs(limit)) {
        return Some(Health::Stalled(
            Reason::RestoreFailed,
            format!(
                "restoring {what} has not come to its end within restore.timeout ({}), and goes on: 'kubectl logs job/{job}' says how far it is",
                restore.timeout
            ),
        ));
    }
    let stuck = pods
        .iter()
        .find_map(|it| health::stuck(it, &health::server(&place.object.spec)));
    Some(stuck.unwrap_or_else(|| {
        Health::Progressing(format!(
            "{what} is being restored: 'kubectl logs job/{job}' says how far it is"
        ))
    }))
}

fn restores(pod: &Pod) -> bool {
    meta::label(pod, JOB) == Some(RESTORES)
}
