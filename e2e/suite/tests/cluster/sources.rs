//! Repositories on a real forge: private ones, what of them is followed, and what is refused.

mod stub;

use std::fmt::Write as _;

use base64::{Engine, prelude::BASE64_STANDARD};
use suite::{
    Cluster, Value, eventually,
    forge::{Forge, HOST, Key},
};

use stub::{Manner, Stub};

const PAGE: &str = "FROM busybox:1.36\nCOPY . /www\nUSER 1000\nCMD [\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n";
/// Has a Build fail as soon as the source is there, where the Build is not the point.
const NO_BUILD: &str = "  build: {strategy: Dockerfile, dockerfile: none}\n";

fn follows(cluster: &Cluster, namespace: &str, name: &str, git: &str, more: &str) {
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  source: {{git: {{{git}, interval: 10s}}}}\n{more}"
    ));
}

fn password(cluster: &Cluster, namespace: &str, name: &str, password: &str) {
    cluster.apply(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\ntype: kubernetes.io/basic-auth\nstringData: {{username: any, password: \"{password}\"}}\n"
    ));
}

fn ssh(cluster: &Cluster, namespace: &str, name: &str, key: &Key, known_hosts: &str) {
    let mut text = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\ntype: kubernetes.io/ssh-auth\nstringData:\n"
    );
    for (key, value) in [
        ("ssh-privatekey", key.private.as_str()),
        ("known_hosts", known_hosts),
    ] {
        let value = Value::from(value);
        writeln!(text, "  {key}: {value}").expect("a String takes it");
    }
    cluster.apply(&text);
}

/// Waits until a commit is taken up, and gives `status.source`.
#[track_caller]
fn takes_up(cluster: &Cluster, namespace: &str, name: &str, commit: &str) -> Value {
    eventually(90, || {
        let service = cluster.get("service", namespace, name);
        let source = &service["status"]["source"];
        if source["commit"] == commit {
            Ok(source.clone())
        } else {
            Err(format!("{name}: {:#}", service["status"]))
        }
    })
}

#[test]
fn private_repositories_with_submodules_over_https_and_ssh() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("src-private");
    let forge = Forge::connect();
    let lib = forge.private("src-lib");
    let word = lib.write("word.txt", "from the submodule").push("main");
    let shop = forge.private("src-shop");
    shop.write("Dockerfile", PAGE);
    shop.submodule("lib", "../src-lib.git", &word);
    let commit = shop.push("main");

    let token = forge.token("src-private", &["read:repository"]);
    password(&cluster, &namespace, "token", &token);
    let key = Key::generate();
    shop.allow(&key);
    lib.allow(&key);
    ssh(&cluster, &namespace, "key", &key, &Forge::known_hosts());
    for (name, url, secret) in [("https", shop.https(), "token"), ("ssh", shop.ssh(), "key")] {
        let git = format!("url: \"{url}\", secretRef: {{name: {secret}}}");
        follows(&cluster, &namespace, name, &git, "");
    }
    for name in ["https", "ssh"] {
        takes_up(&cluster, &namespace, name, &commit);
        cluster.ready("service", &namespace, name, 300);
        let host = cluster.host(name, "src-private");
        cluster.answers(&host, "/lib/word.txt", 30, |answer| {
            answer.body == "from the submodule"
        });
    }
}

#[test]
fn branches_move_and_tags_commits_and_head_are_found() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("src-refs");
    let forge = Forge::connect();
    let repository = forge.repository("src-refs", false, "trunk");
    let first = repository
        .write("Dockerfile", PAGE)
        .push_as("trunk", "First");
    let second = repository
        .write("index.html", "two")
        .push_as("trunk", "Second");
    let tag = repository.tag("v1.0");
    assert_ne!(tag, second, "an annotated tag is an object of its own");
    let third = repository
        .write("index.html", "three")
        .push_as("release/1", "Third");

    let url = repository.https();
    for (name, git, more) in [
        ("head", String::new(), NO_BUILD),
        ("branch", ", branch: release/1".to_owned(), NO_BUILD),
        ("tag", ", tag: v1.0".to_owned(), ""),
        ("pin", format!(", commit: {first}"), ""),
    ] {
        let git = format!("url: \"{url}\"{git}");
        follows(&cluster, &namespace, name, &git, more);
    }
    let head = takes_up(&cluster, &namespace, "head", &second);
    assert_eq!(head["ref"], "refs/heads/trunk");
    let branch = takes_up(&cluster, &namespace, "branch", &third);
    assert_eq!(branch["ref"], "refs/heads/release/1");
    let tag = takes_up(&cluster, &namespace, "tag", &second);
    assert_eq!(tag["ref"], "refs/tags/v1.0");
    takes_up(&cluster, &namespace, "pin", &first);

    let fourth = repository.write("index.html", "four").push("release/1");
    let moved = takes_up(&cluster, &namespace, "branch", &fourth);
    assert_eq!(moved["sequence"], 2);
    for (name, message) in [("tag-1", "Second"), ("pin-1", "First")] {
        cluster.wait("build", &namespace, name, "condition=Ready", 300);
        let build = cluster.get("build", &namespace, name);
        assert_eq!(build["status"]["message"], message, "{build:#}");
    }
    // The others did not move with it.
    for (name, commit) in [("head", &second), ("tag", &second), ("pin", &first)] {
        let source = takes_up(&cluster, &namespace, name, commit);
        assert_eq!(source["sequence"], 1, "{name}");
    }
}

