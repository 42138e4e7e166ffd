//! The next release: of a new image, or of the same image with another configuration.

use trackbed_api::{
    Build, Deployment, DeploymentSpec,
    build::BuildPhase,
    common::SecretReference,
    labels, names,
    run::{EnvVar, RunSpec},
};
use trackbed_kit::meta;

use super::View;

/// The release to create, if there is something new to release.
pub fn next(view: &View<'_>) -> Option<Deployment> {
    let newest = view.newest().map(|release| &release.spec);
    let released = newest.map_or(0, |spec| spec.sequence);
    let spec = of_source(view, released).or_else(|| reconfigured(view, newest?));
    let cause = spec.is_none().then(|| cause(&view.seen.rotated));
    let spec = spec.or_else(|| rotated(view, newest?))?;
    let revision = spec.revision.unsigned_abs();
    let name = names::deployment(&view.name(), spec.sequence.unsigned_abs(), revision);
    let mut release = Deployment::new(&name, spec);
    release.metadata = meta::owned(view.object, &name);
    let labels = &mut release.metadata.labels;
    meta::insert(labels, labels::SERVICE, view.name());
    meta::insert(labels, labels::PROJECT, &view.place.project);
    if let Some(cause) = cause {
        meta::insert(&mut release.metadata.annotations, labels::CAUSE, cause);
    }
    Some(release)
}

/// What is later in the source's order than everything that was released.
fn of_source(view: &View<'_>, released: i64) -> Option<DeploymentSpec> {
    let taken = view.status.source.as_ref()?;
    if let Some(image) = taken.image.as_deref() {
        return (taken.sequence > released).then(|| DeploymentSpec {
            image: image.into(),
            commit: taken.commit.clone().map(Into::into),
            sequence: taken.sequence,
            ..blank(view)
        });
    }
    // Of commits that overtook each other only the latest counts.
    let (build, image) = view
        .seen
        .builds
        .iter()
        .filter(|build| build.spec.sequence > released)
        .filter_map(|build| Some((build.as_ref(), image(build)?)))
        .max_by_key(|(build, _)| build.spec.sequence)?;
    Some(DeploymentSpec {
        image: image.into(),
        build: build.metadata.name.clone().map(Into::into),
        commit: Some(build.spec.source.git.commit.clone()),
        sequence: build.spec.sequence,
        ..blank(view)
    })
}

/// The same image again, because how it runs has changed.
fn reconfigured(view: &View<'_>, newest: &DeploymentSpec) -> Option<DeploymentSpec> {
    let wanted = DeploymentSpec {
        image: newest.image.clone(),
        build: newest.build.clone(),
        commit: newest.commit.clone(),
        sequence: newest.sequence,
        revision: newest.revision,
        ..blank(view)
    };
    (wanted != *newest).then(|| DeploymentSpec {
        revision: newest.revision.saturating_add(1),
        ..wanted
    })
}

/// The same again, because what its variables refer to has changed.
fn rotated(view: &View<'_>, newest: &DeploymentSpec) -> Option<DeploymentSpec> {
    (!view.seen.rotated.is_empty()).then(|| DeploymentSpec {
        revision: newest.revision.saturating_add(1),
        ..newest.clone()
    })
}

fn cause(rotated: &[String]) -> String {
    format!("the content of {} changed", rotated.join(", "))
}

/// The image of a Build that succeeded.
fn image(build: &Build) -> Option<&str> {
    let status = build.status.as_ref()?;
    (status.phase == BuildPhase::Succeeded)
        .then_some(status.image.as_deref())
        .flatten()
}

/// A release with the Service's configuration and nothing to run yet.
fn blank(view: &View<'_>) -> DeploymentSpec {
    DeploymentSpec {
        service: view.name().into(),
        image: String::new().into(),
        pull_secret_ref: pull_secret(view),
        build: None,
        commit: None,
        sequence: 0,
        revision: 1,
        run: RunSpec {
            env: env(view),
            ..view.object.spec.run.clone()
        },
    }
}

/// The variables of a release: the Service's own, then what its environment (and the one that it is
/// a preview of) and its Project say of others.
fn env(view: &View<'_>) -> Vec<EnvVar> {
    let project = view.seen.project.as_deref().map(|project| &project.spec);
    let here = [
        Some(&view.place.environment),
        view.place.preview_of.as_ref(),
    ];
    let environment = here.into_iter().flatten().flat_map(|name| {
        let mut environments = project.iter().flat_map(|it| &it.environments);
        let found = environments.find(|it| it.name.as_str() == name);
        found.into_iter().flat_map(|it| &it.env)
    });
    let everywhere = project.iter().flat_map(|it| &it.env);
    let mut env = view.object.spec.run.env.clone();
    for shared in environment.chain(everywhere) {
        if env.iter().all(|known| known.name != shared.name) {
            env.push(shared.clone());
        }
    }
    env
}

fn pull_secret(view: &View<'_>) -> Option<SecretReference> {
    let image = view.object.spec.source.image.as_ref()?;
    image.pull_secret_ref.clone()
}
