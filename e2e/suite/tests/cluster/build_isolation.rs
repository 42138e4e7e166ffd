//! The container that runs a user's `RUN` lines has nothing to steal.

use suite::{Cluster, Credentials, builds::Failure};

/// Looks for `needles`, each given in two parts so that the search does not find itself.
fn dockerfile(needles: &[&str]) -> String {
    let mut text = String::from(
        "FROM busybox:1.36\nRUN mkdir -p /www; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline > /processes 2>/dev/null; env > /environment; true\n",
    );
    text += "RUN find / -path '*serviceaccount*' -not -path '/proc/*' -not -path '/sys/*' > /www/tokens 2>/dev/null; true\n";
    for (at, needle) in needles.iter().enumerate() {
        let (left, right) = needle.split_at(needle.len() / 2);
        text += &format!(
            "RUN a='{left}'; b='{right}'; for place in $(ls / | grep -v -e '^proc$' -e '^sys$' -e '^dev$'); do grep -rlsF \"$a$b\" \"/$place\"; done > /www/found-{at}; true\n"
        );
    }
    text += "RUN grep Seccomp_filters /proc/self/status | tr -dc 0-9 > /www/filters\n";
    text += "RUN echo searched > /www/done\nUSER 1000\nCMD [\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n";
    text
}

#[test]
fn a_build_that_searches_for_credentials_finds_none() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("canary");
    let login = Credentials::of_the_git_server();
    let template = "--template={{index .data \".dockerconfigjson\" | base64decode}}";
    let arguments = [
        "get",
        "secret",
        "trackbed-registry-push",
        "-n",
        &namespace,
        template,
    ];
    let config = cluster.run(&arguments, "");
    let config: suite::Value = serde_json::from_str(&config).expect("a Docker configuration");
    let entry = config["auths"]
        .as_object()
        .and_then(|auths| auths.values().next().cloned());
    let entry = entry.expect("credentials of the registry");
    let mut needles = vec![login.password.clone()];
    needles.extend(
        ["auth", "password"]
            .iter()
            .filter_map(|key| entry[key].as_str().map(str::to_owned)),
    );
    assert!(
        needles.len() >= 2,
        "something to look for: {}",
        needles.len()
    );
    let needles: Vec<&str> = needles.iter().map(String::as_str).collect();

    cluster.publish("private/canary", &[("Dockerfile", &dockerfile(&needles))]);
    cluster.apply(&format!(
        r#"
apiVersion: v1
kind: Secret
metadata: {{name: git-login, namespace: {namespace}}}
type: kubernetes.io/basic-auth
stringData: {{username: "{}", password: "{}"}}
---
apiVersion: trackbed.dev/v1alpha1
kind: Service
metadata: {{name: thief, namespace: {namespace}}}
spec:
  source: {{git: {{url: "{}", interval: 10s, secretRef: {{name: git-login}}}}}}
"#,
        login.username,
        login.password,
        cluster.git_url("private/canary"),
    ));
    cluster.wait("service", &namespace, "thief", "condition=Ready", 600);
    let host = cluster.host("thief", "canary");
    let read = |path: &str| {
        cluster
            .answers(&host, path, 30, |answer| answer.status == 200)
            .body
    };
    assert_eq!(
        read("/done").trim(),
        "searched",
        "the search ran to its end"
    );
    assert_eq!(read("/tokens").trim(), "", "no ServiceAccount token");
    for at in 0..needles.len() {
        assert_eq!(read(&format!("/found-{at}")).trim(), "", "credential {at}");
    }
    assert_eq!(read("/filters"), "2", "the runtime's, and that of sync");
}

#[test]
fn a_secret_of_a_build_is_a_file_of_the_build_and_nowhere_else() {
    const CANARY: &str = "canary-of-a-build-secret";
    /// Of the canary, as `printf … | sha256sum` prints it.
    const SUM: &str = "bb70fd8d3b37fb4bbc75eb16e54a0907629971377f2ee70c34e605bad61778f9";
    let cluster = Cluster::connect();
    let namespace = cluster.project("build-secret");
    cluster.publish(
        "build-secret",
        &[(
            "Dockerfile",
            "FROM busybox:1.36\nRUN mkdir /www && sha256sum < /run/secrets/npm-token > /www/sum\nUSER 1000\nCMD [\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n",
        )],
    );
    let url = cluster.git_url("build-secret");
    cluster.apply(&format!(
        "apiVersion: v1
kind: Secret
metadata: {{name: npm, namespace: {namespace}}}
stringData: {{token: {CANARY}}}
---
apiVersion: trackbed.dev/v1alpha1
kind: Service
metadata: {{name: web, namespace: {namespace}}}
spec:
  source: {{git: {{url: \"{url}\"}}}}
  build: {{secrets: [{{name: npm-token, secretKeyRef: {{name: npm, key: token}}}}]}}
"
    ));
    cluster.ready("service", &namespace, "web", 300);
    let host = cluster.host("web", "build-secret");
    let answer = cluster.answers(&host, "/sum", 30, |answer| answer.status == 200);
    assert!(
        answer.body.starts_with(SUM),
        "the build read it: {answer:?}"
    );
    let place = ["exec", "-n", &namespace, "deploy/web", "--"];
    let look = [
        &place[..],
        &["sh", "-c", "find / -xdev -name npm-token 2>/dev/null; true"],
    ]
    .concat();
    assert_eq!(cluster.run(&look, "").trim(), "", "not in the image");
    let kinds = "builds.trackbed.dev,jobs,pods,events";
    let all = cluster.run(&["get", kinds, "-n", &namespace, "-o", "yaml"], "");
    assert!(!all.contains(CANARY), "in no object");
    let log = ["logs", "-n", &namespace, "job/web-1", "--all-containers"];
    assert!(!cluster.run(&log, "").contains(CANARY), "in no log");
}

#[test]
fn a_link_that_a_build_leaves_for_the_push_is_refused() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("astray");
    let commit = cluster.commit(
        "astray",
        &[(
            "Dockerfile",
            "FROM busybox:1.36\nRUN mkdir -p /workspace/image/blobs/sha256 && ln -s /etc/trackbed/registry/config.json /workspace/image/blobs/sha256/astray\nCMD [\"true\"]\n",
        )],
    );
    cluster.build(&namespace, "link", &commit, "", "");
    let expected = Failure::of(
        "BuildFailed",
        "hand-over",
        &["blobs/sha256/astray", "neither a file nor a folder"],
    );
    cluster.fails(&namespace, "link", 300, &expected);
}
