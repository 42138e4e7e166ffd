//! An environment for each pull request of a real forge, and for a branch.

use suite::{Cluster, Environment, Value, eventually, forge::Forge};

use crate::webhooks::inside;

const PROJECT: &str = "previews";
const SECRET: &str = "hooks of previews";
const DOCKERFILE: &str =
    "FROM busybox:1.36\nCOPY start /start\nUSER 1000\nCMD [\"sh\", \"/start\"]\n";
/// Which version it is, and where its database is.
const START: &str = "mkdir /tmp/www && echo \"VERSION with $CACHE in $COLOR\" > /tmp/www/index.html && exec httpd -f -p $PORT -h /tmp/www\n";
/// Static files of another repository.
const OTHER: &str = "FROM busybox:1.36\nCOPY Dockerfile /www/index.html\nUSER 1000\nCMD [\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n";

fn start(version: &str) -> String {
    START.replace("VERSION", version)
}

fn project(environments: &str) -> String {
    format!(
        "apiVersion: trackbed.dev/v1alpha1
kind: Project
metadata: {{name: {PROJECT}}}
spec:
  environments: [{{name: production, env: [{{name: COLOR, value: blue}}]}}{environments}]
  quota: {{memory: 2Gi}}
  previews: {{of: production, secrets: [forge], ttl: 1h, max: 2}}
"
    )
}

/// Everything of the environment that previews are of.
fn base(cluster: &Cluster, namespace: &str, url: &str, login: &str) {
    let docs = cluster.git_url("previews-docs");
    cluster.apply(&format!(
        "apiVersion: v1
kind: Secret
metadata: {{name: hook, namespace: {namespace}}}
stringData: {{secret: {SECRET:?}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: forge, namespace: {namespace}}}
type: kubernetes.io/basic-auth
stringData: {{{login}}}
---
apiVersion: trackbed.dev/v1alpha1
kind: Database
metadata: {{name: cache, namespace: {namespace}}}
spec: {{engine: Redis, version: '7', storage: {{size: 100Mi}}}}
---
apiVersion: trackbed.dev/v1alpha1
kind: Service
metadata: {{name: web, namespace: {namespace}}}
spec:
  source:
    git:
      url: {url:?}
      branch: main
      interval: 24h
      secretRef: {{name: forge}}
      statuses: {{secretRef: {{name: forge}}, forge: Gitea}}
      webhook: {{secretRef: {{name: hook}}, previews: true}}
  run: {{env: [{{name: CACHE, valueFrom: {{databaseRef: {{name: cache, key: host}}}}}}]}}
---
apiVersion: trackbed.dev/v1alpha1
kind: Service
metadata: {{name: docs, namespace: {namespace}}}
spec: {{source: {{git: {{url: {docs:?}, interval: 24h}}}}}}
---
apiVersion: trackbed.dev/v1alpha1
kind: Service
metadata: {{name: own, namespace: {namespace}}}
spec: {{source: {{git: {{url: {docs:?}, interval: 24h}}}}, suspend: true, preview: false}}
"
    ));
}

fn says(cluster: &Cluster, host: &str, words: &str) {
    cluster.answers(host, "/", 300, |answer| answer.body.trim() == words);
}

