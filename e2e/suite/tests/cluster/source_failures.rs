//! What is wrong with sources: each ends a real Build, or holds up a real Service, under its name
//! and with a sentence that says what to do.

use std::{path::Path, process::Command};

use suite::{
    Cluster, Credentials,
    builds::{Commit, Failure, condition},
    stub::{Silent, nobody},
};

const GOOD: &str = "FROM busybox:1.36\nCMD [\"true\"]\n";

/// Runs git in a clone.
fn git(clone: &Path, arguments: &[&str]) -> String {
    let author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
    // The cluster's git server takes a push in one piece only.
    let whole = ["-c", "http.postBuffer=268435456"];
    let output = Command::new("git")
        .current_dir(clone)
        .args([&author[..], &whole, arguments].concat())
        .output()
        .expect("git starts");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "git {arguments:?}: {error}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A commit of what a change in a clone left in its index.
fn commit_of(
    cluster: &Cluster,
    repository: &str,
    files: &[(&str, &str)],
    change: impl Fn(&Path),
) -> Commit {
    let commit = cluster.commit(repository, files);
    let clone = tempfile::tempdir().expect("a folder");
    let git = |arguments: &[&str]| git(clone.path(), arguments);
    let remote = format!("http://{}:3000/{repository}.git", cluster.node);
    git(&["clone", "--quiet", &remote, "."]);
    change(clone.path());
    git(&["commit", "--quiet", "--allow-empty", "-m", "By hand"]);
    git(&["push", "--quiet", "origin", "HEAD"]);
    Commit {
        id: git(&["rev-parse", "HEAD"]),
        ..commit
    }
}

/// A commit with a submodule whose place `.gitmodules` tells in this text.
fn with_submodule(cluster: &Cluster, repository: &str, modules: &str) -> Commit {
    let files = [("Dockerfile", GOOD), (".gitmodules", modules)];
    commit_of(cluster, repository, &files, |clone| {
        let link = format!("160000,{},lib", "1".repeat(40));
        git(clone, &["update-index", "--add", "--cacheinfo", &link]);
    })
}

/// A commit that is larger than the operator's limit, and that nothing makes smaller.
fn larger(cluster: &Cluster) -> Commit {
    let limit = cluster.setting("repositoryLimit");
    let mib: usize = limit.trim_end_matches("Mi").parse().expect("some MiB");
    commit_of(cluster, "source-larger", &[("Dockerfile", GOOD)], |clone| {
        let mut bytes = vec![0; (mib + 1) << 20];
        rand::fill(&mut bytes[..]);
        std::fs::write(clone.join("film.bin"), bytes).expect("a file");
        git(clone, &["add", "film.bin"]);
    })
}

#[test]
fn commits_that_cannot_be_fetched() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("source-commits");
    let good = cluster.commit("source-commits", &[("Dockerfile", GOOD)]);
    let of = |url: String| Commit {
        url,
        id: good.id.clone(),
    };
    let silent = Silent::start();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n";
    let lfs = [
        ("Dockerfile", GOOD),
        (
            ".gitattributes",
            "*.bin filter=lfs diff=lfs merge=lfs -text\n",
        ),
        ("model.bin", pointer),
    ];
    let broken = with_submodule(&cluster, "source-broken-modules", "[submodule\n");
    let hostile = "[submodule \"lib\"]\n\tpath = lib\n\turl = file:///etc\n";
    let hostile = with_submodule(&cluster, "source-hostile-modules", hostile);
    let unknown = Commit {
        id: format!("{:040}", 1),
        ..good.clone()
    };
    // Well-formed for the schema, which does not count that far.
    let port = of("http://git.trackbed-git:99999/acme/shop.git".to_owned());
    let unreachable = of(format!("http://{}/acme/shop.git", nobody()));
    let hanging = of(format!("http://{}/acme/shop.git", silent.address));
    let cases = [
        // Those that take longest first.
        ("unreachable", unreachable, ""),
        ("hanging", hanging, "timeout: 15s"),
        ("larger", larger(&cluster), ""),
        ("nowhere", of(cluster.git_url("source-nowhere")), ""),
        ("locked", of(cluster.git_url("private/source-locked")), ""),
        ("unknown", unknown, ""),
        ("lfs", cluster.commit("source-lfs", &lfs), ""),
        ("modules", broken, ""),
        ("hostile", hostile, ""),
        ("port", port, ""),
    ];
    for (name, commit, settings) in &cases {
        cluster.build(&namespace, name, commit, "", settings);
    }
    let fails = |name: &str, expected: Failure<'_>| {
        cluster.fails(&namespace, name, 240, &expected);
    };
    let fetch = |reason, says| Failure::of(reason, "fetch", says);
    fails(
        "hanging",
        fetch("SourceTimeout", &["within 15s", "build.timeout"])
            .passing()
            .without_exit(),
    );
    assert!(silent.taken() > 0, "somebody listened");
    fails(
        "larger",
        fetch("RepositoryTooLarge", &["MiB", "remove large files"]),
    );
    fails(
        "nowhere",
        fetch("RepositoryNotFound", &["source-nowhere", "does not exist"]),
    );
    fails(
        "locked",
        fetch("AuthenticationFailed", &["source.git.secretRef"]),
    );
    fails("unknown", fetch("CommitNotFound", &["has no commit 0000"]));
    fails(
        "lfs",
        fetch("LfsNotSupported", &["model.bin", "build.command"]),
    );
    fails("modules", fetch("SubmoduleInvalid", &[".gitmodules"]));
    fails(
        "hostile",
        fetch("InvalidUrl", &["submodule lib", "file:///etc"]),
    );
    fails("port", fetch("InvalidUrl", &["99999", "https://"]));
    fails(
        "unreachable",
        fetch("HostUnreachable", &["cannot be reached", "attempt 3 of 3"]).passing(),
    );
    assert_eq!(attempts(&cluster, &namespace, "unreachable"), 3);
    assert_eq!(
        attempts(&cluster, &namespace, "hanging"),
        1,
        "no time is left"
    );
    cluster.next_build_works(&namespace);
}

