//! The same commit is built again when somebody wants that.

use suite::{Cluster, eventually};

const DOCKERFILE: &str = "FROM busybox:1.36\nARG WORKS=no\nRUN test \"$WORKS\" = yes && mkdir /www && echo built > /www/index.html\nUSER 1000\nCMD [\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n";

fn apply(cluster: &Cluster, namespace: &str, arguments: &str) {
    let url = cluster.git_url("again");
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: web, namespace: {namespace}}}\nspec:\n  source: {{git: {{url: \"{url}\"}}}}\n  build: {{args: {{{arguments}}}}}\n"
    ));
}

#[test]
fn a_commit_is_built_again_on_demand() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("again");
    let commit = cluster.publish("again", &[("Dockerfile", DOCKERFILE)]);
    let of = |name: &str| {
        let build = cluster.get("build", &namespace, name);
        assert_eq!(build["spec"]["source"]["git"]["commit"], *commit, "{name}");
        build["metadata"]["uid"].as_str().map(str::to_owned)
    };

    let steps = |name: &str| {
        let job = cluster.get("job", &namespace, name);
        let containers = &job["spec"]["template"]["spec"]["initContainers"];
        let names = containers.as_array().expect("containers").iter();
        let names = names.map(|it| it["name"].as_str().unwrap_or_default().to_owned());
        names.collect::<Vec<_>>()
    };

    // What failed is made anew by deleting it.
    apply(&cluster, &namespace, "");
    cluster.phase(&namespace, "web-1", "Failed", 300);
    let first = of("web-1");
    cluster.delete("build", &namespace, "web-1");
    eventually(60, || {
        let found = cluster.list("build", &namespace);
        let uids: Vec<_> = found
            .iter()
            .map(|it| it["metadata"]["uid"].as_str())
            .collect();
        match uids[..] {
            [Some(uid)] if Some(uid) != first.as_deref() => Ok(()),
            _ => Err(format!("{uids:?} after {first:?}")),
        }
    });
    cluster.phase(&namespace, "web-1", "Failed", 300);

    // What is built is built again by an argument.
    apply(&cluster, &namespace, "WORKS: \"yes\"");
    cluster.ready("service", &namespace, "web", 300);
    assert_eq!(
        steps("web-2"),
        ["fetch", "make-room", "build", "hand-over"],
        "a failed build trims no cache"
    );
    apply(&cluster, &namespace, "WORKS: \"yes\", AGAIN: \"1\"");
    cluster.phase(&namespace, "web-3", "Succeeded", 300);
    of("web-2");
    of("web-3");
    assert_eq!(steps("web-3"), ["fetch", "build", "hand-over"]);
}
