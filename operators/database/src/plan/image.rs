//! The image that a server runs, and what works on its data. A tag may stand for another image on
//! another node, or tomorrow: what has answered once stays, by digest, until a newer one is asked for.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, Secret};
use oci_distribution::Reference;
use trackbed_api::{Database, DatabaseSpec, DatabaseStatus, database::Engine};
use trackbed_kit::{Config, meta};

use super::{Place, health, update};
use crate::observe::Seen;

/// Annotation on the retained Secret and on pods: the image of the server.
pub const IMAGE: &str = "trackbed.dev/image";

/// What the operator's settings say for a version.
pub fn named(spec: &DatabaseSpec, config: &Config) -> String {
    let images = &config.images;
    let engine = spec.engine.as_str().to_lowercase();
    if let Some(image) = images.versions.get(&format!("{engine}-{}", spec.version)) {
        return image.clone();
    }
    let repository = match spec.engine {
        Engine::Postgres => &images.postgres,
        Engine::Redis => &images.redis,
        Engine::Valkey => &images.valkey,
    };
    format!("{repository}:{}", spec.version)
}

/// The image: the newest that was asked for and found, or the one that it has, or the one that the
/// settings say, to which it goes back if nobody has its own any more: a server is worth more than a
/// minor version.
pub(super) fn of(
    object: &Database,
    seen: &Seen,
    config: &Config,
    before: &DatabaseStatus,
    found: Option<&update::Found>,
) -> String {
    let kept = || {
        let secret = seen.secret.as_ref()?;
        let image = meta::annotation(secret, IMAGE)?;
        is_digest(image).then(|| image.to_owned())
    };
    let pod = seen.pod.as_deref();
    found
        .map(|it| it.image.clone())
        .or_else(|| began_with(pod?, before))
        .or_else(|| kept().filter(|kept| !pod.is_some_and(|pod| is_gone(pod, kept))))
        .or_else(|| update::first_found(object, seen))
        .unwrap_or_else(|| named(&object.spec, config))
}

/// The image of a pod that was made with a tag, once it answers. A container that starts again there
/// gets whatever the tag stands for by then; an update that was found later counts for more.
fn began_with(pod: &Pod, before: &DatabaseStatus) -> Option<String> {
    if meta::annotation(pod, IMAGE).is_some_and(is_digest) || !health::is_ready(pod) {
        return None;
    }
    let found = before.updates.as_ref().and_then(|it| it.found.as_ref());
    let made = pod.metadata.creation_timestamp.as_ref();
    if found.is_some_and(|found| made.is_none_or(|made| made.0 <= found.0)) {
        return None;
    }
    running(pod)
}

/// Whether a pod cannot have its image because the registry has none of that digest. Whoever cannot
/// be asked, or does not let in, may do so later.
fn is_gone(pod: &Pod, image: &str) -> bool {
    meta::annotation(pod, IMAGE) == Some(image)
        // The supervisor's, which comes first, is another image.
        && health::pulls(server(pod).into_iter()).is_some_and(|why| {
            ["not found", "manifest unknown"]
                .iter()
                .any(|it| why.contains(it))
        })
}

/// Whether an image is given by its content.
pub(super) fn is_digest(image: &str) -> bool {
    image.contains('@')
}

/// The image that a pod's server has, by digest. `None`: it has none, or the node does not say.
pub(super) fn running(pod: &Pod) -> Option<String> {
    let asked = pod.spec.as_ref()?.containers.first()?;
    resolved(asked.image.as_deref()?, &server(pod)?.image_id)
}

/// How the server's container is.
fn server(pod: &Pod) -> Option<&ContainerStatus> {
    let asked = pod.spec.as_ref()?.containers.first()?;
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find(|it| it.name == asked.name)
}

/// An image by the digest that a node says, which may know it by the name of a mirror. One that was
/// loaded there by hand could be had nowhere else by the digest that the node made up.
fn resolved(asked: &str, id: &str) -> Option<String> {
    let id = id.strip_prefix("docker-pullable://").unwrap_or(id);
    let asked: Reference = asked.parse().ok()?;
    let found: Reference = id.parse().ok()?;
    let (registry, repository) = (asked.registry(), asked.repository());
    let digest = found
        .digest()
        .filter(|_| repository == found.repository())?;
    Some(format!("{registry}/{repository}@{digest}"))
}

/// Has the retained Secret say it: the Database that takes the data up goes on with it. A tag is
/// written too: what is left out would stay as somebody wrote it by hand.
pub(super) fn mark(place: &Place<'_>, secret: &mut Secret) {
    meta::insert(&mut secret.metadata.annotations, IMAGE, &place.image);
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn only_what_can_be_pulled_again_is_a_digest() {
        let id = |name: &str| format!("{name}@{DIGEST}");
        let full = id("docker.io/library/postgres");
        for (asked, id, expected) in [
            ("docker.io/library/postgres:17", full.clone(), Some(&full)),
            ("postgres:17", full.clone(), Some(&full)),
            (&full, full.clone(), Some(&full)),
            (
                "postgres:17",
                format!("docker-pullable://{full}"),
                Some(&full),
            ),
            ("postgres:17", DIGEST.to_owned(), None),
            (
                "postgres:17",
                id("docker.io/library/import-2026-01-01"),
                None,
            ),
            ("mirror.example.com/postgres:17", full.clone(), None),
            (
                "mirror.example.com/library/postgres:17",
                full.clone(),
                Some(&id("mirror.example.com/library/postgres")),
            ),
            ("postgres:17", String::new(), None),
        ] {
            assert_eq!(resolved(asked, &id).as_ref(), expected, "{asked} {id}");
        }
    }
}