fn names(cluster: &Cluster, kind: &str, namespace: &str) -> Vec<String> {
    let all = cluster.list(kind, namespace);
    let name = |it: &Value| {
        it["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    all.iter().map(name).collect()
}

/// What the Project says of an environment.
fn said(cluster: &Cluster, environment: &str) -> Value {
    let project = cluster.get("project", "", PROJECT);
    let all = project["status"]["environments"].as_array().cloned();
    let mut all = all.unwrap_or_default().into_iter();
    all.find(|it| it["name"] == environment).unwrap_or_default()
}

fn gone(cluster: &Cluster, namespace: &str) {
    let namespace = format!("namespace/{namespace}");
    cluster.run(&["wait", "--for=delete", "--timeout=540s", &namespace], "");
}

#[test]
fn a_pull_request_has_an_environment_until_it_is_closed() {
    let cluster = Cluster::connect();
    let forge = Forge::connect();
    let namespace = cluster.project_of(PROJECT, &project(""));
    let repository = forge.private("previews");
    let token = forge.token("previews", &["read:repository", "write:repository"]);
    let login = format!(
        "username: {}, password: {token}, token: {token}",
        forge.user()
    );
    cluster.publish("previews-docs", &[("Dockerfile", OTHER)]);
    repository.write("Dockerfile", DOCKERFILE);
    repository.write("start", &start("one")).push("main");
    base(&cluster, &namespace, &repository.https(), &login);
    let production = cluster.host("web", PROJECT);
    says(
        &cluster,
        &production,
        "one with cache.previews-production.svc.cluster.local in blue",
    );
    cluster.ready("service", &namespace, "docs", 180);
    repository.webhook(&inside(&cluster, &namespace), SECRET);

    let second = repository.write("start", &start("two")).push("feature/two");
    let number = repository.pull_request("feature/two", "main");
    let name = format!("pr-{number}");
    let preview = format!("{PROJECT}-{name}");
    let host = cluster.host("web", &preview);
    says(
        &cluster,
        &host,
        &format!("two with cache.{preview}.svc.cluster.local in blue"),
    );
    says(
        &cluster,
        &production,
        "one with cache.previews-production.svc.cluster.local in blue",
    );
    cluster.ready("service", &preview, "docs", 180);
    posted(&repository.statuses(&second), &preview, &host);
    contents(&cluster, &namespace, &preview);
    let told = said(&cluster, &name);
    assert_eq!(told["preview"]["branch"], "feature/two", "{told:#}");
    assert_eq!(told["preview"]["pullRequest"], number, "{told:#}");
    assert!(told["preview"]["until"].is_string(), "{told:#}");

    repository
        .write("start", &start("three"))
        .push("feature/two");
    says(
        &cluster,
        &host,
        &format!("three with cache.{preview}.svc.cluster.local in blue"),
    );

    by_hand(&cluster, &repository.https());

    repository.close(number);
    gone(&cluster, &preview);
    eventually(30, || match said(&cluster, &name) {
        Value::Null => Ok(()),
        told => Err(format!("{told:#}")),
    });
    says(
        &cluster,
        &production,
        "one with cache.previews-production.svc.cluster.local in blue",
    );
}

/// The commit shows where its preview is.
fn posted(statuses: &[Value], preview: &str, host: &str) {
    let context = format!("trackbed/{preview}/web");
    let mut own = statuses.iter().filter(|it| it["context"] == context);
    let newest = own
        .next()
        .unwrap_or_else(|| panic!("no {context}: {statuses:#?}"));
    let target = newest["target_url"].as_str().unwrap_or_default();
    assert!(target.contains(host), "{newest:#}");
}

/// What is in a preview, and what is not.
fn contents(cluster: &Cluster, base: &Environment, preview: &str) {
    assert_eq!(names(cluster, "service", preview), ["docs", "web"]);
    let image = |namespace: &str| {
        let service = cluster.get("service", namespace, "docs");
        let active = service["status"]["activeDeployment"].as_str();
        let active = active.unwrap_or_else(|| panic!("nothing serves: {service:#}"));
        cluster.get("deployment", namespace, active)["spec"]["image"].clone()
    };
    assert_eq!(
        image(preview),
        image(base),
        "of another repository: as it serves there"
    );
    let builds = names(cluster, "build", preview);
    assert!(builds.iter().all(|it| it.starts_with("web-")), "{builds:?}");
    let secrets = names(cluster, "secrets", preview);
    assert!(secrets.contains(&"forge".to_owned()), "{secrets:?}");
    assert!(
        !secrets.contains(&"hook".to_owned()),
        "nobody listed it: {secrets:?}"
    );
    let password = |namespace: &str| {
        cluster.get("secrets", namespace, "cache-credentials")["data"]["password"].clone()
    };
    assert_ne!(password(preview), password(base), "each has its own");
    let quota = cluster.get("resourcequotas", preview, "trackbed");
    assert_eq!(quota["spec"]["hard"]["requests.memory"], "2Gi");
}

/// A preview of a branch that nobody asked to merge, as an environment of the Project.
fn by_hand(cluster: &Cluster, url: &str) {
    let preview = |until: &str| {
        format!(", {{name: try, preview: {{branch: feature/two, repository: {url:?}{until}}}}}")
    };
    cluster.apply(&project(&preview("")));
    let there = "jsonpath={.spec.source.git.branch}=feature/two";
    eventually(60, || {
        let found = cluster.kubectl(&["get", "tsvc", "web", "-n", "previews-try"], "");
        match found.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&found.stderr).into_owned()),
        }
    });
    cluster.wait("service", "previews-try", "web", there, 30);
    // Three are more than there may be.
    let more = format!(
        "{}{}",
        preview(""),
        preview("").replace("name: try", "name: more")
    );
    cluster.apply(&project(&more));
    eventually(60, || {
        let waits = cluster.get("project", "", PROJECT)["status"]["environments"].to_string();
        match waits.contains("it waits, because as many are open") {
            true => Ok(()),
            false => Err(waits),
        }
    });
    cluster.apply(&project(&preview(", until: '2026-01-01T00:00:00Z'")));
    gone(cluster, "previews-try");
    let told = said(cluster, "try");
    assert!(
        told["message"].to_string().contains("it has ended"),
        "{told:#}"
    );
    cluster.apply(&project(""));
    cluster.ready("project", "", PROJECT, 60);
}
