//! How builds fail: each ends under its name, with its step, its exit code, the end of its log and a
//! sentence that says what to do; nothing keeps running, and the next build works.

use suite::{
    Cluster,
    builds::Failure,
    stub::{Registry, nobody},
};

const GOOD: &str = "FROM busybox:1.36\nCMD [\"true\"]\n";

fn step<'a>(reason: &'a str, says: &'a [&'a str]) -> Failure<'a> {
    Failure::of(reason, "build", says)
}

#[test]
fn what_the_source_asks_for_cannot_be_built() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("build-plans");
    let files = [
        ("Dockerfile", GOOD),
        (
            "exit.Dockerfile",
            "FROM busybox:1.36\nRUN echo broken on purpose >&2; exit 3\n",
        ),
        ("tag.Dockerfile", "FROM busybox:no-such-tag\n"),
        (
            "host.Dockerfile",
            "FROM registry.example.invalid/acme/base:1\n",
        ),
        (
            "slow.Dockerfile",
            "FROM busybox:1.36\nRUN echo begun; sleep 3600\n",
        ),
        ("letter/letter.txt", "no program at all"),
        ("json/package.json", "{\n"),
    ];
    let commit = cluster.commit("build-plans", &files);
    let file = |name: &str| format!("dockerfile: {name}.Dockerfile");
    cluster.build(&namespace, "host", &commit, "", &file("host"));
    cluster.build(
        &namespace,
        "slow",
        &commit,
        "",
        &format!("{}, timeout: 20s", file("slow")),
    );
    cluster.build(&namespace, "tag", &commit, "", &file("tag"));
    cluster.build(&namespace, "exit", &commit, "", &file("exit"));
    cluster.build(&namespace, "path", &commit, ", path: apps/none", "");
    cluster.build(&namespace, "file", &commit, "", &file("none"));
    cluster.build(
        &namespace,
        "insists",
        &commit,
        ", path: letter",
        "strategy: Dockerfile",
    );
    cluster.build(&namespace, "letter", &commit, ", path: letter", "");
    cluster.build(&namespace, "json", &commit, ", path: json", "");

    let fails = |name: &str, expected: Failure<'_>| {
        cluster.fails(&namespace, name, 240, &expected);
    };
    let fetch = |reason, says| Failure::of(reason, "fetch", says);
    fails("path", fetch("PathNotFound", &["no folder apps/none"]));
    fails(
        "file",
        fetch("DockerfileNotFound", &["no file none.Dockerfile"]),
    );
    fails(
        "insists",
        fetch("DockerfileNotFound", &["no file letter/Dockerfile"]),
    );
    fails("letter", fetch("NoLanguageDetected", &["letter.txt"]));
    fails("json", fetch("InvalidBuildPlan", &["package.json, line"]));
    fails(
        "exit",
        Failure {
            exit: Some(3),
            log: Some("broken on purpose"),
            ..step("BuildFailed", &["RUN echo broken", "exit code 3"])
        },
    );
    fails(
        "tag",
        step("BaseImageUnavailable", &["FROM", "no-such-tag"]),
    );
    fails(
        "slow",
        Failure {
            log: Some("begun"),
            ..step(
                "BuildTimeout",
                &["building the image after 20s", "build.timeout"],
            )
            .without_exit()
        },
    );
    let says = ["registry.example.invalid", "FROM", "attempt 3 of 3"];
    fails("host", step("RegistryUnavailable", &says).passing());
    cluster.next_build_works(&namespace);
}

/// The operator's limit of a build's disk, in bytes.
fn disk_limit(cluster: &Cluster) -> u64 {
    let gib = cluster.setting("diskLimit");
    let gib: u64 = gib.trim_end_matches("Gi").parse().expect("GiB");
    gib << 30
}

