//! The command before a release: YAML in (the release, its Job and pod), decision and status out.

mod failures;

use std::{fmt::Write, sync::Arc};

use expect_test::{Expect, expect};
use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::ResourceExt;
use serde::Deserialize;
use trackbed_api::{Deployment, Service};
use trackbed_deployment::{
    observe::{Place, Seen},
    plan::{Plan, needs, plan},
};
use trackbed_kit::{Config, conditions::conditions};

#[derive(Deserialize)]
struct Case {
    /// The first one decides.
    releases: Vec<Deployment>,
    #[serde(default)]
    jobs: Vec<Job>,
    #[serde(default)]
    pods: Vec<Pod>,
    #[serde(default)]
    log: Option<String>,
}

const SERVICE: &str = "
metadata: {name: web, namespace: shop-production, uid: u-web}
spec: {source: {git: {url: 'https://git.example.com/acme/shop'}}}
";
const BEGUN: &str = "phase: PreDeploy, startTime: '2026-01-01T00:09:50Z'";

fn release(sequence: i64, status: &str) -> String {
    format!(
        "- metadata: {{name: web-{sequence}, namespace: shop-production, uid: u-{sequence}, generation: 1}}
  spec:
    service: web
    sequence: {sequence}
    image: 'registry.example.com/web@sha256:aa'
    run: {{preDeploy: {{command: [npm, run, 'migrate $(X)'], timeout: 2m}}, env: [{{name: A, value: b}}], healthcheck: {{path: /healthz}}}}
  status: {{{status}}}
"
    )
}

/// A Job of release `sequence` with that condition.
fn job(sequence: i64, condition: &str) -> String {
    format!(
        "- metadata: {{name: web-{sequence}-pre, creationTimestamp: '2026-01-01T00:09:51Z', labels: {{trackbed.dev/release: web-{sequence}}}}}\n  status: {{conditions: [{condition}]}}\n"
    )
}

fn pod(status: &str) -> String {
    format!(
        "- metadata: {{name: web-3-pre-x, labels: {{trackbed.dev/release: web-3}}}}\n  status: {{{status}}}\n"
    )
}

fn ended(code: i32) -> String {
    pod(&format!(
        "phase: Failed, containerStatuses: [{{name: pre-deploy, image: web, imageID: '', ready: false, restartCount: 0, state: {{terminated: {{exitCode: {code}}}}}}}]"
    ))
}

fn of(yaml: &str) -> (Deployment, Seen) {
    let case: Case = serde_saphyr::from_str(yaml).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    let service: Service = serde_saphyr::from_str(SERVICE).expect("a Service");
    let object = case.releases.first().expect("a release decides").clone();
    let seen = Seen {
        place: Some(Place {
            preview_of: None,
            project: "shop".to_owned(),
            environment: "production".to_owned(),
        }),
        service: Some(Arc::new(service)),
        releases: case.releases.into_iter().map(Arc::new).collect(),
        jobs: case.jobs.into_iter().map(Arc::new).collect(),
        pre_deploy_pods: case.pods.into_iter().map(Arc::new).collect(),
        log: case.log,
        ..Seen::default()
    };
    (object, seen)
}

fn now() -> Timestamp {
    "2026-01-01T00:10:00Z".parse().expect("a time")
}

fn planned(yaml: &str) -> Plan {
    let (object, seen) = of(yaml);
    plan(&object, &seen, &Config::example(), now())
}

fn check(yaml: &str, expected: &Expect) {
    let (object, seen) = of(yaml);
    let Plan {
        children,
        job,
        outcome,
        ..
    } = plan(&object, &seen, &Config::example(), now());
    let mut out = format!("{:?}", outcome.status.phase);
    let name = job.as_ref().map(ResourceExt::name_any);
    let _ = match (name, children) {
        (Some(job), None) => writeln!(out, ", has Job {job} run"),
        (None, Some(_)) => writeln!(out, ", is applied"),
        (None, None) => writeln!(out),
        (Some(_), Some(_)) => panic!("both the command and the application"),
    };
    let status = &outcome.status;
    if let Some(time) = &status.pre_deploy_time {
        let _ = writeln!(out, "command succeeded {}", time.0);
    }
    if let Some(attempts) = status.attempts {
        let _ = writeln!(out, "attempts {attempts}");
    }
    if let Some(log) = needs(&object, &seen, now()).log {
        let _ = writeln!(out, "reads the log of {} of {}", log.container, log.pod);
    }
    if let Some(failure) = &status.failure {
        let (reason, code) = (failure.reason.as_str(), failure.exit_code);
        let step = failure.step.as_deref().unwrap_or("no step");
        let again = if failure.retryable {
            "again"
        } else {
            "for good"
        };
        let _ = writeln!(out, "{step} failed {again}: {reason}, exit code {code:?}");
    }
    for condition in conditions(&[], Some(1), &outcome.health, &outcome.facts, now()) {
        if condition.type_ == "Ready" {
            let (reason, message) = (condition.reason, condition.message);
            let _ = writeln!(out, "{reason}: {message}");
        }
    }
    if let Some(wait) = outcome.requeue {
        let _ = writeln!(out, "again in {} s", wait.as_secs());
    }
    expected.assert_eq(&out);
}

fn releases(list: &str) -> String {
    format!("releases:\n{list}")
}

