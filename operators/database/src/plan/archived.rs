//! What is said of an archive: whether the log reaches it, and since when every moment can be restored.

use trackbed_api::{
    DatabaseStatus, archive::ArchiveStatus, common::condition::ARCHIVED, reason::Reason,
};
use trackbed_kit::{Fact, conditions::find};

use super::{Place, archive::lacks, said};
use crate::{
    barman_cloud::{ARCHIVING, COPIED, Window},
    cloudnative_pg::ClusterStatus,
    observe::Seen,
};

/// What CloudNativePG says when it does nothing more because a plugin does not answer.
const UNREACHED: &str = "interacting with plugins";

/// What is in the archive.
fn window<'a>(seen: &'a Seen, identity: &str) -> Option<&'a Window> {
    let status = seen.archive.store.as_deref()?.status.as_ref()?;
    status.server_recovery_window.get(identity)
}

/// For status.
pub(super) fn status(place: &Place<'_>, seen: &Seen, identity: &str) -> Option<ArchiveStatus> {
    place.object.spec.archive.as_ref()?;
    let window = window(seen, identity).cloned().unwrap_or_default();
    Some(ArchiveStatus {
        first: window.first_recoverability_point,
        last_copy: window.last_successful_backup_time,
    })
}

/// Whether the log reaches the archive, and there is a copy that it goes with.
pub(super) fn fact(
    place: &Place<'_>,
    seen: &Seen,
    identity: &str,
    before: &DatabaseStatus,
) -> Option<Fact> {
    let spec = &place.object.spec;
    spec.archive.as_ref()?;
    let lacks = unfit(place, seen);
    if lacks.is_none() && spec.suspend {
        return said(before, ARCHIVED);
    }
    let status = seen.cluster.as_deref().and_then(|it| it.status.as_ref());
    let window = window(seen, identity).cloned().unwrap_or_default();
    let failed = || failure(status?, &window).map(|it| (Reason::ArchiveFailed, it));
    if let Some((reason, message)) = lacks.or_else(failed) {
        return Some(Fact::new(ARCHIVED, Some(false), reason.as_str(), message));
    }
    // Servers without an archive say so, too.
    let archives = status.is_some_and(|it| says(it, ARCHIVING, "True").is_some());
    Some(match since(&window).filter(|_| archives) {
        Some(since) => Fact::new(ARCHIVED, Some(true), "Archived", since),
        None => Fact::new(
            ARCHIVED,
            None,
            "Progressing",
            "the first copy of all data is being taken",
        ),
    })
}

/// What there is none for.
fn unfit(place: &Place<'_>, seen: &Seen) -> Option<(Reason, String)> {
    if !place.config.served.archives() {
        return Some((
            Reason::BarmanCloudMissing,
            "archive needs CloudNativePG's plugin Barman Cloud, which this cluster did not have when the operator started".to_owned(),
        ));
    }
    lacks(place, seen).map(|it| (Reason::ReferenceMissing, it))
}

/// What goes wrong.
fn failure(status: &ClusterStatus, window: &Window) -> Option<String> {
    if status.phase.contains(UNREACHED) {
        return Some(format!(
            "CloudNativePG does not reach its plugin Barman Cloud, and no server takes over meanwhile: {}",
            status.phase_reason
        ));
    }
    // What CloudNativePG says of it is a number.
    let logs = format!(
        "'kubectl logs {} -c plugin-barman-cloud' has the reason",
        status.current_primary
    );
    if let Some(message) = says(status, ARCHIVING, "False") {
        return Some(format!(
            "the log does not reach the archive, and fills the volume: {message}; {logs}"
        ));
    }
    let missed = window.last_failed_backup_time.as_ref()?;
    let taken = window.last_successful_backup_time.as_ref();
    let why = says(status, COPIED, "False").map(|it| format!(": {it}; {logs}"));
    let since = since(window).unwrap_or_else(|| "no moment can be restored yet".to_owned());
    taken.is_none_or(|taken| taken.0 < missed.0).then(|| {
        format!(
            "the last copy of all data could not be taken{}; {since}",
            why.unwrap_or_default()
        )
    })
}

/// The words of a condition, if it is like this.
fn says<'a>(status: &'a ClusterStatus, kind: &str, like: &str) -> Option<&'a str> {
    let found = find(&status.conditions, kind).filter(|it| it.status == like)?;
    Some(&found.message)
}

fn since(window: &Window) -> Option<String> {
    let first = window.first_recoverability_point.as_ref()?;
    Some(format!("every moment since {} can be restored", first.0))
}
