//! Pushes that forges tell of: from a real one, and in the words of the others.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use suite::{
    Answer, Cluster, Value, eventually,
    forge::{Forge, Repository},
};

const SECRET: &str = "it is a secret to everybody";
const DOCKERFILE: &str = "FROM busybox:1.36\nCOPY Dockerfile /www/index.html\nUSER 1000\nCMD [\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n";
/// Far more than a test takes: what is taken up before was told by a webhook.
const NEVER: &str = "24h";

fn apply(cluster: &Cluster, namespace: &str, url: &str, more: &str) {
    cluster.apply(&format!(
        "apiVersion: v1
kind: Secret
metadata: {{name: hook, namespace: {namespace}}}
stringData: {{secret: {SECRET:?}}}
---
apiVersion: trackbed.dev/v1alpha1
kind: Service
metadata: {{name: web, namespace: {namespace}}}
spec:
  source:
    git: {{url: \"{url}\", branch: main, interval: {NEVER}, webhook: {{secretRef: {{name: hook}}}}{more}}}
"
    ));
}

fn taken(cluster: &Cluster, namespace: &str, name: &str) -> Value {
    cluster.get("service", namespace, name)["status"]["source"]["commit"].clone()
}

fn takes_up(cluster: &Cluster, namespace: &str, name: &str, commit: &str) {
    eventually(60, || match taken(cluster, namespace, name) {
        found if found == commit => Ok(()),
        found => Err(format!("{name} is at {found}, not at {commit}")),
    });
}

/// The receiver, as forges reach it.
struct Door<'a> {
    cluster: &'a Cluster,
    host: String,
    path: String,
}

impl<'a> Door<'a> {
    /// The address that the Service shows.
    fn of(cluster: &'a Cluster, namespace: &str, name: &str) -> Self {
        let service = cluster.get("service", namespace, name);
        let shown = service["status"]["webhook"].as_str().expect("an address");
        let (_, rest) = shown.split_once("://").expect("a URL");
        let (host, path) = rest.split_once('/').expect("a path");
        Self {
            cluster,
            host: host.split(':').next().expect("a host").to_owned(),
            path: format!("/{path}"),
        }
    }

    fn knock(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.cluster
            .post(&self.host, path, headers, body.as_bytes())
    }

    fn deliver(&self, headers: &[(&str, &str)], body: &str) -> Answer {
        self.knock(&self.path, headers, body)
    }
}

fn sign(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key will do");
    mac.update(body.as_bytes());
    let digest = mac.finalize().into_bytes();
    digest.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes it");
        hex
    })
}

