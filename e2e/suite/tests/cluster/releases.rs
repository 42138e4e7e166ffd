//! What a release does besides serving: commands before it, applications without a port.

use suite::{Cluster, Value, eventually};

const WELL: &str = "[httpd, -f, -p, \"8080\", -h, /etc]";

/// A Service that runs the mirror's busybox. `run` is what stands under `run`, in one line.
pub(crate) fn service(cluster: &Cluster, namespace: &str, name: &str, run: &str, more: &str) {
    let image = cluster.busybox();
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  source: {{image: {{reference: \"{image}\"}}}}\n  rollout: {{timeout: 60s}}\n  run: {{{run}}}\n{more}"
    ));
}

fn active(cluster: &Cluster, namespace: &str, name: &str) -> String {
    let service = cluster.get("service", namespace, name);
    let active = service["status"]["activeDeployment"].as_str();
    active
        .unwrap_or_else(|| panic!("none is active: {service:#}"))
        .to_owned()
}

/// Commands that were run before releases, by release.
fn commands(cluster: &Cluster, namespace: &str) -> Vec<String> {
    let jobs = cluster.list("job", namespace).into_iter();
    let release = |job: Value| job["metadata"]["labels"]["trackbed.dev/release"].to_string();
    jobs.map(release).collect()
}

#[test]
fn a_command_runs_before_each_release_and_a_failed_one_changes_nothing() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("pre-deploy");
    let migrates = |step: &str| {
        service(
            &cluster,
            &namespace,
            "web",
            &format!(
                "command: {WELL}, env: [{{name: STEP, value: {step}}}], preDeploy: {{command: [sh, -c, 'echo \"migrates to $STEP\"; test $STEP != bad'], timeout: 60s}}"
            ),
            "",
        );
    };
    migrates("one");
    cluster.ready("service", &namespace, "web", 300);
    let first = active(&cluster, &namespace, "web");
    let release = cluster.get("deployment", &namespace, &first);
    assert!(
        release["status"]["preDeployTime"].is_string(),
        "{release:#}"
    );
    assert_eq!(commands(&cluster, &namespace).len(), 1);

    migrates("bad");
    let message = cluster.wait_reason("service", &namespace, "web", "PreDeployFailed", 120);
    assert!(message.contains("exit code 1"), "{message}");
    let service = cluster.get("service", &namespace, "web");
    assert_eq!(service["status"]["activeDeployment"], first, "{service:#}");
    let failed = service["status"]["latestDeployment"]
        .as_str()
        .expect("a release");
    let failed = cluster.get("deployment", &namespace, failed);
    assert_eq!(
        failed["status"]["failure"]["step"], "pre-deploy",
        "{failed:#}"
    );
    let log = failed["status"]["logTail"].as_str().unwrap_or_default();
    assert!(log.contains("migrates to bad"), "{failed:#}");
    let pods = cluster.list("pod", &namespace);
    let of_failed = |pod: &&Value| {
        let labels = &pod["metadata"]["labels"];
        labels["trackbed.dev/release"] == failed["metadata"]["name"]
            && labels["trackbed.dev/role"] == "app"
    };
    assert_eq!(
        pods.iter().find(of_failed),
        None,
        "no pod of it was started"
    );
    let host = cluster.host("web", "pre-deploy");
    cluster.answers(&host, "/passwd", 30, |answer| answer.status == 200);

    migrates("two");
    cluster.ready("service", &namespace, "web", 300);
    assert_ne!(active(&cluster, &namespace, "web"), first);
    assert_eq!(commands(&cluster, &namespace).len(), 3);

    let pin = format!("{{\"spec\":{{\"pin\":\"{first}\"}}}}");
    cluster.run(
        &[
            "patch",
            "services.trackbed.dev",
            "web",
            "-n",
            &namespace,
            "--type=merge",
            "-p",
            &pin,
        ],
        "",
    );
    eventually(120, || {
        let service = cluster.get("service", &namespace, "web");
        match service["status"]["activeDeployment"] == first {
            true => Ok(()),
            false => Err(format!("{service:#}")),
        }
    });
    assert_eq!(commands(&cluster, &namespace).len(), 3, "it ran already");
}

/// The newest release never becomes ready; going back and following the source again do not wait
/// for it.
#[test]
fn a_pin_and_its_end_count_at_once_also_during_a_rollout() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("pin");
    let at = |step: &str| {
        let run = format!(
            "command: [sh, -c, 'test $STEP = stuck && exec sleep 10000; exec httpd -f -p 8080 -h /etc'], env: [{{name: STEP, value: {step}}}], healthcheck: {{timeout: 10m}}"
        );
        service(&cluster, &namespace, "web", &run, "");
    };
    let pin = |pin: &str| {
        let patch = format!("{{\"spec\":{{\"pin\":{pin}}}}}");
        let object = ["patch", "services.trackbed.dev", "web", "-n", &namespace];
        cluster.run(&[&object[..], &["--type=merge", "-p", &patch]].concat(), "");
    };
    let is_active = |name: &str| {
        eventually(120, || match active(&cluster, &namespace, "web") {
            found if found == name => Ok(()),
            found => Err(format!("{found} is active, not {name}")),
        });
        let running =
            format!("jsonpath={{.spec.template.metadata.labels.trackbed\\.dev/release}}={name}");
        cluster.wait("deployments.apps", &namespace, "web", &running, 60);
    };
    let begins = |before: &str| {
        let mut name = String::new();
        eventually(60, || {
            let found = cluster.get("service", &namespace, "web");
            let latest = found["status"]["latestDeployment"].as_str();
            latest.unwrap_or_default().clone_into(&mut name);
            match name != before && !name.is_empty() {
                true => Ok(()),
                false => Err(format!("{found:#}")),
            }
        });
        let running = "jsonpath={.status.phase}=Progressing";
        cluster.wait("deployment", &namespace, &name, running, 60);
        name
    };
    at("one");
    cluster.ready("service", &namespace, "web", 300);
    let first = active(&cluster, &namespace, "web");
    at("two");
    let second = begins(&first);
    is_active(&second);
    let host = cluster.host("web", "pin");
    cluster.answers(&host, "/passwd", 60, |answer| answer.status == 200);
    let probe = cluster.probe(&host, "/passwd");

    at("stuck");
    let stuck = begins(&second);
    pin(&format!("\"{first}\""));
    is_active(&first);
    cluster.ready("service", &namespace, "web", 120);
    let phase = cluster.get("deployment", &namespace, &stuck)["status"]["phase"].clone();
    assert_ne!(phase, "Active", "it never was ready");

    // Unpinned, the newest is tried again; pinned while it is, the pinned one serves.
    pin("null");
    cluster.wait(
        "deployment",
        &namespace,
        &stuck,
        "jsonpath={.status.phase}=Progressing",
        60,
    );
    pin(&format!("\"{second}\""));
    is_active(&second);
    cluster.ready("service", &namespace, "web", 120);

    at("three");
    pin("null");
    let third = begins(&stuck);
    is_active(&third);
    cluster.ready("service", &namespace, "web", 120);
    println!("{} requests answered", probe.end());
}

