//! What people get wrong: each ends in a reason of its own, the old release keeps serving, and
//! mending the cause heals it.

use suite::{Cluster, Credentials, Value};

const PAGE: &str = "FROM busybox:1.36\nCOPY index.html /www/index.html\nUSER 1000\nCMD [\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n";

/// A Service that follows a repository.
fn follows(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    repository: &str,
    git: &str,
    more: &str,
) {
    let url = cluster.git_url(repository);
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  source: {{git: {{url: \"{url}\", interval: 10s{git}}}}}\n{more}"
    ));
}

/// A Service that runs the mirror's busybox.
fn runs(cluster: &Cluster, namespace: &str, name: &str, command: &str, more: &str) {
    let image = cluster.busybox();
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  source: {{image: {{reference: \"{image}\"}}}}\n  rollout: {{timeout: 60s}}\n  run:\n    command: {command}\n{more}"
    ));
}

const WELL: &str = "[httpd, -f, -p, \"8080\", -h, /etc]";

fn heals(cluster: &Cluster, namespace: &str, name: &str) {
    cluster.wait("service", namespace, name, "condition=Ready", 300);
}

fn stays_up(cluster: &Cluster, namespace: &str, name: &str, release: &str) {
    let service = cluster.get("service", namespace, name);
    assert_eq!(
        service["status"]["activeDeployment"], release,
        "{service:#}"
    );
    let host = cluster.host(name, namespace.trim_end_matches("-production"));
    cluster.answers(&host, "/", 30, |answer| {
        answer.status == 200 || answer.status == 404
    });
}

fn failure(object: &Value) -> &Value {
    &object["status"]["failure"]
}

#[test]
fn a_repository_that_does_not_exist() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("bad-repository");
    follows(&cluster, &namespace, "web", "nowhere", "", "");
    let message = cluster.wait_reason("service", &namespace, "web", "RepositoryNotFound", 60);
    assert!(message.contains("nowhere"), "{message}");
    cluster.publish("nowhere", &[("Dockerfile", PAGE), ("index.html", "here")]);
    heals(&cluster, &namespace, "web");
}

#[test]
fn a_branch_that_does_not_exist() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("bad-branch");
    cluster.publish("branches", &[("Dockerfile", PAGE), ("index.html", "main")]);
    follows(
        &cluster,
        &namespace,
        "web",
        "branches",
        ", branch: feature/none",
        "",
    );
    let message = cluster.wait_reason("service", &namespace, "web", "RefNotFound", 60);
    assert!(message.contains("feature/none"), "{message}");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("Dockerfile"), PAGE).expect("a file");
    std::fs::write(folder.path().join("index.html"), "feature").expect("a file");
    cluster.push("branches", folder.path(), "feature/none");
    heals(&cluster, &namespace, "web");
}

#[test]
fn a_wrong_password() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("bad-password");
    cluster.publish(
        "private/locked",
        &[("Dockerfile", PAGE), ("index.html", "in")],
    );
    let secret = |password: &str| {
        let username = Credentials::of_the_git_server().username;
        cluster.apply(&format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: login, namespace: {namespace}}}\ntype: kubernetes.io/basic-auth\nstringData: {{username: \"{username}\", password: \"{password}\"}}\n"
        ));
    };
    secret("wrong");
    follows(
        &cluster,
        &namespace,
        "web",
        "private/locked",
        ", secretRef: {name: login}",
        "",
    );
    let message = cluster.wait_reason("service", &namespace, "web", "AuthenticationFailed", 60);
    assert!(
        !message.contains("wrong"),
        "no credential in a message: {message}"
    );
    secret(&Credentials::of_the_git_server().password);
    heals(&cluster, &namespace, "web");
}