/// A forge's headers and payload for a push of `commit` to `main` of `ada/REPOSITORY`.
fn delivery(forge: &str, repository: &str, commit: &str) -> (Vec<(&'static str, String)>, String) {
    let web = format!("https://forge.example.com/{repository}");
    let hub = format!(
        r#"{{"ref": "refs/heads/main", "before": "{commit}", "after": "{commit}", "commits": [], "repository": {{"full_name": "{repository}", "clone_url": "{web}.git", "ssh_url": "git@forge.example.com:{repository}.git", "html_url": "{web}"}}}}"#
    );
    let lab = format!(
        r#"{{"object_kind": "push", "ref": "refs/heads/main", "after": "{commit}", "checkout_sha": "{commit}", "project": {{"path_with_namespace": "{repository}", "git_http_url": "{web}.git", "git_ssh_url": "git@forge.example.com:{repository}.git", "web_url": "{web}"}}}}"#
    );
    let cloud = format!(
        r#"{{"repository": {{"full_name": "{repository}", "links": {{"html": {{"href": "{web}"}}}}}}, "push": {{"changes": [{{"new": {{"type": "branch", "name": "main", "target": {{"hash": "{commit}"}}}}, "old": null}}]}}}}"#
    );
    let center = format!(
        r#"{{"eventKey": "repo:refs_changed", "repository": {{"slug": "shop", "links": {{"clone": [{{"href": "{web}.git", "name": "http"}}]}}}}, "changes": [{{"ref": {{"id": "refs/heads/main", "displayId": "main", "type": "BRANCH"}}, "toHash": "{commit}", "type": "UPDATE"}}]}}"#
    );
    let own = format!(r#"{{"url": "{web}", "ref": "refs/heads/main", "commit": "{commit}"}}"#);
    let signed = |event: Option<(&'static str, &str)>, header, prefix: &str, body: String| {
        let event = event.map(|(name, value)| (name, value.to_owned()));
        let signature = format!("{prefix}{}", sign(SECRET, &body));
        (
            event.into_iter().chain([(header, signature)]).collect(),
            body,
        )
    };
    match forge {
        "GitHub" => signed(
            Some(("x-github-event", "push")),
            "x-hub-signature-256",
            "sha256=",
            hub,
        ),
        "Gitea" => signed(
            Some(("x-gitea-event", "push")),
            "x-gitea-signature",
            "",
            hub,
        ),
        "Forgejo" => signed(
            Some(("x-forgejo-event", "push")),
            "x-forgejo-signature",
            "",
            hub,
        ),
        "GitLab" => (
            vec![
                ("x-gitlab-event", "Push Hook".to_owned()),
                ("x-gitlab-token", SECRET.to_owned()),
            ],
            lab,
        ),
        "Bitbucket Cloud" => signed(
            Some(("x-event-key", "repo:push")),
            "x-hub-signature",
            "sha256=",
            cloud,
        ),
        "Bitbucket Data Center" => {
            let event = Some(("x-event-key", "repo:refs_changed"));
            signed(event, "x-hub-signature", "sha256=", center)
        }
        _ => signed(None, "x-trackbed-signature", "sha256=", own),
    }
}

fn borrowed<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

/// The address of the receiver for programs of the node, which do not know the cluster's names.
pub(crate) fn inside(cluster: &Cluster, namespace: &str) -> String {
    let service = cluster.get("services", "trackbed-system", "trackbed-webhooks");
    let address = service["spec"]["clusterIP"].as_str().expect("an address");
    format!("http://{address}/hooks/{namespace}/hook")
}

fn states(repository: &Repository, commit: &str) -> Vec<String> {
    let statuses = repository.statuses(commit);
    let of = |status: &Value| status["status"].as_str().unwrap_or_default().to_owned();
    statuses.iter().rev().map(of).collect()
}

#[test]
fn a_push_to_a_real_forge_is_taken_up_and_its_commit_shows_how_it_went() {
    let cluster = Cluster::connect();
    let forge = Forge::connect();
    let namespace = cluster.project("webhook-forge");
    let repository = forge.private("webhook-forge");
    let token = forge.token("webhook-forge", &["read:repository", "write:repository"]);
    cluster.apply(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: forge, namespace: {namespace}}}\ntype: kubernetes.io/basic-auth\nstringData: {{username: {}, password: {token}, token: {token}}}\n",
        forge.user()
    ));
    let first = repository.write("Dockerfile", DOCKERFILE).push("main");
    let more = ", secretRef: {name: forge}, statuses: {secretRef: {name: forge}, forge: Gitea}";
    apply(&cluster, &namespace, &repository.https(), more);
    cluster.ready("service", &namespace, "web", 300);
    repository.webhook(&inside(&cluster, &namespace), SECRET);
    eventually(60, || match states(&repository, &first) {
        states if states == ["pending", "success"] => Ok(()),
        states => Err(format!("{states:?}")),
    });
    let shown = &repository.statuses(&first)[0];
    assert_eq!(shown["context"], format!("trackbed/{namespace}/web"));
    let host = cluster.host("web", "webhook-forge");
    let target = shown["target_url"].as_str().unwrap_or_default();
    assert!(target.contains(&host), "{shown:#}");

    let broken = "FROM busybox:1.36\nRUN echo no >&2; exit 3\n";
    let second = repository.write("Dockerfile", broken).push("main");
    takes_up(&cluster, &namespace, "web", &second);
    cluster.wait_reason("service", &namespace, "web", "BuildFailed", 180);
    eventually(60, || match states(&repository, &second) {
        states if states == ["pending", "failure"] => Ok(()),
        states => Err(format!("{states:?}")),
    });
    let shown = &repository.statuses(&second)[0];
    let words = shown["description"].as_str().unwrap_or_default();
    assert!(words.contains("exit code 3"), "{shown:#}");

    // A forge that does not take it fails nothing else, and says why.
    cluster.apply(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: wrong, namespace: {namespace}}}\nstringData: {{token: canary-of-statuses}}\n"
    ));
    let more = ", secretRef: {name: forge}, statuses: {secretRef: {name: wrong}, forge: Gitea}";
    apply(&cluster, &namespace, &repository.https(), more);
    repository.write("Dockerfile", DOCKERFILE).push("main");
    let what = "jsonpath={.status.conditions[?(@.type==\"CommitStatusPosted\")].reason}=CommitStatusRefused";
    cluster.wait("service", &namespace, "web", what, 120);
    cluster.ready("service", &namespace, "web", 300);
    let text = cluster.get("service", &namespace, "web").to_string();
    assert!(
        !text.contains("canary-of-statuses"),
        "no token in status: {text}"
    );
}

