//! Builds that are ended from outside, by people, by newer commits or by the node: nothing of them is
//! left, and where they can, they go on.

use suite::{
    Cluster, Value,
    builds::{Commit, Failure, condition},
    eventually,
    stub::Silent,
};

const GOOD: &str = "FROM busybox:1.36\nCMD [\"true\"]\n";

/// A Dockerfile that waits in the middle until the test lets it go on.
fn gated(gate: &Silent) -> String {
    format!("FROM busybox:1.36\n{}CMD [\"true\"]\n", gate.gate())
}

/// Somebody deletes a Build's pod in the middle, as `kubectl drain` does.
fn evict(cluster: &Cluster, namespace: &str, name: &str) {
    for pod in cluster.build_pods(namespace, name) {
        let place = format!("/api/v1/namespaces/{namespace}/pods/{pod}/eviction");
        let body = format!(
            "{{\"apiVersion\": \"policy/v1\", \"kind\": \"Eviction\", \"metadata\": {{\"name\": \"{pod}\", \"namespace\": \"{namespace}\"}}}}"
        );
        cluster.run(&["create", "--raw", &place, "-f", "-"], &body);
    }
}

/// Waits until a certain attempt of a Build is at its gate.
fn at_the_gate(cluster: &Cluster, namespace: &str, name: &str, attempt: i64) {
    eventually(180, || {
        let status = cluster.get("build", namespace, name)["status"].clone();
        let step = status["step"].as_str().unwrap_or_default();
        let there = status["phase"] == "Building" && step.contains("at the gate");
        if there && status["attempts"] == attempt {
            Ok(())
        } else {
            Err(format!("attempt {attempt} of {name}: {status:#}"))
        }
    });
}

#[test]
fn builds_whose_pods_or_jobs_are_taken_away() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("build-lost");
    let gate = Silent::start();
    let closed = Silent::start();
    let files = [
        ("open.Dockerfile", &*gated(&gate)),
        ("shut.Dockerfile", &*gated(&closed)),
    ];
    let commit = cluster.commit("build-lost", &files);
    let shut = "dockerfile: shut.Dockerfile";
    cluster.build(&namespace, "evicted", &commit, "", shut);
    cluster.build(
        &namespace,
        "lucky",
        &commit,
        "",
        "dockerfile: open.Dockerfile",
    );
    for attempt in 1..=3 {
        if attempt == 1 {
            // One that goes on: the node put it out once.
            at_the_gate(&cluster, &namespace, "lucky", 1);
            evict(&cluster, &namespace, "lucky");
            let message = cluster.wait_reason("build", &namespace, "lucky", "Evicted", 60);
            assert!(message.contains("attempt 2 of 3 follows"), "{message}");
            gate.close();
        }
        at_the_gate(&cluster, &namespace, "evicted", attempt);
        evict(&cluster, &namespace, "evicted");
    }
    let build = cluster.phase(&namespace, "lucky", "Succeeded", 180);
    assert_eq!(build["status"]["attempts"], 2, "{build:#}");
    assert!(
        build["status"]["failure"].is_null(),
        "it is over: {build:#}"
    );
    let expected = Failure {
        exit: None,
        log: None,
        step: None,
        ..Failure::of("Evicted", "build", &["pod", "attempt 3 of 3"]).passing()
    };
    let build = cluster.phase(&namespace, "evicted", "Failed", 60);
    // Whether the kubelet still told how the container ended is a matter of luck.
    let told = build["status"]["failure"]["step"].as_str();
    let exit = build["status"]["failure"]["exitCode"].as_i64();
    let expected = Failure {
        step: told,
        exit,
        ..expected
    };
    cluster.fails(&namespace, "evicted", 60, &expected);

    cluster.build(&namespace, "jobless", &commit, "", shut);
    for attempt in 1..=3 {
        at_the_gate(&cluster, &namespace, "jobless", attempt);
        cluster.delete("job", &namespace, "jobless");
    }
    let says = ["its Job is gone", "attempt 3 of 3"];
    let expected = Failure::before_steps("BuildJobFailed", &says);
    cluster.fails(&namespace, "jobless", 60, &expected);
    cluster.next_build_works(&namespace);
}