#[test]
fn builds_that_fail_leave_the_old_release_and_heal_with_the_next_push() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("bad-builds");
    cluster.publish("builds", &[("Dockerfile", PAGE), ("index.html", "one")]);
    follows(
        &cluster,
        &namespace,
        "web",
        "builds",
        "",
        "  build: {timeout: 90s}\n",
    );
    heals(&cluster, &namespace, "web");

    cluster.publish(
        "builds",
        &[(
            "Dockerfile",
            "FROM busybox:1.36\nRUN echo broken on purpose >&2; exit 3\n",
        )],
    );
    cluster.wait_reason("service", &namespace, "web", "BuildFailed", 180);
    let build = cluster.get("build", &namespace, "web-2");
    assert_eq!(failure(&build)["reason"], "BuildFailed", "{build:#}");
    let log = build["status"]["logTail"].as_str().unwrap_or_default();
    assert!(log.contains("broken on purpose"), "the log is kept: {log}");
    stays_up(&cluster, &namespace, "web", "web-1");

    cluster.publish(
        "builds",
        &[("Dockerfile", ""), ("letter.txt", "no program at all")],
    );
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("letter.txt"), "no program at all").expect("a file");
    cluster.push("builds", folder.path(), "main");
    let message = cluster.wait_reason("service", &namespace, "web", "NoLanguageDetected", 180);
    assert!(
        message.contains("letter.txt"),
        "says what was found: {message}"
    );
    stays_up(&cluster, &namespace, "web", "web-1");

    cluster.publish(
        "builds",
        &[("Dockerfile", "FROM busybox:1.36\nRUN sleep 3600\n")],
    );
    cluster.wait_reason("service", &namespace, "web", "BuildTimeout", 300);
    stays_up(&cluster, &namespace, "web", "web-1");

    cluster.publish("builds", &[("Dockerfile", PAGE), ("index.html", "two")]);
    let host = cluster.host("web", "bad-builds");
    cluster.answers(&host, "/", 300, |answer| answer.body.trim() == "two");
    heals(&cluster, &namespace, "web");
}

#[test]
fn releases_that_fail_leave_the_old_one_and_heal_with_the_next() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("bad-releases");
    runs(&cluster, &namespace, "web", WELL, "");
    heals(&cluster, &namespace, "web");

    runs(
        &cluster,
        &namespace,
        "web",
        "[sh, -c, \"echo last words; exit 7\"]",
        "",
    );
    cluster.wait_reason("service", &namespace, "web", "CrashLoop", 180);
    let release = cluster.get("deployment", &namespace, "web-1-2");
    assert_eq!(failure(&release)["exitCode"], 7, "{release:#}");
    let log = release["status"]["logTail"].as_str().unwrap_or_default();
    assert!(log.contains("last words"), "the log is kept: {log}");
    stays_up(&cluster, &namespace, "web", "web-1");

    runs(&cluster, &namespace, "web", "[sleep, \"3600\"]", "");
    cluster.wait_reason("service", &namespace, "web", "NotListening", 180);
    stays_up(&cluster, &namespace, "web", "web-1");

    runs(
        &cluster,
        &namespace,
        "web",
        WELL,
        "    env: [{name: FIXED, value: \"yes\"}]\n",
    );
    heals(&cluster, &namespace, "web");
}

#[test]
fn references_that_are_missing() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("bad-references");
    let env = "    env:\n      - {name: KEY, valueFrom: {secretKeyRef: {name: stripe, key: key}}}\n      - {name: CACHE, valueFrom: {databaseRef: {name: cache}}}\n";
    runs(&cluster, &namespace, "web", WELL, env);
    let message = cluster.wait_reason("service", &namespace, "web", "ReferenceMissing", 60);
    assert!(
        message.contains("stripe") || message.contains("cache"),
        "{message}"
    );
    cluster.apply(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: stripe, namespace: {namespace}}}\nstringData: {{key: value}}\n---\napiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: cache, namespace: {namespace}}}\nspec: {{engine: Redis, version: \"7\", storage: {{size: 1Gi}}}}\n"
    ));
    heals(&cluster, &namespace, "web");
}