#[test]
fn a_monorepo_is_built_where_it_is_watched() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("src-mono");
    let repository = Forge::connect().repository("src-mono", false, "main");
    repository
        .write("apps/web/Dockerfile", PAGE)
        .write("apps/web/index.html", "one")
        .write("apps/api/index.html", "api")
        .write("libs/word.txt", "one");
    let one = repository.push("main");
    let git = format!(
        "url: \"{}\", path: apps/web, watchPaths: [\"apps/web/**\", \"libs/**\", \"!**/*.md\"]",
        repository.https()
    );
    follows(&cluster, &namespace, "web", &git, "");
    cluster.ready("service", &namespace, "web", 300);
    let host = cluster.host("web", "src-mono");
    cluster.answers(&host, "/", 30, |answer| answer.body == "one");

    // Beside what is watched, and inside but left out.
    for path in ["apps/api/index.html", "apps/web/README.md"] {
        let commit = repository.write(path, "two").push("main");
        let source = takes_up(&cluster, &namespace, "web", &commit);
        assert_eq!(source["builtCommit"], one.as_str(), "{source:#}");
        assert_eq!(source["sequence"], 1, "{source:#}");
        assert_eq!(cluster.list("build", &namespace).len(), 1, "{path}");
    }
    let library = repository.write("libs/word.txt", "two").push("main");
    let source = takes_up(&cluster, &namespace, "web", &library);
    assert_eq!(source["sequence"], 2, "{source:#}");
    let build = eventually(60, || {
        let builds = cluster.list("build", &namespace);
        let found = builds.iter().find(|it| it["metadata"]["name"] == "web-2");
        found
            .cloned()
            .ok_or_else(|| format!("{} builds", builds.len()))
    });
    assert_eq!(build["spec"]["source"]["git"]["commit"], library.as_str());
}

#[test]
fn what_a_forge_refuses_is_named_and_its_renames_are_followed() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("src-refused");
    let forge = Forge::connect();
    let mut repository = forge.private("src-refused");
    let commit = repository.write("index.html", "one").push("main");
    let (right, stranger) = (Key::generate(), Key::generate());
    repository.allow(&right);
    let token = forge.token("src-refused", &["read:repository"]);
    // The forge has a key of the first kind, and none of the second.
    let changed = format!("{HOST} {}", Key::of("ecdsa").public);
    let missing = format!("{HOST} {}", stranger.public);
    password(&cluster, &namespace, "token", &token);
    password(&cluster, &namespace, "wrong-token", "0123456789abcdef");
    let known = Forge::known_hosts();
    ssh(&cluster, &namespace, "key", &right, &known);
    ssh(&cluster, &namespace, "wrong-key", &stranger, &known);
    ssh(&cluster, &namespace, "changed", &right, &changed);
    ssh(&cluster, &namespace, "missing", &right, &missing);

    let (https, key) = (repository.https(), repository.ssh());
    for (name, url, secret, reason) in [
        ("token", &https, "wrong-token", "AuthenticationFailed"),
        ("key", &key, "wrong-key", "AuthenticationFailed"),
        ("changed", &key, "changed", "HostKeyMismatch"),
        ("missing", &key, "missing", "HostKeyMismatch"),
    ] {
        let git = format!("url: \"{url}\", secretRef: {{name: {secret}}}");
        follows(&cluster, &namespace, name, &git, NO_BUILD);
        let message = cluster.wait_reason("service", &namespace, name, reason, 60);
        assert!(message.contains(HOST), "{message}");
        assert!(!message.contains("0123456789"), "{message}");
    }
    // A forge redirects from an old name to the new one, which is no other place.
    repository.rename("src-renamed");
    let git = format!("url: \"{https}\", secretRef: {{name: token}}");
    follows(&cluster, &namespace, "renamed", &git, NO_BUILD);
    takes_up(&cluster, &namespace, "renamed", &commit);
}

