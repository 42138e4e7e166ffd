//! The container that runs a user's `RUN` lines has nothing to steal.

use suite::{Cluster, Credentials};

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
}
