//! Images go from the registry with the Builds that made them, and only those.

use suite::{Cluster, Value, eventually};

use crate::registry::Registry;

const DOCKERFILE: &str = "FROM busybox:1.36\nCOPY index.html /www/index.html\nUSER 1000\nCMD [\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n";

/// Publishes a page, waits until it is served, and gives the image.
fn serves(cluster: &Cluster, namespace: &str, name: &str, sequence: u8) -> String {
    let page = format!("{name} {sequence}");
    let repository = format!("image-removal-{name}");
    cluster.publish(
        &repository,
        &[("Dockerfile", DOCKERFILE), ("index.html", &page)],
    );
    if sequence == 1 {
        let url = cluster.git_url(&repository);
        cluster.apply(&format!(
            "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  source: {{git: {{url: \"{url}\", interval: 10s}}}}\n  rollout: {{historyLimit: 1}}\n"
        ));
    }
    let release = format!("{name}-{sequence}");
    let active = format!("jsonpath={{.status.activeDeployment}}={release}");
    cluster.wait("service", namespace, name, &active, 300);
    let build = cluster.get("build", namespace, &release);
    let image = build["status"]["image"].as_str().expect("an image");
    image.to_owned()
}

/// Waits until an image is gone, and what stood beside it.
#[track_caller]
fn goes(registry: &Registry, image: &str) {
    let (repository, digest) = image.split_once('@').expect("a digest");
    let tag = digest.replace(':', "-");
    let statement = format!("{tag}.provenance");
    eventually(120, || {
        let left = [digest, &tag, &statement].map(|it| registry.has(repository, it));
        match left {
            [false, false, false] => Ok(()),
            _ => Err(format!("{image}: {left:?}")),
        }
    });
}

fn is_there(registry: &Registry, image: &str) -> bool {
    let (repository, digest) = image.split_once('@').expect("a digest");
    registry.has(repository, digest)
}

/// Whether an Event with this reason is about a Build.
fn is_told(cluster: &Cluster, namespace: &str, build: &str, reason: &str) -> bool {
    cluster
        .list("events", namespace)
        .iter()
        .any(|event: &Value| event["reason"] == reason && event["involvedObject"]["name"] == build)
}

#[test]
fn images_go_with_the_builds_that_made_them() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("image-removal");
    let other = serves(&cluster, &namespace, "other", 1);
    let images = [1, 2, 3].map(|sequence| serves(&cluster, &namespace, "web", sequence));
    let registry = Registry::of(&cluster, &namespace);

    // Beyond the history: the oldest release goes, its Build after it, and the image before that.
    goes(&registry, &images[0]);
    eventually(60, || {
        let told = is_told(&cluster, &namespace, "web-1", "ImageRemoved");
        told.then_some(()).ok_or("no Event says so".to_owned())
    });
    assert!(is_there(&registry, &images[1]), "what to go back to");
    assert!(is_there(&registry, &images[2]), "what serves");
    assert!(is_there(&registry, &other), "of another Service");

    // The image of a Build of somebody's own stays, also when that is deleted.
    let commit =
        cluster.get("build", &namespace, "web-2")["spec"]["source"]["git"]["commit"].clone();
    let commit = commit.as_str().expect("a commit");
    let url = cluster.git_url("image-removal-web");
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Build\nmetadata: {{name: own, namespace: {namespace}}}\nspec: {{source: {{git: {{url: \"{url}\", commit: \"{commit}\"}}}}}}\n"
    ));
    cluster.ready("build", &namespace, "own", 300);
    let own = cluster.get("build", &namespace, "own")["status"]["image"].clone();
    let own = own.as_str().expect("an image");
    cluster.delete("build", &namespace, "own");

    cluster.delete("service", &namespace, "web");
    for image in &images[1..] {
        goes(&registry, image);
    }
    eventually(60, || {
        let builds = cluster.list("build", &namespace).len();
        (builds == 1)
            .then_some(())
            .ok_or(format!("{builds} Builds"))
    });
    assert!(is_there(&registry, &other), "of another Service");
    assert!(is_there(&registry, own), "of a Build of somebody's own");
    cluster.ready("service", &namespace, "other", 60);
}