#[test]
fn refs_that_look_like_options_are_refused_by_a_sentence() {
    let cluster = Cluster::connect();
    let service = |git: &str| {
        format!(
            "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: hostile, namespace: default}}\nspec: {{source: {{git: {{{git}}}}}}}\n"
        )
    };
    let url = format!("url: 'https://{HOST}/a/b.git'");
    for (git, sentence) in [
        (
            format!("{url}, branch: '--upload-pack=touch /tmp/owned'"),
            "branch or tag name",
        ),
        (
            format!("{url}, tag: '--upload-pack=id'"),
            "branch or tag name",
        ),
        (
            format!("{url}, branch: 'main:refs/heads/other'"),
            "branch or tag name",
        ),
        (
            format!("{url}, commit: '--upload-pack=id'"),
            "40 lower-case hexadecimal digits",
        ),
        (
            "url: '--upload-pack=id'".to_owned(),
            "https://, http:// or ssh:// URL",
        ),
        (
            format!("url: 'ssh://-oProxyCommand=id@{HOST}/a/b.git'"),
            "https://, http:// or ssh:// URL",
        ),
    ] {
        let said = cluster.refused(&service(&git));
        assert!(said.contains(sentence), "{git}: {said}");
    }
}

/// No request has the credential in it, in any of the forms that it is sent in.
fn has_nothing_of(stub: &Stub, secret: &str) {
    let pair = BASE64_STANDARD.encode(format!("any:{secret}"));
    for request in stub.seen() {
        let lower = request.to_ascii_lowercase();
        assert!(!lower.contains("authorization"), "{request}");
        assert!(
            !request.contains(secret) && !request.contains(&pair),
            "{request}"
        );
    }
}

#[test]
fn a_canary_credential_is_seen_by_no_other_server() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("src-canary");
    let forge = Forge::connect();
    let canary = forge.token("src-canary", &["read:repository"]);
    password(&cluster, &namespace, "canary", &canary);
    let secret = "secretRef: {name: canary}";

    // Where a host redirects to, before it was given the credential and after.
    let elsewhere = Stub::start(Manner::Wants);
    let target = elsewhere.url("a/b.git/info/refs?service=git-upload-pack");
    let at_once = Stub::start(Manner::Redirects(target.clone()));
    let later = Stub::start(Manner::WantsThenRedirects(target));
    for (name, host) in [("at-once", &at_once), ("later", &later)] {
        let git = format!("url: \"{}\", {secret}", host.url("a/b.git"));
        follows(&cluster, &namespace, name, &git, NO_BUILD);
        cluster.wait_reason("service", &namespace, name, "RedirectRefused", 60);
    }
    let given = later.seen();
    let pair = BASE64_STANDARD.encode(format!("any:{canary}"));
    assert!(
        given.iter().any(|request| request.contains(&pair)),
        "its own host gets it: {given:?}"
    );
    assert!(elsewhere.seen().is_empty(), "{:?}", elsewhere.seen());

    // Where a submodule is, on another host than its repository.
    let shop = forge.private("src-canary");
    shop.write("Dockerfile", PAGE);
    shop.submodule("lib", &elsewhere.url("a/b.git"), &"1".repeat(40));
    let commit = shop.push("main");
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Build\nmetadata: {{name: canary, namespace: {namespace}}}\nspec: {{source: {{git: {{url: \"{}\", commit: {commit}, {secret}}}}}}}\n",
        shop.https()
    ));
    let message = cluster.wait_reason("build", &namespace, "canary", "AuthenticationFailed", 120);
    assert!(message.contains("submodule lib"), "{message}");
    assert!(!elsewhere.seen().is_empty(), "the submodule was asked for");
    has_nothing_of(&elsewhere, &canary);

    // Nor does anybody read it in what is written about it.
    let kinds = "trackbed,jobs,pods,events,configmaps";
    let written = cluster.run(&["get", kinds, "-n", &namespace, "-o", "yaml"], "");
    assert!(!written.contains(&canary), "in an object");
    assert!(!cluster.story(&namespace).contains(&canary), "in a log");
}
