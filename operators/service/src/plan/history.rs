//! How much of the past is kept.

use std::sync::Arc;

use kube::ResourceExt;
use trackbed_api::{
    Build, Deployment,
    deployment::DeploymentPhase::{
        Active, Failed, Pending, PreDeploy, Progressing, RolledBack, Superseded,
    },
};
use trackbed_kit::meta;

use super::{View, phase};

fn limit(view: &View<'_>) -> usize {
    usize::try_from(view.object.spec.rollout.history_limit).unwrap_or(1)
}

/// Ended Builds beyond the limit. The one of the commit that was taken up last stays: it says how
/// that went. So do those whose image a release refers to, for as long as that is there: an image
/// goes with the last Build that has it, and none may be left for later to do so.
pub fn builds(view: &View<'_>) -> Vec<Arc<Build>> {
    let current = view.status.source.as_ref().map(|source| source.sequence);
    let mut ended: Vec<_> = view
        .seen
        .builds
        .iter()
        .filter(|build| meta::is_controlled_by(build.as_ref(), view.object))
        .filter(|build| Some(build.spec.sequence) != current)
        .filter(|build| {
            let status = build.status.as_ref();
            status.is_some_and(|status| status.phase.ended())
        })
        .cloned()
        .collect();
    ended.sort_by_key(|build| std::cmp::Reverse(build.spec.sequence));
    let mut old = ended.split_off(limit(view).min(ended.len()));
    old.retain(|build| !is_released(view, build));
    old
}

/// Whether a release refers to the image of a Build.
fn is_released(view: &View<'_>, build: &Build) -> bool {
    let image = build.status.as_ref().and_then(|it| it.image.as_deref());
    let mut releases = view.seen.releases.iter();
    let here = releases.any(|release| Some(release.spec.image.as_str()) == image);
    let promoted = view.seen.promoted.iter();
    image.is_some() && (here || promoted.into_iter().any(|it| Some(it.as_str()) == image))
}

/// Ended releases beyond the limit. Never the newest, the pinned, the serving one, or the newest
/// that ever served: they are what there is to go back to.
pub fn releases(view: &View<'_>) -> Vec<Arc<Deployment>> {
    let newest = view.newest().map(ResourceExt::name_any);
    let good = view
        .seen
        .releases
        .iter()
        .filter(|release| {
            let status = release.status.as_ref();
            status.is_some_and(|status| status.active_since.is_some())
        })
        .max_by_key(|release| release.spec.order())
        .map(|release| release.name_any());
    let pinned = view.object.spec.pin.as_ref().map(ToString::to_string);
    let kept = [newest, good, pinned];
    let mut ended: Vec<_> = view
        .seen
        .releases
        .iter()
        .filter(|release| meta::is_controlled_by(release.as_ref(), view.object))
        .filter(|release| !kept.contains(&Some(release.name_any())))
        .filter(|release| match phase(release) {
            Superseded | Failed | RolledBack => true,
            Pending | PreDeploy | Progressing | Active => false,
        })
        .cloned()
        .collect();
    ended.sort_by_key(|release| std::cmp::Reverse(release.spec.order()));
    ended.split_off(limit(view).min(ended.len()))
}