#[test]
fn a_worker_has_no_address_and_is_healthy_while_it_runs() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("worker");
    service(
        &cluster,
        &namespace,
        "jobs",
        "worker: true, command: [sh, -c, 'test -z \"$PORT\" && exec sleep 100000']",
        "",
    );
    cluster.ready("service", &namespace, "jobs", 300);
    let found = cluster.get("service", &namespace, "jobs");
    assert_eq!(found["status"]["url"], Value::Null, "{found:#}");
    for kind in ["services", "ingresses"] {
        let found = cluster.run(&["get", kind, "-n", &namespace, "-o", "name"], "");
        assert_eq!(found.trim(), "", "a worker has no {kind}");
    }
    let good = active(&cluster, &namespace, "jobs");

    service(
        &cluster,
        &namespace,
        "jobs",
        "worker: true, command: [sh, -c, 'echo no work; exit 7']",
        "",
    );
    let message = cluster.wait_reason("service", &namespace, "jobs", "CrashLoop", 120);
    assert!(message.contains("exit code 7"), "{message}");
    assert_eq!(active(&cluster, &namespace, "jobs"), good);
}

#[test]
fn an_application_with_cron_runs_to_its_end_when_it_is_time() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("cron");
    let runs = |command: &str, more: &str| {
        let run = format!("command: [sh, -c, '{command}']");
        let cron = "  cron: {schedule: '* * * * *', timeZone: Europe/Berlin, timeout: 30s}\n";
        service(
            &cluster,
            &namespace,
            "report",
            &run,
            &(cron.to_owned() + more),
        );
    };
    let last = |result: &str| {
        eventually(150, || {
            let service = cluster.get("service", &namespace, "report");
            let last = &service["status"]["lastRun"];
            match last["result"] == result {
                true => Ok(last["job"].as_str().unwrap_or_default().to_owned()),
                false => Err(format!("{service:#}")),
            }
        })
    };
    runs("test -z \"$PORT\" && echo all is well", "");
    cluster.ready("service", &namespace, "report", 300);
    let pods = cluster.list("pod", &namespace);
    let app = pods
        .iter()
        .find(|it| it["metadata"]["labels"]["trackbed.dev/role"] == "app");
    assert_eq!(app, None, "nothing runs all the time");
    let job = format!("job/{}", last("Succeeded"));
    let log = cluster.run(&["logs", "-n", &namespace, &job], "");
    assert_eq!(log.trim(), "all is well");

    runs("echo no report; exit 3", "");
    last("Failed");
    let message = cluster.wait_reason("service", &namespace, "report", "Ready", 60);
    assert!(message.contains("* * * * *"), "{message}");

    runs("echo no report; exit 3", "  suspend: true\n");
    cluster.wait_reason("service", &namespace, "report", "Suspended", 60);
    let cron = cluster.get("cronjob", &namespace, "report");
    assert_eq!(cron["spec"]["suspend"], true, "{cron:#}");
}