#[test]
fn every_forge_is_understood_and_nobody_else() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("webhook-formats");
    let publish = |note: &str| {
        cluster.publish(
            "ada/webhook-formats",
            &[("Dockerfile", DOCKERFILE), ("note.txt", note)],
        )
    };
    publish("the first");
    // What changes is nothing that has to be built.
    let url = cluster.git_url("ada/webhook-formats");
    apply(&cluster, &namespace, &url, ", watchPaths: [Dockerfile]");
    cluster.ready("service", &namespace, "web", 300);
    let door = Door::of(&cluster, &namespace, "web");
    let forges = [
        "GitHub",
        "Gitea",
        "Forgejo",
        "GitLab",
        "Bitbucket Cloud",
        "Bitbucket Data Center",
        "anybody",
    ];
    let mut last = (Vec::new(), String::new());
    for forge in forges {
        let commit = publish(forge);
        last = delivery(forge, "ada/webhook-formats", &commit);
        let answer = door.deliver(&borrowed(&last.0), &last.1);
        assert_eq!(answer.status, 200, "{forge}: {answer:?}");
        let matched = &answer.json()["matched"];
        assert_eq!(matched[0]["service"], "web", "{forge}: {answer:?}");
        assert_eq!(matched[0]["ref"], "refs/heads/main", "{forge}: {answer:?}");
        assert_eq!(matched[0]["triggered"], true, "{forge}: {answer:?}");
        takes_up(&cluster, &namespace, "web", &commit);
    }
    assert_eq!(
        cluster.list("build", &namespace).len(),
        1,
        "nothing was to be built"
    );

    cluster.ready("service", &namespace, "web", 60);
    let before = cluster.get("service", &namespace, "web");
    let (headers, body) = &last;
    let replayed = door.deliver(&borrowed(headers), body);
    assert_eq!(
        replayed.json()["matched"][0]["triggered"],
        false,
        "{replayed:?}"
    );
    let pushed = |reference: &str| {
        let body = body.replace("refs/heads/main", reference);
        let signature = format!("sha256={}", sign(SECRET, &body));
        door.deliver(&[("x-trackbed-signature", &signature)], &body)
    };
    for other in [
        "refs/heads/feature/main",
        "refs/tags/main",
        "refs/heads/mai",
    ] {
        let answer = pushed(other);
        assert_eq!(
            answer.json()["matched"],
            Value::Array(Vec::new()),
            "{other}: {answer:?}"
        );
    }
    assert_eq!(pushed("main").status, 400, "that is no full ref");
    refusals(&door, &namespace, body);
    let after = cluster.get("service", &namespace, "web");
    assert_eq!(
        before["metadata"]["resourceVersion"],
        after["metadata"]["resourceVersion"]
    );
}

/// What is not signed, not readable or too large, and a thousand of each.
fn refusals(door: &Door<'_>, namespace: &str, body: &str) {
    let wrong = format!("sha256={}", sign("another secret", body));
    let good = |body: &str| format!("sha256={}", sign(SECRET, body));
    let at = |name: &str| format!("/hooks/{namespace}/{name}");
    let unsigned = door.knock(&at("hook"), &[("x-trackbed-signature", &wrong)], body);
    let unknown = door.knock(&at("nobody"), &[("x-trackbed-signature", &wrong)], body);
    assert_eq!(unsigned.status, 401, "{unsigned:?}");
    assert_eq!(unsigned, unknown, "what exists is not told");
    assert_eq!(door.deliver(&[], body).status, 401);
    assert_eq!(
        door.deliver(&[("x-gitlab-event", "Push Hook")], body)
            .status,
        401
    );
    let malformed = door.deliver(&[("x-trackbed-signature", &good("{"))], "{");
    assert_eq!(malformed.status, 400, "{malformed:?}");
    let large = " ".repeat((4 << 20) + 1);
    let answer = door.deliver(&[("x-trackbed-signature", &good(&large))], &large);
    assert_eq!(answer.status, 413, "{answer:?}");
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for number in 0..250 {
                    let junk = format!("{number}");
                    let headers = [("x-trackbed-signature", junk.as_str())];
                    assert!(door.deliver(&headers, &junk).status >= 400);
                    assert!(door.knock(&at(&junk), &headers, &junk).status >= 400);
                }
            });
        }
    });
}
