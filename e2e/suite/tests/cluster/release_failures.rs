//! Every way in which a release fails: the one before serves each request meanwhile, the reason and
//! the application's last words are on the Service, and the next good one is released.

use suite::{Cluster, Environment, eventually};

const GOOD: &str = "command: [httpd, -f, -p, '8080', -h, /etc]";

/// How a release fails.
struct Case<'a> {
    /// What stands under `run`, in one line.
    run: &'a str,
    /// The image, if it is not the one before.
    image: Option<String>,
    /// How many pods.
    replicas: u32,
    /// The rollout's time limit.
    timeout: &'a str,
    reason: &'a str,
    /// Words of the message.
    says: &'a [&'a str],
}

impl<'a> Case<'a> {
    fn of(run: &'a str, reason: &'a str, says: &'a [&'a str]) -> Self {
        Self {
            run,
            image: None,
            replicas: 1,
            timeout: "60s",
            reason,
            says,
        }
    }
}

fn apply(cluster: &Cluster, namespace: &str, image: &str, replicas: u32, timeout: &str, run: &str) {
    // As little as can be: what has no room fails for another reason than it should.
    let few = match run.contains("resources:") {
        true => "",
        false => ", resources: {requests: {cpu: 20m}}",
    };
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: web, namespace: {namespace}}}\nspec:\n  source: {{image: {{reference: \"{image}\"}}}}\n  scale: {{replicas: {replicas}}}\n  rollout: {{timeout: {timeout}}}\n  run: {{{run}{few}}}\n"
    ));
}

fn check(project: &str, case: &Case<'_>) {
    let cluster = Cluster::connect();
    let namespace = cluster.project(project);
    check_in(&cluster, &namespace, project, case);
}

fn check_in(cluster: &Cluster, namespace: &Environment, project: &str, case: &Case<'_>) {
    let busybox = cluster.busybox();
    let status = |field: &str| {
        let service = cluster.get("service", namespace, "web");
        let value = service["status"][field].as_str();
        value
            .unwrap_or_else(|| panic!("no {field}: {service:#}"))
            .to_owned()
    };
    let replicas = case.replicas;
    apply(cluster, namespace, &busybox, replicas, "60s", GOOD);
    cluster.ready("service", namespace, "web", 300);
    let good = status("activeDeployment");
    let host = cluster.host("web", project);
    cluster.answers(&host, "/passwd", 60, |answer| answer.status == 200);
    let probe = cluster.probe(&host, "/passwd");

    let image = case.image.as_ref().unwrap_or(&busybox);
    apply(cluster, namespace, image, replicas, case.timeout, case.run);
    cluster.wait_reason("service", namespace, "web", case.reason, 180);
    let bad = status("latestDeployment");
    let back = "jsonpath={.status.phase}=RolledBack";
    cluster.wait("deployment", namespace, &bad, back, 180);
    // What was said while it was tried may be less than what is said in the end.
    let mut message = String::new();
    eventually(60, || {
        message = cluster.wait_reason("service", namespace, "web", case.reason, 60);
        match case.says.iter().find(|words| !message.contains(**words)) {
            None => Ok(()),
            Some(words) => Err(format!("'{words}' is not in: {message}")),
        }
    });
    assert_eq!(status("activeDeployment"), good);

    let mended = format!("{GOOD}, env: [{{name: MENDED, value: 'yes'}}]");
    apply(cluster, namespace, &busybox, replicas, "60s", &mended);
    cluster.ready("service", namespace, "web", 300);
    assert_ne!(status("activeDeployment"), good);
    println!(
        "{}: {} requests answered; {message}",
        case.reason,
        probe.end()
    );
}

#[test]
fn it_ends_right_after_its_start() {
    let run = "command: [sh, -c, 'echo no luck; exit 3']";
    let says = ["exit code 3", "its last words: no luck"];
    check("fails-crash", &Case::of(run, "CrashLoop", &says));
}

#[test]
fn its_image_is_not_in_the_registry() {
    let cluster = Cluster::connect();
    let image = format!(
        "{}:5000/library/busybox@sha256:{}",
        cluster.node,
        "0".repeat(64)
    );
    let case = Case {
        image: Some(image),
        timeout: "20s",
        ..Case::of(GOOD, "ImagePullFailed", &["sha256:000"])
    };
    check("fails-image", &case);
}

#[test]
fn it_needs_more_memory_than_it_may_have() {
    let run = "command: [sh, -c, 'echo begins; x=aaaaaaaa; while true; do x=$x$x; done'], resources: {requests: {cpu: 20m, memory: 8Mi}, limits: {memory: 16Mi}}";
    check(
        "fails-memory",
        &Case::of(run, "AppOutOfMemory", &["memory"]),
    );
}

#[test]
fn nobody_listens() {
    let run = "command: [sh, -c, 'echo sleeps; exec sleep 1000'], healthcheck: {timeout: 10s}";
    check("fails-port", &Case::of(run, "NotListening", &["8080"]));
}

#[test]
fn it_answers_its_health_check_with_an_error() {
    let run = format!("{GOOD}, healthcheck: {{path: /missing, timeout: 10s}}");
    check(
        "fails-probe",
        &Case::of(&run, "NotListening", &["GET /missing"]),
    );
}

#[test]
fn no_node_has_room() {
    let run = format!("{GOOD}, resources: {{requests: {{cpu: '100'}}}}");
    let case = Case {
        timeout: "20s",
        ..Case::of(&run, "Unschedulable", &["cpu"])
    };
    check("fails-room", &case);
}

#[test]
fn the_projects_quota_is_used_up() {
    let cluster = Cluster::connect();
    let namespace = cluster.project_of(
        "fails-quota",
        "apiVersion: trackbed.dev/v1alpha1\nkind: Project\nmetadata: {name: fails-quota}\nspec: {environments: [{name: production}], quota: {memory: 1Gi}}\n",
    );
    let run = format!("{GOOD}, resources: {{requests: {{memory: 2Gi}}, limits: {{memory: 2Gi}}}}");
    let case = Case {
        timeout: "20s",
        ..Case::of(&run, "QuotaExceeded", &["quota"])
    };
    check_in(&cluster, &namespace, "fails-quota", &case);
}

/// Each pod has to answer for three seconds, and they are replaced one by one.
#[test]
fn it_takes_too_long() {
    let run = format!("{GOOD}, env: [{{name: SLOW, value: 'yes'}}]");
    let case = Case {
        replicas: 4,
        timeout: "12s",
        ..Case::of(&run, "RolloutTimeout", &["within 12s"])
    };
    check("fails-late", &case);
}