/// Cancels a Build and waits until nothing of it runs.
fn cancel(cluster: &Cluster, namespace: &str, name: &str) {
    let patch = "{\"spec\": {\"cancel\": true}}";
    let arguments = [
        "patch",
        "builds.trackbed.dev",
        name,
        "-n",
        namespace,
        "--type=merge",
        "-p",
        patch,
    ];
    cluster.run(&arguments, "");
    let build = cluster.phase(namespace, name, "Cancelled", 60);
    for kind in ["Ready", "Succeeded"] {
        let condition = condition(&build, kind);
        assert_eq!(condition["status"], "False", "{build:#}");
        assert_eq!(condition["reason"], "Cancelled", "{build:#}");
    }
    assert!(
        condition(&build, "Stalled").is_null(),
        "nothing is wrong: {build:#}"
    );
    assert!(build["status"]["completionTime"].is_string(), "{build:#}");
    gone(cluster, namespace, name);
}

/// Waits until a Build has no pod and no Job.
fn gone(cluster: &Cluster, namespace: &str, name: &str) {
    eventually(60, || {
        let pods = cluster.build_pods(namespace, name);
        let jobs = cluster.list("jobs", namespace);
        let own = |job: &&Value| job["metadata"]["labels"]["trackbed.dev/build"] == name;
        let jobs = jobs.iter().filter(own).count();
        if pods.is_empty() && jobs == 0 {
            Ok(())
        } else {
            Err(format!("pods {pods:?} and {jobs} Jobs of {name}"))
        }
    });
}

#[test]
fn builds_are_cancelled_at_every_phase() {
    let cluster = Cluster::connect();
    // One at a time: the others wait in the queue.
    let namespace = cluster.project_of(
        "build-cancel",
        "apiVersion: trackbed.dev/v1alpha1\nkind: Project\nmetadata: {name: build-cancel}\nspec: {environments: [{name: production}], quota: {concurrentBuilds: 1}}\n",
    );
    let silent = Silent::start();
    let files = [("Dockerfile", GOOD), ("gate.Dockerfile", &*gated(&silent))];
    let commit = cluster.commit("build-cancel", &files);
    let hanging = Commit {
        url: format!("http://{}/acme/shop.git", silent.address),
        ..commit.clone()
    };
    let gate = "dockerfile: gate.Dockerfile";

    cluster.build(
        &namespace,
        "waiting",
        &commit,
        ", secretRef: {name: absent}",
        "",
    );
    cluster.wait_reason("build", &namespace, "waiting", "SecretInvalid", 60);
    cancel(&cluster, &namespace, "waiting");

    cluster.build(&namespace, "fetching", &hanging, "", "");
    cluster.phase(&namespace, "fetching", "Fetching", 180);
    cluster.build(&namespace, "queued", &commit, "", gate);
    let build = cluster.phase(&namespace, "queued", "Queued", 60);
    let position = build["status"]["queuePosition"].as_i64();
    assert!(position.is_some_and(|it| it > 0), "{build:#}");
    assert!(cluster.build_pods(&namespace, "queued").is_empty());
    cancel(&cluster, &namespace, "queued");
    cancel(&cluster, &namespace, "fetching");

    cluster.build(&namespace, "building", &commit, "", gate);
    at_the_gate(&cluster, &namespace, "building", 1);
    cancel(&cluster, &namespace, "building");

    let image = format!("image: \"{}/acme/shop:1\"", silent.address);
    cluster.build_of(&namespace, "pushing", &commit, "", &image);
    cluster.phase(&namespace, "pushing", "Pushing", 180);
    cancel(&cluster, &namespace, "pushing");

    cluster.build(&namespace, "deleted", &commit, "", gate);
    at_the_gate(&cluster, &namespace, "deleted", 1);
    cluster.delete("build", &namespace, "deleted");
    gone(&cluster, &namespace, "deleted");

    let of = |sequence: u8, file: &str| {
        format!(
            "service: web\n  sequence: {sequence}\n  build: {{supersede: true, dockerfile: {file}}}"
        )
    };
    cluster.build_of(&namespace, "older", &commit, "", &of(1, "gate.Dockerfile"));
    at_the_gate(&cluster, &namespace, "older", 1);
    cluster.build_of(&namespace, "newer", &commit, "", &of(2, "Dockerfile"));
    let build = cluster.phase(&namespace, "older", "Superseded", 60);
    let ready = condition(&build, "Ready");
    println!("older: {}: {}", ready["reason"], ready["message"]);
    assert_eq!(ready["reason"], "Superseded", "{build:#}");
    gone(&cluster, &namespace, "older");
    cluster.phase(&namespace, "newer", "Succeeded", 180);
    cluster.next_build_works(&namespace);
}