#[test]
fn a_suspended_service_runs_no_pods_and_comes_back_as_it_was() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("suspend");
    let run = format!("command: {WELL}");
    service(
        &cluster,
        &namespace,
        "web",
        &run,
        "  scale: {replicas: 2}\n",
    );
    cluster.ready("service", &namespace, "web", 300);
    let release = active(&cluster, &namespace, "web");
    let suspended = "  scale: {replicas: 2}\n  suspend: true\n";
    service(&cluster, &namespace, "web", &run, suspended);
    cluster.wait_reason("service", &namespace, "web", "Suspended", 120);
    eventually(60, || match cluster.list("pod", &namespace).len() {
        0 => Ok(()),
        left => Err(format!("{left} pods are left")),
    });
    service(
        &cluster,
        &namespace,
        "web",
        &run,
        "  scale: {replicas: 2}\n",
    );
    cluster.ready("service", &namespace, "web", 300);
    assert_eq!(
        active(&cluster, &namespace, "web"),
        release,
        "no new release"
    );
    let releases = cluster.list("deployment", &namespace);
    assert_eq!(releases.len(), 1);
    assert_eq!(
        cluster.get("service", &namespace, "web")["status"]["replicas"],
        2
    );
}

#[test]
fn a_volume_keeps_what_was_written_also_without_its_service() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("volume");
    let writes = |text: &str, volume: &str| {
        let run = format!(
            "command: [sh, -c, 'echo {text} >>/data/log; exec httpd -f -p 8080 -h /data'], volumes: [{{name: data, mountPath: /data{volume}}}]"
        );
        service(&cluster, &namespace, "web", &run, "");
        cluster.ready("service", &namespace, "web", 300);
    };
    let host = cluster.host("web", "volume");
    let log = |expected: &str| {
        cluster.answers(&host, "/log", 60, |answer| answer.body == expected);
    };
    writes("one", ", size: 10Mi");
    log("one\n");
    writes("two", ", size: 10Mi");
    log("one\ntwo\n");
    let claim = cluster.get("persistentvolumeclaim", &namespace, "web-vol-data");
    cluster.delete("service", &namespace, "web");
    writes("three", ", size: 10Mi");
    log("one\ntwo\nthree\n");
    let kept = cluster.get("persistentvolumeclaim", &namespace, "web-vol-data");
    assert_eq!(kept["metadata"]["uid"], claim["metadata"]["uid"]);

    // The cluster's class cannot grow volumes: that is said, and the application runs on.
    let release = || {
        let service = cluster.get("service", &namespace, "web");
        let latest = service["status"]["latestDeployment"].as_str();
        latest.unwrap_or_default().to_owned()
    };
    let before = release();
    let run = "command: [httpd, -f, -p, \"8080\", -h, /data], volumes: [{name: data, mountPath: /data, size: 20Mi}]";
    service(&cluster, &namespace, "web", run, "");
    let latest = eventually(60, || match release() {
        same if same == before => Err(same),
        other => Ok(other),
    });
    let message = cluster.wait_reason("deployment", &namespace, &latest, "StorageCannotGrow", 120);
    assert!(message.contains("the application runs on"), "{message}");
    log("one\ntwo\nthree\n");
}