#[test]
fn builds_that_take_too_much() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("build-limits");
    // The space is taken without anything being written.
    let fill = format!(
        "FROM busybox:1.36\nRUN echo fills; fallocate -l {} /fill; sleep 3600\n",
        disk_limit(&cluster) + (64 << 20)
    );
    let files = [
        (
            "memory.Dockerfile",
            "FROM busybox:1.36\nRUN echo eats; tail /dev/zero\n",
        ),
        (
            "room.Dockerfile",
            "FROM busybox:1.36\nRUN dd if=/dev/zero of=/dev/shm/x bs=1M count=100\n",
        ),
        ("fill.Dockerfile", &fill),
    ];
    let commit = cluster.commit("build-limits", &files);
    let file = |name: &str, more: &str| format!("dockerfile: {name}.Dockerfile{more}");
    cluster.build(&namespace, "fill", &commit, "", &file("fill", ""));
    let resources = ", resources: {requests: {memory: 128Mi}, limits: {memory: 192Mi}}";
    cluster.build(
        &namespace,
        "memory",
        &commit,
        "",
        &file("memory", resources),
    );
    cluster.build(&namespace, "room", &commit, "", &file("room", ""));

    let expected = Failure {
        exit: Some(137),
        log: Some("eats"),
        ..step(
            "OutOfMemory",
            &["192Mi", "raise build.resources.limits.memory"],
        )
    };
    cluster.fails(&namespace, "memory", 180, &expected);
    let expected = step("DiskFull", &["No space left on device", "build.diskLimit"]);
    cluster.fails(&namespace, "room", 180, &expected);
    // Told as soon as the kubelet puts the pod out, whether the container has ended or not.
    let build = cluster.phase(&namespace, "fill", "Failed", 240);
    let says = ["more than build.diskLimit", "administrators"];
    let expected = Failure {
        exit: build["status"]["failure"]["exitCode"].as_i64(),
        log: None,
        ..step("DiskFull", &says)
    };
    cluster.fails(&namespace, "fill", 60, &expected);
    // The kubelet removes the containers of a pod that it puts out, and their logs, at once: it may
    // be sooner than whoever looks.
    let tail = build["status"]["logTail"].as_str();
    assert!(tail.is_none_or(|it| it.contains("fills")), "{tail:?}");
    cluster.next_build_works(&namespace);
}

#[test]
fn registries_that_refuse_or_do_not_answer() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("build-registries");
    let commit = cluster.commit("build-registries", &[("Dockerfile", GOOD)]);
    // Stand-ins: nobody fills a real registry for a test. Harbor's words and Distribution's.
    let full = Registry::start(vec![(
        403,
        r#"{"errors":[{"code":"DENIED","message":"adding 1.9 MiB of storage resource, which when updated to current usage of 99.0 MiB will exceed the configured upper limit of 100.0 MiB."}]}"#,
    )]);
    let immutable = Registry::start(vec![(
        412,
        r#"{"errors":[{"code":"PRECONDITION","message":"Failed to process request due to 'web:1' configured as immutable."}]}"#,
    )]);
    let invalid = Registry::start(vec![(
        400,
        r#"{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid","detail":{}}]}"#,
    )]);
    let shaky = Registry::start(vec![(503, ""), (500, "oops")]);
    let push = |name: &str, registry: &str, settings: &str| {
        let spec = format!("image: \"{registry}/acme/web:1\"\n  build: {{{settings}}}");
        cluster.build_of(&namespace, name, &commit, "", &spec);
    };
    push("nobody", &nobody(), "timeout: 60s");
    for (name, registry) in [
        ("full", &full),
        ("immutable", &immutable),
        ("invalid", &invalid),
        ("shaky", &shaky),
    ] {
        push(name, &registry.address.to_string(), "");
    }
    let fails = |name: &str, expected: Failure<'_>| {
        cluster.fails(&namespace, name, 180, &expected);
        let build = cluster.get("build", &namespace, name);
        assert_eq!(
            build["status"]["attempts"], 1,
            "what is built is not built again"
        );
    };
    let pushed = |reason, says| Failure::of(reason, "push", says);
    fails(
        "full",
        pushed(
            "RegistryQuotaExceeded",
            &["upper limit of 100.0 MiB", "delete images"],
        ),
    );
    fails(
        "immutable",
        pushed("PushRejected", &["configured as immutable"]),
    );
    fails(
        "invalid",
        pushed("PushRejected", &["manifest invalid (MANIFEST_INVALID)"]),
    );
    let says = ["does not answer"];
    fails("nobody", pushed("RegistryUnavailable", &says).passing());
    for refused in [&full, &immutable, &invalid] {
        assert_eq!(refused.manifests(), 1, "it meant what it said");
    }
    let build = cluster.phase(&namespace, "shaky", "Succeeded", 120);
    assert_eq!(build["status"]["attempts"], 1, "{build:#}");
    assert!(shaky.manifests() >= 3, "two that failed and the last");
    cluster.next_build_works(&namespace);
}
