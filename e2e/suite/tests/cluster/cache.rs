//! What a Service's builds keep for the next one.

use suite::{Cluster, Mirror, eventually};

/// A tag that no other test builds on.
const BASE: (&str, &str) = ("library/debian", "12-slim");
const DOCKERFILE: &str = "FROM debian:12-slim AS build\nRUN head -c 3000000 /dev/urandom > /kept && sha256sum < /kept > /sum\nCOPY words /words\nRUN mkdir /www && sha256sum < /kept | cmp - /sum && cat /words /sum > /www/index.html\nFROM busybox:1.36\nCOPY --from=build /www /www\nUSER 1000\nCMD [\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n";

#[test]
fn builds_find_layers_and_base_images_of_before() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("cache");
    let url = cluster.git_url("cache");
    let host = cluster.host("web", "cache");
    let publish = |words: &str| {
        let line = format!("{words}\n");
        cluster.publish("cache", &[("Dockerfile", DOCKERFILE), ("words", &line)]);
    };
    // Both in one answer: the next one may be that of the version before, until its pod is gone.
    let answers = |words: &str| {
        let answer = cluster.answers(&host, "/", 300, |it| it.body.starts_with(words));
        answer.body.lines().nth(1).expect("a sum").to_owned()
    };
    let log = |build: &str, step: &str| {
        let job = format!("job/{build}");
        let arguments = ["logs", "-n", &namespace, &job, "-c", step];
        // The kubelet may have the end of a log a moment later.
        eventually(30, || match cluster.run(&arguments, "") {
            log if log.is_empty() => Err("nothing".to_owned()),
            log => Ok(log),
        })
    };

    publish("one");
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: web, namespace: {namespace}}}\nspec: {{source: {{git: {{url: \"{url}\", interval: 10s}}}}}}\n"
    ));
    cluster.ready("service", &namespace, "web", 300);
    let sum = answers("one");
    let handed = log("web-1", "hand-over");
    assert!(handed.contains("layers uncompressed"), "{handed}");

    // The layer is that of before: another run of its line would have other bytes.
    publish("two");
    assert_eq!(answers("two"), sum);
    let built = log("web-2", "build");
    assert!(built.contains("in local cache"), "{built}");

    // A tag is asked for in every build. The sum is another one in each run.
    let newer = Mirror::of(&cluster).relabel(BASE.0, BASE.1, sum.get(..12).unwrap_or(&sum));
    publish("three");
    let third = answers("three");
    let built = log("web-3", "build");
    let found = format!("Found {newer} in local cache");
    assert!(built.contains(&found), "{found}: {built}");
    assert_ne!(third, sum, "another base image");
}