#[test]
fn a_release_says_that_its_command_begins_and_then_has_it_run() {
    check(
        &releases(&release(3, "")),
        &expect![[r#"
        PreDeploy
        Progressing: the pre-deploy command runs
        again in 241 s
    "#]],
    );
    check(
        &releases(&release(3, BEGUN)),
        &expect![[r#"
        PreDeploy, has Job web-3-pre run
        Progressing: the pre-deploy command runs
        again in 231 s
    "#]],
    );
}

#[test]
fn the_job() {
    let job = planned(&releases(&release(3, BEGUN))).job.expect("a Job");
    expect![[r#"
        apiVersion: batch/v1
        kind: Job
        metadata:
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/project: shop
            trackbed.dev/release: web-3
            trackbed.dev/role: pre-deploy
            trackbed.dev/service: web
          name: web-3-pre
          namespace: shop-production
          ownerReferences:
          - apiVersion: trackbed.dev/v1alpha1
            controller: true
            kind: Deployment
            name: web-3
            uid: u-3
        spec:
          activeDeadlineSeconds: 180
          backoffLimit: 0
          podFailurePolicy:
            rules:
            - action: Ignore
              onPodConditions:
              - status: "True"
                type: DisruptionTarget
          template:
            metadata:
              labels:
                app.kubernetes.io/managed-by: trackbed
                trackbed.dev/project: shop
                trackbed.dev/release: web-3
                trackbed.dev/role: pre-deploy
                trackbed.dev/service: web
            spec:
              activeDeadlineSeconds: 120
              automountServiceAccountToken: false
              containers:
              - command:
                - npm
                - run
                - migrate $$(X)
                env:
                - name: PORT
                  value: "8080"
                - name: A
                  value: b
                image: registry.example.com/web@sha256:aa
                imagePullPolicy: IfNotPresent
                name: pre-deploy
                resources:
                  limits:
                    cpu: 500m
                    memory: 512Mi
                  requests:
                    cpu: 100m
                    memory: 128Mi
                securityContext:
                  allowPrivilegeEscalation: false
                  capabilities:
                    add:
                    - CHOWN
                    - DAC_OVERRIDE
                    - FOWNER
                    - KILL
                    - NET_BIND_SERVICE
                    - SETGID
                    - SETUID
                    drop:
                    - ALL
              enableServiceLinks: false
              imagePullSecrets:
              - name: trackbed-registry-pull
              restartPolicy: Never
              securityContext:
                seccompProfile:
                  type: RuntimeDefault
              terminationGracePeriodSeconds: 30
    "#]]
    .assert_eq(&serde_saphyr::to_string(&job).expect("YAML"));
}

#[test]
fn the_job_has_bindings_and_no_volumes() {
    let more = "run: {bindings: [{name: db}], volumes: [{name: data, mountPath: /data}], ";
    let release = release(3, BEGUN).replace("run: {", more);
    let job = planned(&releases(&release)).job.expect("a Job");
    let job = serde_json::to_value(job).expect("JSON");
    let pod = &job["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    expect![[r#"
        [{"name":"trackbed-binding-db","secret":{"secretName":"db-credentials"}}]
        [{"mountPath":"/bindings/db","name":"trackbed-binding-db","readOnly":true}]
    "#]]
    .assert_eq(&format!(
        "{}\n{}\n",
        pod["volumes"], container["volumeMounts"]
    ));
    let root = "SERVICE_BINDING_ROOT";
    assert!(container["env"].to_string().contains(root));
}

#[test]
fn a_command_that_succeeded_lets_the_release_begin() {
    let complete = job(3, "{type: Complete, status: 'True'}");
    let case = releases(&release(3, BEGUN));
    check(
        &format!("{case}jobs:\n{}", job(3, "")),
        &expect![[r#"
        PreDeploy, has Job web-3-pre run
        Progressing: the pre-deploy command runs
        again in 232 s
    "#]],
    );
    check(
        &format!("{case}jobs:\n{complete}"),
        &expect![[r#"
        Progressing
        command succeeded 2026-01-01T00:10:00Z
        Progressing: the release is being applied
        again in 301 s
    "#]],
    );
}

#[test]
fn a_command_runs_once_also_when_its_release_is_gone_back_to() {
    let done = "phase: Progressing, preDeployTime: '2026-01-01T00:09:55Z', startTime: '2026-01-01T00:09:55Z'";
    check(
        &releases(&release(3, done)),
        &expect![[r#"
        Progressing, is applied
        command succeeded 2026-01-01T00:09:55Z
        Progressing: 0 of 1 pod is ready
        again in 296 s
    "#]],
    );
    let served = "phase: Superseded, activeSince: '2025-01-01T00:00:00Z'";
    check(
        &releases(&release(3, served)),
        &expect![[r#"
        Progressing
        Progressing: the release is being applied
        again in 301 s
    "#]],
    );
}

#[test]
fn two_commands_of_a_service_do_not_run_at_once() {
    let case = releases(&release(3, "")) + "jobs:\n" + &job(2, "");
    check(
        &case,
        &expect![[r#"
        Pending
        Progressing: waits for the end of the pre-deploy command of web-2
    "#]],
    );
    let case = releases(&release(3, BEGUN)) + "jobs:\n" + &job(2, "");
    check(
        &case,
        &expect![[r#"
        PreDeploy
        Progressing: the pre-deploy command waits for the end of that of web-2
        again in 231 s
    "#]],
    );
    let other = release(2, BEGUN);
    check(
        &releases(&(release(3, "") + &other)),
        &expect![[r#"
        Pending
        Progressing: waits for the end of the pre-deploy command of web-2
    "#]],
    );
}

#[test]
fn a_newer_release_lets_a_command_that_runs_come_to_its_end() {
    let case = releases(&(release(3, BEGUN) + &release(4, "")));
    check(
        &format!("{case}jobs:\n{}", job(3, "")),
        &expect![[r#"
        Superseded
        Superseded: another release of Service web took over
    "#]],
    );
}
