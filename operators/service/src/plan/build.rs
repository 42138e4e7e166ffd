//! The Build of the commit that was taken up.

use kube::ResourceExt;
use trackbed_api::{
    Build, BuildSpec,
    build::{BuildSource, GitCommit},
    labels, names,
};
use trackbed_kit::{Config, meta};

use super::{
    View,
    source::{inputs, starts_elsewhere},
};

/// The Build to create, if the commit has neither Build nor release yet.
pub fn next(view: &View<'_>, config: &Config) -> Option<Build> {
    let git = view.object.spec.source.git.as_ref()?;
    let taken = view.status.source.as_ref()?;
    let commit = taken.commit.as_deref()?;
    // The spec went on and the source could not be asked since.
    if taken.inputs.as_deref() != Some(&inputs(view.object)) {
        return None;
    }
    let done = view.build().is_some()
        || view
            .seen
            .releases
            .iter()
            .any(|release| release.spec.sequence >= taken.sequence);
    if done {
        return None;
    }
    let name = names::build(&view.name(), taken.sequence.unsigned_abs());
    let mut build = Build::new(
        &name,
        BuildSpec {
            service: Some(view.object.name_any().into()),
            source: BuildSource {
                git: GitCommit {
                    url: git.url.clone(),
                    commit: commit.into(),
                    r#ref: taken.r#ref.clone(),
                    path: git.path.clone(),
                    secret_ref: git.secret_ref.clone(),
                },
            },
            build: view.object.spec.build.clone(),
            image: None,
            sequence: taken.sequence,
            start_elsewhere: starts_elsewhere(view.object),
            cancel: false,
        },
    );
    build.metadata = meta::owned(view.object, &name);
    if config.registry.remove_images {
        // From the first moment: there is no image yet that could be left behind.
        build.metadata.finalizers = Some(vec![names::IMAGE_FINALIZER.to_owned()]);
    }
    meta::insert(&mut build.metadata.labels, labels::SERVICE, view.name());
    meta::insert(
        &mut build.metadata.labels,
        labels::PROJECT,
        &view.place.project,
    );
    Some(build)
}