fn attempts(cluster: &Cluster, namespace: &str, name: &str) -> i64 {
    let build = cluster.get("build", namespace, name);
    build["status"]["attempts"].as_i64().unwrap_or_default()
}

#[test]
fn secrets_that_are_missing_or_wrong() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("source-secrets");
    let commit = Commit {
        id: cluster.publish("private/source-secrets", &[("Dockerfile", GOOD)]),
        url: cluster.git_url("private/source-secrets"),
    };
    let secret = |name: &str, kind: &str, data: &str| {
        cluster.apply(&format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\ntype: {kind}\nstringData: {{{data}}}\n"
        ));
    };
    let Credentials { username, password } = Credentials::of_the_git_server();
    let right = format!("username: \"{username}\", password: \"{password}\"");
    let of = |name: &str| format!(", secretRef: {{name: {name}}}");
    secret("empty", "Opaque", "other: x");
    secret(
        "wrong",
        "kubernetes.io/basic-auth",
        "username: ada, password: canary",
    );
    secret(
        "key",
        "kubernetes.io/ssh-auth",
        "ssh-privatekey: none, known_hosts: none",
    );
    cluster.build(&namespace, "missing", &commit, &of("absent"), "");
    cluster.build(&namespace, "empty", &commit, &of("empty"), "");
    cluster.build(&namespace, "wrong", &commit, &of("wrong"), "");
    cluster.build(&namespace, "key", &commit, &of("key"), "");
    let file = "secrets: [{name: token, secretKeyRef: {name: files, key: token}}]";
    secret("login", "kubernetes.io/basic-auth", &right);
    cluster.build(&namespace, "file", &commit, &of("login"), file);

    // What is missing is waited for, and costs no place.
    for (name, says) in [
        ("missing", "absent"),
        ("empty", "Secret empty"),
        ("key", "kubernetes.io/basic-auth"),
        ("file", "Secret files"),
    ] {
        let message = cluster.wait_reason("build", &namespace, name, "SecretInvalid", 120);
        println!("{name}: SecretInvalid: {message}");
        assert!(message.contains(says), "{message}");
        let build = cluster.get("build", &namespace, name);
        assert_eq!(
            condition(&build, "Reconciling")["status"],
            "True",
            "{build:#}"
        );
        assert!(
            cluster.build_pods(&namespace, name).is_empty(),
            "no pod yet"
        );
    }
    let expected = Failure::of(
        "AuthenticationFailed",
        "fetch",
        &["refused", "source.git.secretRef"],
    );
    cluster.fails(&namespace, "wrong", 120, &expected);
    let story = cluster.get("build", &namespace, "wrong").to_string();
    assert!(!story.contains("canary"), "no credential is told: {story}");
    // A Secret keeps its type for life.
    cluster.delete("secret", &namespace, "key");
    secret("key", "kubernetes.io/basic-auth", &right);
    secret("absent", "kubernetes.io/basic-auth", &right);
    secret("empty", "Opaque", &right);
    secret("files", "Opaque", "token: x");
    for name in ["missing", "empty", "key", "file"] {
        cluster.phase(&namespace, name, "Succeeded", 240);
    }
    cluster.next_build_works(&namespace);
}

