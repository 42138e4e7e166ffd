//! What an image says of where it comes from, in itself and beside it.

use suite::Cluster;

use crate::registry::Registry;

/// Makes no layer: the times of files are Kaniko's.
const DOCKERFILE: &str = "FROM busybox:1.36\nENV GREETING=hello\nUSER 1000\n";

#[test]
fn an_image_says_where_it_comes_from_and_the_same_commit_is_the_same_image() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("origin");
    let commit = cluster.publish("origin", &[("Dockerfile", DOCKERFILE)]);
    let url = cluster.git_url("origin");
    let mut images = Vec::new();
    for build in ["first", "second"] {
        cluster.apply(&format!(
            "apiVersion: trackbed.dev/v1alpha1
kind: Build
metadata: {{name: {build}, namespace: {namespace}}}
spec: {{source: {{git: {{url: \"{url}\", commit: {commit}}}}}}}
"
        ));
        cluster.ready("build", &namespace, build, 300);
        let status = cluster.get("build", &namespace, build)["status"].clone();
        images.push(status["image"].as_str().expect("an image").to_owned());
    }
    let (image, digest) = images[0].split_once('@').expect("a digest");
    let (_, again) = images[1].split_once('@').expect("a digest");
    assert_eq!(digest, again, "the same commit is the same image");

    let registry = Registry::of(&cluster, &namespace);
    let manifest = registry.get(image, &format!("manifests/{digest}"));
    let config = manifest["config"]["digest"]
        .as_str()
        .expect("a configuration");
    let labels = &registry.get(image, &format!("blobs/{config}"))["config"]["Labels"];
    assert_eq!(labels["org.opencontainers.image.revision"], commit.as_str());
    assert_eq!(labels["org.opencontainers.image.source"], url.as_str());

    let list = registry.get(image, &format!("manifests/{}", digest.replace(':', "-")));
    let artifact = list["manifests"][0]["digest"]
        .as_str()
        .expect("an artifact");
    let artifact = registry.get(image, &format!("manifests/{artifact}"));
    assert_eq!(artifact["subject"]["digest"], digest, "{artifact:#}");
    let layer = artifact["layers"][0]["digest"]
        .as_str()
        .expect("a statement");
    let statement = registry.get(image, &format!("blobs/{layer}"));
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    assert_eq!(
        format!(
            "sha256:{}",
            statement["subject"][0]["digest"]["sha256"]
                .as_str()
                .unwrap_or("-")
        ),
        digest
    );
    let definition = &statement["predicate"]["buildDefinition"];
    assert_eq!(
        definition["resolvedDependencies"][0]["digest"]["gitCommit"],
        commit.as_str()
    );
    let run = &statement["predicate"]["runDetails"]["metadata"];
    assert_eq!(run["invocationId"], format!("{namespace}/first"));
}