#[test]
fn a_quota_that_refuses_the_pods() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("bad-quota");
    let quota = |cpu: &str| {
        cluster.apply(&format!(
            "apiVersion: trackbed.dev/v1alpha1\nkind: Project\nmetadata: {{name: bad-quota}}\nspec: {{environments: [{{name: production}}], quota: {{cpu: {cpu}}}}}\n"
        ));
    };
    quota("50m");
    cluster.wait(
        "resourcequota",
        &namespace,
        "trackbed",
        "jsonpath={.spec.hard.requests\\.cpu}=50m",
        60,
    );
    runs(&cluster, &namespace, "web", WELL, "");
    let message = cluster.wait_reason("service", &namespace, "web", "QuotaExceeded", 120);
    assert!(message.to_lowercase().contains("quota"), "{message}");
    quota("2");
    heals(&cluster, &namespace, "web");
}

#[test]
fn a_schedule_that_kubernetes_refuses() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("bad-schedule");
    let report = |schedule: &str| {
        cluster.apply(&format!(
            "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: report, namespace: {namespace}}}\nspec:\n  source: {{image: {{reference: \"{}\"}}}}\n  run: {{command: ['true']}}\n  cron: {{schedule: '{schedule}'}}\n",
            cluster.busybox()
        ));
    };
    report("61 * * * *");
    let message = cluster.wait_reason("service", &namespace, "report", "Rejected", 60);
    assert!(message.contains("61"), "{message}");
    report("59 * * * *");
    heals(&cluster, &namespace, "report");
}

#[test]
fn references_to_what_has_no_address() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("bad-address");
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: jobs, namespace: {namespace}}}\nspec:\n  source: {{image: {{reference: \"{}\"}}}}\n  run: {{worker: true, command: [sleep, '100000']}}\n",
        cluster.busybox()
    ));
    cluster.ready("service", &namespace, "jobs", 300);
    let env = "    env: [{name: JOBS, valueFrom: {serviceRef: {name: jobs}}}]\n";
    runs(&cluster, &namespace, "web", WELL, env);
    let message = cluster.wait_reason("service", &namespace, "web", "ReferenceMissing", 60);
    assert!(message.contains("answers no requests"), "{message}");
    runs(&cluster, &namespace, "web", WELL, "");
    heals(&cluster, &namespace, "web");
}

#[test]
fn an_object_outside_of_every_project() {
    let cluster = Cluster::connect();
    runs(&cluster, "default", "stray", WELL, "");
    cluster.wait_reason("service", "default", "stray", "NamespaceNotManaged", 60);
    cluster.delete("service", "default", "stray");

    // What was there before its namespace became an environment goes on by itself then.
    cluster.run(&["create", "namespace", "late-production"], "");
    let commit = cluster.commit("late", &[("Dockerfile", "FROM busybox:1.36\n")]);
    cluster.build("late-production", "early", &commit, "", "timeout: 5m");
    cluster.apply(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {name: early, namespace: late-production}\nspec: {engine: Redis, version: \"7\"}\n",
    );
    runs(&cluster, "late-production", "web", WELL, "");
    let early = [
        ("build", "early"),
        ("database", "early"),
        ("service", "web"),
    ];
    for (kind, name) in early {
        let reason = "NamespaceNotManaged";
        cluster.wait_reason(kind, "late-production", name, reason, 60);
    }
    cluster.apply(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Project\nmetadata: {name: late}\nspec: {environments: [{name: production}]}\n",
    );
    let message = cluster.wait_reason("project", "", "late", "NamespaceConflict", 60);
    assert!(message.contains("kubectl label namespace"), "{message}");
    let label = [
        "label",
        "namespace",
        "late-production",
        "trackbed.dev/project=late",
    ];
    cluster.run(
        &[&label[..], &["trackbed.dev/environment=production"]].concat(),
        "",
    );
    cluster.wait("project", "", "late", "condition=Ready", 120);
    for (kind, name) in early {
        cluster.wait(kind, "late-production", name, "condition=Ready", 300);
    }
    // It was there before, so the Project leaves it behind.
    cluster.delete("project", "", "late");
    let confirm = "trackbed.dev/confirm-deletion=late-production";
    cluster.run(&["annotate", "namespace", "late-production", confirm], "");
    cluster.run(&["delete", "namespace", "late-production"], "");
}