/// A Service of a repository.
fn follows(cluster: &Cluster, namespace: &str, name: &str, source: &str) {
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  source: {{{source}}}\n  run: {{command: [httpd, -f, -p, \"8080\", -h, /etc]}}\n"
    ));
}

#[test]
fn services_whose_sources_hang_or_lack_something_delay_no_other() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("source-services");
    let good = cluster.commit("source-services", &[("Dockerfile", GOOD)]);
    // More than there are places for hosts that nobody knows yet.
    let silent: Vec<Silent> = (0..9).map(|_| Silent::start()).collect();
    let git = |url: &str, more: &str| format!("git: {{url: \"{url}\", interval: 10s{more}}}");
    for (number, host) in silent.iter().enumerate() {
        let url = format!("http://{}/acme/shop.git", host.address);
        follows(
            &cluster,
            &namespace,
            &format!("hangs-{number}"),
            &git(&url, ""),
        );
    }
    let tag = format!("{}:5000/library/busybox:none", cluster.node);
    let image = format!("image: {{reference: \"{tag}\", interval: 10s}}");
    follows(&cluster, &namespace, "image", &image);
    let unreachable = format!("http://{}/acme/shop.git", nobody());
    follows(&cluster, &namespace, "unreachable", &git(&unreachable, ""));
    let secret = git(&good.url, ", secretRef: {name: absent}");
    follows(&cluster, &namespace, "secret", &secret);
    let lost = git(&good.url, &format!(", commit: \"{:040}\"", 1));
    follows(&cluster, &namespace, "lost", &lost);
    follows(&cluster, &namespace, "good", &git(&good.url, ""));

    cluster.ready("service", &namespace, "good", 240);
    for (name, reason, says) in [
        ("image", "ImageNotFound", "busybox:none"),
        ("unreachable", "HostUnreachable", "cannot be reached"),
        ("secret", "SecretInvalid", "absent"),
        ("lost", "CommitNotFound", "has no commit 0000"),
        ("hangs-0", "SourceTimeout", "did not send"),
    ] {
        let message = cluster.wait_reason("service", &namespace, name, reason, 120);
        println!("{name}: {reason}: {message}");
        assert!(message.contains(says), "{message}");
    }
    assert!(silent[0].taken() > 0, "somebody listened");
    cluster.no_build_runs(&namespace);
}
