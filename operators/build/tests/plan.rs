//! Plans of a Build: YAML in (the Build, its Jobs and pod), a summary out.

use std::{fmt::Write, sync::Arc};

use expect_test::{Expect, expect};
use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::ResourceExt;
use trackbed_api::{Build, build::BuildPhase, reason::Reason};
use trackbed_build::{
    observe::{Seen, Warning},
    plan::{Plan, plan, waits_for_secret},
    queue::Turn,
};
use trackbed_kit::{Config, conditions::conditions};

const COMMIT: &str = "3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6";
/// 2023-11-14T22:13:20Z
const NOW: i64 = 1_700_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).expect("a time")
}

fn build(spec: &str) -> Build {
    serde_saphyr::from_str(&format!(
        r"
metadata:
  name: web-3
  namespace: shop-production
  uid: u-build
  creationTimestamp: 2023-11-14T22:10:00Z
  ownerReferences: [{{apiVersion: trackbed.dev/v1alpha1, kind: Service, name: web, uid: u-web, controller: true}}]
spec:
  service: web
  sequence: 3
  source: {{git: {{url: 'https://git.example.com/acme/shop', commit: {COMMIT}, ref: refs/heads/main}}}}
{spec}"
    ))
    .expect("a Build")
}

fn job(name: &str, status: &str) -> Arc<Job> {
    let text = format!(
        "metadata: {{name: {name}, creationTimestamp: 2023-11-14T22:12:00Z, ownerReferences: [{{apiVersion: trackbed.dev/v1alpha1, kind: Build, name: web-3, uid: u-build, controller: true}}]}}\nstatus: {status}\n"
    );
    Arc::new(serde_saphyr::from_str(&text).expect("a Job"))
}

fn pod(status: &str) -> Arc<Pod> {
    let text = format!("metadata: {{name: web-3-x}}\nstatus: {status}\n");
    Arc::new(serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}")))
}

fn seen() -> Seen {
    Seen {
        project_name: Some("shop".to_owned()),
        claim: true,
        ..Seen::default()
    }
}

/// With one Job and its pod.
fn running(status: &str) -> Seen {
    Seen {
        jobs: vec![job("web-3", "{}")],
        pods: vec![pod(status)],
        ..seen()
    }
}

fn ended(container: &str, code: i32, message: &str) -> String {
    let message = serde_json::to_string(message).expect("text");
    format!(
        "{{name: {container}, image: i, imageID: i, ready: false, restartCount: 0, state: {{terminated: {{exitCode: {code}, reason: Error, message: {message}, startedAt: 2023-11-14T22:12:10Z, finishedAt: 2023-11-14T22:12:30Z}}}}}}"
    )
}

fn runs(container: &str) -> String {
    format!(
        "{{name: {container}, image: i, imageID: i, ready: true, restartCount: 0, state: {{running: {{startedAt: 2023-11-14T22:12:30Z}}}}}}"
    )
}

fn fetched() -> String {
    ended(
        "fetch",
        0,
        r#"{"plan": {"language": "node", "version": "22", "dockerfile": "generated"}, "message": "fix cart", "author": "Ada"}"#,
    )
}

fn summary(plan: &Plan) -> String {
    let mut out = String::new();
    let status = &plan.outcome.status;
    let line = |out: &mut String, text: String| writeln!(out, "{text}").expect("text");
    line(&mut out, format!("phase: {}", status.phase.as_str()));
    if let Some(found) = &status.plan {
        line(
            &mut out,
            format!("plan: {} {}", found.language, found.dockerfile),
        );
    }
    if let Some(image) = &status.image {
        line(&mut out, format!("image: {image}"));
    }
    if let Some(failure) = &status.failure {
        line(
            &mut out,
            format!(
                "failure: {:?} retryable={} step={:?} exit={:?}",
                failure.reason, failure.retryable, failure.step, failure.exit_code
            ),
        );
    }
    if let Some(log) = &status.log_tail {
        line(&mut out, format!("log: {log:?}"));
    }
    if let Some(claim) = &plan.children.claim {
        line(&mut out, format!("claim: {}", claim.name_any()));
    }
    if let Some(job) = &plan.children.job {
        line(&mut out, format!("job: {}", job.name_any()));
    }
    for job in &plan.children.stop {
        line(&mut out, format!("stop: {}", job.name_any()));
    }
    let (status, reason, message) = plan.outcome.health.ready();
    line(&mut out, format!("Ready={status} {reason}: {message}"));
    out
}

fn check(object: &Build, seen: &Seen, expected: &Expect) {
    expected.assert_eq(&summary(&plan(object, seen, &Config::example(), now())));
}

#[test]
fn it_starts_with_a_job_and_a_cache() {
    let mut seen = seen();
    seen.claim = false;
    check(
        &build(""),
        &seen,
        &expect![[r#"
        phase: Pending
        claim: web-build-cache
        job: web-3
        Ready=False Progressing: starts
    "#]],
    );
}

#[test]
fn the_job_gives_each_step_what_it_needs_and_no_more() {
    let object =
        build("  build: {args: {A: '$(echo) \"x\"'}, target: web, command: '--evil; rm -rf /'}\n");
    let mut config = Config::example();
    config.build.environment.https_proxy = Some("http://proxy:3128".to_owned());
    config.build.environment.ca_bundle = Some("PEM".to_owned());
    config.build.registry_mirror = Some("mirror:5000".to_owned());
    config.build.insecure_registries = vec!["mirror:5000".to_owned()];
    let mut object = object;
    object.spec.source.git.secret_ref = Some(trackbed_api::common::SecretReference {
        name: "login".into(),
    });
    let plan = plan(&object, &seen(), &config, now());
    let job = plan.children.job.expect("a Job");
    expect![[r#"
        activeDeadlineSeconds: 1260
        backoffLimit: 0
        template:
          metadata:
            labels:
              app.kubernetes.io/managed-by: trackbed
              trackbed.dev/build: web-3
              trackbed.dev/project: shop
              trackbed.dev/role: build
              trackbed.dev/service: web
          spec:
            automountServiceAccountToken: false
            containers:
            - args:
              - push
              - --layout=/workspace/image
              - --origin=/workspace/origin.json
              - >-
                --image=registry.example.com/apps/shop/web:3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
              - --result=/dev/termination-log
              - --patience=300
              - --invocation=shop-production/web-3
              - --auth-file=/etc/trackbed/registry/config.json
              - --ca-file=/etc/trackbed/environment/ca.crt
              command:
              - /trackbed
              env:
              - name: HTTPS_PROXY
                value: http://proxy:3128
              - name: SSL_CERT_FILE
                value: /etc/trackbed/environment/ca.crt
              image: docker.io/trackbed/operator:1
              name: push
              resources:
                limits:
                  cpu: "1"
                  memory: 512Mi
                requests:
                  cpu: 50m
                  memory: 64Mi
              securityContext:
                allowPrivilegeEscalation: false
                capabilities:
                  drop:
                  - ALL
                readOnlyRootFilesystem: true
                runAsGroup: 65532
                runAsNonRoot: true
                runAsUser: 65532
              volumeMounts:
              - mountPath: /workspace
                name: workspace
                readOnly: true
              - mountPath: /tmp
                name: tmp
              - mountPath: /etc/trackbed/registry
                name: registry
                readOnly: true
              - mountPath: /etc/trackbed/environment
                name: environment
                readOnly: true
            enableServiceLinks: false
            initContainers:
            - args:
              - fetch
              - --url=https://git.example.com/acme/shop
              - --commit=3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
              - --out=/workspace
              - --result=/dev/termination-log
              - --dockerfile=Dockerfile
              - --timeout=1200
              - --max-size=2Gi
              - --ref=refs/heads/main
              - --build=--evil; rm -rf /
              - --declare=BUNDLE_SSL_CA_CERT
              - --declare=CARGO_HTTP_CAINFO
              - --declare=COMPOSER_CAFILE
              - --declare=CURL_CA_BUNDLE
              - --declare=DENO_CERT
              - --declare=GIT_SSL_CAINFO
              - --declare=NODE_EXTRA_CA_CERTS
              - --declare=PIP_CERT
              - --declare=REQUESTS_CA_BUNDLE
              - --declare=SSL_CERT_FILE
              - --declare=TRACKBED_CACHE
              - --argument=A
              - --credentials-dir=/etc/trackbed/git
              command:
              - /trackbed
              env:
              - name: HTTPS_PROXY
                value: http://proxy:3128
              - name: SSL_CERT_FILE
                value: /etc/trackbed/environment/ca.crt
              - name: HOME
                value: /tmp
              image: docker.io/trackbed/operator:1
              name: fetch
              resources:
                limits:
                  cpu: "1"
                  memory: 512Mi
                requests:
                  cpu: 50m
                  memory: 64Mi
              securityContext:
                allowPrivilegeEscalation: false
                capabilities:
                  drop:
                  - ALL
                readOnlyRootFilesystem: true
                runAsGroup: 65532
                runAsNonRoot: true
                runAsUser: 65532
              volumeMounts:
              - mountPath: /workspace
                name: workspace
              - mountPath: /tmp
                name: tmp
              - mountPath: /etc/trackbed/git
                name: git
                readOnly: true
              - mountPath: /etc/trackbed/environment
                name: environment
                readOnly: true
            - args:
              - --context=dir:///workspace/context
              - --dockerfile=/workspace/Dockerfile
              - --no-push
              - --oci-layout-path=/workspace/image
              - >-
                --destination=registry.example.com/apps/shop/web:3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
              - --force
              - --log-format=text
              - --image-download-retry=3
              - --ignore-path=/etc/trackbed
              - --target=web
              - --build-arg=A=$$(echo) "x"
              - --build-arg=BUNDLE_SSL_CA_CERT=/etc/trackbed/environment/ca.crt
              - --build-arg=CARGO_HTTP_CAINFO=/etc/trackbed/environment/ca.crt
              - --build-arg=COMPOSER_CAFILE=/etc/trackbed/environment/ca.crt
              - --build-arg=CURL_CA_BUNDLE=/etc/trackbed/environment/ca.crt
              - --build-arg=DENO_CERT=/etc/trackbed/environment/ca.crt
              - --build-arg=GIT_SSL_CAINFO=/etc/trackbed/environment/ca.crt
              - --build-arg=HTTPS_PROXY=http://proxy:3128
              - --build-arg=NODE_EXTRA_CA_CERTS=/etc/trackbed/environment/ca.crt
              - --build-arg=PIP_CERT=/etc/trackbed/environment/ca.crt
              - --build-arg=REQUESTS_CA_BUNDLE=/etc/trackbed/environment/ca.crt
              - --build-arg=SSL_CERT_FILE=/etc/trackbed/environment/ca.crt
              - --build-arg=https_proxy=http://proxy:3128
              - --registry-mirror=mirror:5000
              - --insecure-registry=mirror:5000
              - --insecure-pull
              - --cache=true
              - --cache-copy-layers=true
              - --cache-repo=oci:/cache/layers
              - --build-arg=TRACKBED_CACHE=/cache/programs
              - --compressed-caching=false
              env:
              - name: HTTPS_PROXY
                value: http://proxy:3128
              - name: SSL_CERT_FILE
                value: /etc/trackbed/environment/ca.crt
              - name: FF_KANIKO_HASH_DIR_FRAMING
                value: "true"
              - name: FF_KANIKO_RESOLVE_CACHE_KEY
                value: "true"
              - name: FF_KANIKO_ROLLING_CACHE_KEY
                value: "true"
              - name: FF_KANIKO_SCOPED_DOCKERIGNORE
                value: "true"
              - name: FF_KANIKO_SKIP_WRITE_WHITEOUTS
                value: "true"
              image: example.com/kaniko/executor:v1
              name: build
              resources:
                limits:
                  cpu: "2"
                  ephemeral-storage: 20Gi
                  memory: 4Gi
                requests:
                  cpu: 250m
                  ephemeral-storage: "0"
                  memory: 512Mi
              securityContext:
                allowPrivilegeEscalation: false
                capabilities:
                  add:
                  - CHOWN
                  - DAC_OVERRIDE
                  - FOWNER
                  - FSETID
                  - KILL
                  - MKNOD
                  - SETFCAP
                  - SETGID
                  - SETUID
                  drop:
                  - ALL
                runAsGroup: 0
                runAsUser: 0
              volumeMounts:
              - mountPath: /workspace
                name: workspace
              - mountPath: /etc/trackbed/environment
                name: environment
                readOnly: true
              - mountPath: /cache
                name: cache
            - args:
              - hand-over
              - --layout=/workspace/image
              - --result=/dev/termination-log
              - --cache-dir=/cache
              - --cache-max=4294967296
              command:
              - /trackbed
              image: docker.io/trackbed/operator:1
              name: hand-over
              resources:
                limits:
                  cpu: "1"
                  memory: 512Mi
                requests:
                  cpu: 50m
                  memory: 64Mi
              securityContext:
                allowPrivilegeEscalation: false
                capabilities:
                  drop:
                  - ALL
                readOnlyRootFilesystem: true
                runAsGroup: 0
                runAsUser: 0
              volumeMounts:
              - mountPath: /workspace
                name: workspace
              - mountPath: /cache
                name: cache
            restartPolicy: Never
            securityContext:
              fsGroup: 65532
              fsGroupChangePolicy: OnRootMismatch
              seccompProfile:
                type: RuntimeDefault
            terminationGracePeriodSeconds: 5
            volumes:
            - emptyDir:
                sizeLimit: 20Gi
              name: workspace
            - emptyDir:
                sizeLimit: 20Gi
              name: tmp
            - name: git
              secret:
                defaultMode: 288
                secretName: login
            - name: registry
              secret:
                defaultMode: 288
                items:
                - key: .dockerconfigjson
                  path: config.json
                secretName: trackbed-registry-push
            - configMap:
                items:
                - key: ca.crt
                  path: ca.crt
                name: trackbed-build
              name: environment
            - name: cache
              persistentVolumeClaim:
                claimName: web-build-cache
    "#]].assert_eq(&serde_saphyr::to_string(&job.spec).expect("YAML"));
}

#[test]
fn phases_follow_the_containers() {
    for (statuses, phase) in [
        ("{phase: Pending}".to_owned(), BuildPhase::Pending),
        (
            format!("{{initContainerStatuses: [{}]}}", runs("fetch")),
            BuildPhase::Fetching,
        ),
        (
            format!("{{initContainerStatuses: [{}]}}", fetched()),
            BuildPhase::Building,
        ),
        (
            format!(
                "{{initContainerStatuses: [{}, {}]}}",
                fetched(),
                runs("build")
            ),
            BuildPhase::Building,
        ),
        (
            format!(
                "{{initContainerStatuses: [{}, {}, {}]}}",
                fetched(),
                ended("build", 0, ""),
                runs("hand-over")
            ),
            BuildPhase::Pushing,
        ),
        (
            format!(
                "{{initContainerStatuses: [{}, {}, {}], containerStatuses: [{}]}}",
                fetched(),
                ended("build", 0, ""),
                ended("hand-over", 0, ""),
                runs("push")
            ),
            BuildPhase::Pushing,
        ),
    ] {
        let plan = plan(&build(""), &running(&statuses), &Config::example(), now());
        assert_eq!(plan.outcome.status.phase, phase, "{statuses}");
    }
}

#[test]
fn the_digest_is_what_push_said() {
    let pushed = ended(
        "push",
        0,
        r#"{"image": "registry.example.com/apps/shop/web@sha256:abc", "digest": "sha256:abc"}"#,
    );
    let status = format!(
        "{{initContainerStatuses: [{}, {}], containerStatuses: [{pushed}]}}",
        fetched(),
        ended("build", 0, "")
    );
    check(
        &build(""),
        &running(&status),
        &expect![[r#"
        phase: Succeeded
        plan: node generated
        image: registry.example.com/apps/shop/web@sha256:abc
        Ready=True Ready: made registry.example.com/apps/shop/web@sha256:abc
    "#]],
    );
}

#[test]
fn each_failure_has_its_reason() {
    let fetch = |message: &str| (ended("fetch", 1, message), None);
    let kaniko = |code: i32, log: &str| {
        (
            format!("{}, {}", fetched(), ended("build", code, "")),
            Some(log.to_owned()),
        )
    };
    let cases = [
        (
            fetch(r#"{"reason": "CommitNotFound", "message": "no commit"}"#),
            Reason::CommitNotFound,
        ),
        (
            fetch(r#"{"reason": "NoLanguageDetected", "message": "no language"}"#),
            Reason::NoLanguageDetected,
        ),
        (fetch("panic"), Reason::BuildJobFailed),
        (
            (
                format!(
                    "{}, {}, {}",
                    fetched(),
                    ended("build", 0, ""),
                    ended(
                        "hand-over",
                        1,
                        r#"{"reason": "BuildJobFailed", "message": "a link"}"#
                    )
                ),
                None,
            ),
            Reason::BuildJobFailed,
        ),
        (
            kaniko(1, "INFO RUN x\nerror building image: exit status 3\n"),
            Reason::BuildFailed,
        ),
        (
            kaniko(
                1,
                "error building image: GET https://h/v2/a/manifests/b: MANIFEST_UNKNOWN\n",
            ),
            Reason::BaseImageUnavailable,
        ),
        (
            kaniko(
                1,
                "error building image: unable to complete operation after 3 attempts, last error: Get \"https://h/v2/\": dial tcp: lookup h: no such host\n",
            ),
            Reason::RegistryUnavailable,
        ),
        (
            kaniko(
                1,
                "time=\"x\" level=info msg=\"Retrieving image manifest a:1\"\ntime=\"x\" level=warning msg=\"last error: GET http://m/a: MANIFEST_UNKNOWN\"\nerror building image: unable to complete operation after 3 attempts, last error: Get \"https://index.docker.io/v2/\": Bad Gateway\n",
            ),
            Reason::BaseImageUnavailable,
        ),
        (kaniko(137, "x"), Reason::Evicted),
        (
            kaniko(
                1,
                "npm error code ENOSPC\nerror building image: exit status 1\n",
            ),
            Reason::DiskFull,
        ),
        (
            kaniko(
                1,
                "dd: error writing '/x': No space left on device\nerror building image: exit status 1\n",
            ),
            Reason::DiskFull,
        ),
        (
            kaniko(1, "error building image: signal: killed"),
            Reason::OutOfMemory,
        ),
    ];
    for ((statuses, log), reason) in cases {
        let mut seen = running(&format!("{{initContainerStatuses: [{statuses}]}}"));
        seen.log = log;
        // The last attempt: what may pass is final too.
        seen.jobs = vec![
            job("web-3", "{}"),
            job("web-3-try2", "{}"),
            job("web-3-try3", "{}"),
        ];
        let plan = plan(&build(""), &seen, &Config::example(), now());
        let status = &plan.outcome.status;
        assert_eq!(
            status.failure.as_ref().map(|it| it.reason),
            Some(reason),
            "{statuses}"
        );
        assert_eq!(status.phase, BuildPhase::Failed);
    }
}

#[test]
fn a_build_without_a_place_costs_no_pod() {
    for (place, expected) in [
        (
            3,
            expect![[r#"
                phase: Queued
                Ready=False Progressing: waits for a place, number 3 in the queue
            "#]],
        ),
        (
            40,
            expect![[r#"
                phase: Queued
                Ready=False Progressing: waits for a place, about number 40 in the queue
            "#]],
        ),
    ] {
        let mut seen = seen();
        seen.claim = false;
        seen.turn = Some(Turn::Waits(place));
        check(&build(""), &seen, &expected);
    }
}

#[test]
fn a_newer_build_ends_an_older_one() {
    let mut seen = running(&format!("{{initContainerStatuses: [{}]}}", runs("fetch")));
    seen.superseded_by = Some("web-4".to_owned());
    check(
        &build(""),
        &seen,
        &expect![[r#"
            phase: Superseded
            stop: web-3
            Ready=False Superseded: the newer Build web-4 took over
        "#]],
    );
    let mut object = build("");
    object.status = Some(
        plan(&object, &seen, &Config::example(), now())
            .outcome
            .status,
    );
    check(
        &object,
        &seen,
        &expect![[r#"
            phase: Superseded
            stop: web-3
            Ready=False Superseded: the newer Build web-4 took over
        "#]],
    );
}

#[test]
fn a_failed_command_is_told_with_its_instruction() {
    let status = format!(
        "{{initContainerStatuses: [{}, {}]}}",
        fetched(),
        ended("build", 1, "")
    );
    let mut seen = running(&status);
    seen.log = Some(
        r#"time="2026-11-23T15:59:17Z" level=info msg="RUN npm ci"
npm error 404 Not Found
error building image: error building stage: failed to execute command: waiting for process to exit: exit status 217
"#
        .to_owned(),
    );
    check(
        &build(""),
        &seen,
        &expect![[r#"
            phase: Failed
            plan: node generated
            failure: BuildFailed retryable=false step=Some("build") exit=Some(217)
            log: "time=\"2026-11-23T15:59:17Z\" level=info msg=\"RUN npm ci\"\nnpm error 404 Not Found\nerror building image: error building stage: failed to execute command: waiting for process to exit: exit status 217\n"
            Ready=False BuildFailed: RUN npm ci ended with exit code 217: npm error 404 Not Found
        "#]],
    );
}

#[test]
fn a_running_build_tells_its_instruction() {
    let status = format!(
        "{{initContainerStatuses: [{}, {}]}}",
        fetched(),
        runs("build")
    );
    let mut seen = running(&status);
    seen.log = Some(
        "time=\"2026-11-23T15:59:17Z\" level=info msg=\"RUN npm ci\"\nadded 3 packages\n"
            .to_owned(),
    );
    let mut object = build("");
    let told = plan(&object, &seen, &Config::example(), now()).outcome;
    assert_eq!(told.status.step.as_deref(), Some("RUN npm ci"));
    assert_eq!(told.requeue.map(|it| it.as_secs()), Some(5));
    // The instruction may have left the part of the log that is read.
    object.status = Some(told.status);
    seen.log = Some("added 30 packages\n".to_owned());
    let told = plan(&object, &seen, &Config::example(), now()).outcome;
    assert_eq!(told.status.step.as_deref(), Some("RUN npm ci"));
}

#[test]
fn what_took_too_much_disk_is_not_what_others_took() {
    for (words, reason) in [
        (
            "Usage of EmptyDir volume \"workspace\" exceeds the limit \"20Gi\". ",
            Reason::DiskFull,
        ),
        (
            "Container build exceeded its local ephemeral storage limit \"20Gi\". ",
            Reason::DiskFull,
        ),
        (
            "The node was low on resource: ephemeral-storage. ",
            Reason::Evicted,
        ),
    ] {
        let words = serde_json::to_string(words).expect("text");
        let status = format!(
            "{{phase: Failed, reason: Evicted, message: {words}, initContainerStatuses: [{}, {}]}}",
            fetched(),
            ended("build", 137, "")
        );
        let plan = plan(&build(""), &running(&status), &Config::example(), now());
        let failure = plan.outcome.status.failure.map(|it| it.reason);
        assert_eq!(failure, Some(reason), "{words}");
    }
}

#[test]
fn a_pod_that_did_not_begin_or_is_gone_was_lost() {
    let bare = "{phase: Failed, reason: Evicted, message: 'The node had condition: [DiskPressure].', conditions: [{type: DisruptionTarget, status: 'True', lastTransitionTime: 2023-11-14T22:13:19Z}]}";
    check(
        &build(""),
        &running(bare),
        &expect![[r#"
            phase: Pending
            failure: Evicted retryable=true step=Some("fetch") exit=None
            Ready=False Evicted: the node put the build out: The node had condition: [DiskPressure].; attempt 2 of 3 follows
        "#]],
    );
    let mut seen = seen();
    seen.jobs = vec![job(
        "web-3",
        "{conditions: [{type: Failed, status: 'True', reason: BackoffLimitExceeded, lastTransitionTime: 2023-11-14T22:13:19Z}]}",
    )];
    check(
        &build(""),
        &seen,
        &expect![[r#"
            phase: Pending
            failure: Evicted retryable=true step=None exit=None
            Ready=False Evicted: its pod is gone, deleted or lost with its node (BackoffLimitExceeded); attempt 2 of 3 follows
        "#]],
    );
}

#[test]
fn a_failure_keeps_its_log_and_stops_the_rest() {
    let status = format!(
        "{{initContainerStatuses: [{}, {}]}}",
        fetched(),
        ended("build", 1, "")
    );
    let mut seen = running(&status);
    seen.log = Some(
        "RUN make\n\u{1b}[31mmake: *** no rule\u{1b}[0m\nerror building image: exit status 2\n"
            .to_owned(),
    );
    check(
        &build(""),
        &seen,
        &expect![[r#"
            phase: Failed
            plan: node generated
            failure: BuildFailed retryable=false step=Some("build") exit=Some(2)
            log: "RUN make\n[31mmake: *** no rule[0m\nerror building image: exit status 2\n"
            Ready=False BuildFailed: the build ended: error building image: exit status 2
        "#]],
    );
}

#[test]
fn what_may_pass_is_tried_again_three_times_at_most() {
    let refused = ended(
        "fetch",
        1,
        r#"{"reason": "HostUnreachable", "message": "the host does not answer"}"#,
    );
    let mut seen = running(&format!("{{initContainerStatuses: [{refused}]}}"));
    check(
        &build(""),
        &seen,
        &expect![[r#"
        phase: Pending
        failure: HostUnreachable retryable=true step=Some("fetch") exit=Some(1)
        job: web-3-try2
        Ready=False HostUnreachable: the host does not answer; attempt 2 of 3 follows
    "#]],
    );
    seen.jobs.push(job("web-3-try2", "{}"));
    seen.jobs.push(job("web-3-try3", "{}"));
    check(
        &build(""),
        &seen,
        &expect![[r#"
        phase: Failed
        failure: HostUnreachable retryable=true step=Some("fetch") exit=Some(1)
        Ready=False HostUnreachable: the host does not answer; that was attempt 3 of 3
    "#]],
    );
}

#[test]
fn what_is_built_is_not_built_again_for_a_registry() {
    let refused = ended(
        "push",
        1,
        r#"{"reason": "RegistryUnavailable", "message": "registry does not answer"}"#,
    );
    let status = format!(
        "{{initContainerStatuses: [{}, {}], containerStatuses: [{refused}]}}",
        fetched(),
        ended("build", 0, "")
    );
    check(
        &build(""),
        &running(&status),
        &expect![[r#"
        phase: Failed
        plan: node generated
        failure: RegistryUnavailable retryable=true step=Some("push") exit=Some(1)
        Ready=False RegistryUnavailable: registry does not answer
    "#]],
    );
}

/// A container that ended with that code and reason.
fn killed(container: &str, code: i32, reason: &str) -> String {
    ended(container, code, "").replace("reason: Error", &format!("reason: {reason}"))
}

#[test]
fn a_build_that_was_killed_is_not_taken_for_one_that_failed() {
    for (code, reason, expected) in [
        (137, "OOMKilled", Reason::OutOfMemory),
        (1, "OOMKilled", Reason::OutOfMemory),
        (137, "Error", Reason::Evicted),
        (255, "Unknown", Reason::Evicted),
        (137, "ContainerStatusUnknown", Reason::Evicted),
        (255, "Error", Reason::BuildFailed),
    ] {
        let status = format!(
            "{{initContainerStatuses: [{}, {}]}}",
            fetched(),
            killed("build", code, reason)
        );
        let plan = plan(&build(""), &running(&status), &Config::example(), now());
        let failure = plan.outcome.status.failure.map(|it| it.reason);
        assert_eq!(failure, Some(expected), "{code} {reason}");
    }
}

#[test]
fn what_ends_after_its_pods_deletion_ended_by_it() {
    let status = format!(
        "{{initContainerStatuses: [{}, {}]}}",
        fetched(),
        ended("build", 2, "")
    );
    let deleted = |at: &str| {
        let mut seen = running(&status);
        let text = format!(
            "metadata: {{name: web-3-x, deletionTimestamp: {at}, deletionGracePeriodSeconds: 5}}\nstatus: {status}\n"
        );
        seen.pods = vec![Arc::new(serde_saphyr::from_str(&text).expect("a Pod"))];
        seen
    };
    // The container ended at 22:12:30.
    check(
        &build(""),
        &deleted("2023-11-14T22:12:31Z"),
        &expect![[r#"
        phase: Pending
        plan: node generated
        failure: Evicted retryable=true step=Some("build") exit=Some(2)
        job: web-3-try2
        Ready=False Evicted: its pod was deleted, or put off its node, during step build; attempt 2 of 3 follows
    "#]],
    );
    check(
        &build(""),
        &deleted("2023-11-14T22:13:31Z"),
        &expect![[r#"
        phase: Failed
        plan: node generated
        failure: BuildFailed retryable=false step=Some("build") exit=Some(2)
        Ready=False BuildFailed: the build ended with exit code 2
    "#]],
    );
}

#[test]
fn a_job_that_somebody_deletes_is_made_again_and_not_for_ever() {
    let mut object = build("");
    object.status = Some(trackbed_api::BuildStatus {
        phase: BuildPhase::Building,
        attempts: 1,
        ..Default::default()
    });
    let mut seen = seen();
    seen.turn = Some(Turn::Now);
    check(
        &object,
        &seen,
        &expect![[r#"
        phase: Pending
        failure: BuildJobFailed retryable=true step=None exit=None
        job: web-3
        Ready=False BuildJobFailed: its Job is gone: somebody, or something that cleans up, deleted it; attempt 2 of 3 follows
    "#]],
    );
    object.status.get_or_insert_default().attempts = 3;
    check(
        &object,
        &seen,
        &expect![[r#"
        phase: Failed
        failure: BuildJobFailed retryable=true step=None exit=None
        Ready=False BuildJobFailed: its Job is gone: somebody, or something that cleans up, deleted it; that was attempt 3 of 3
    "#]],
    );
}

#[test]
fn a_pod_that_is_refused_is_waited_for_and_not_for_ever() {
    let mut seen = seen();
    seen.jobs = vec![job("web-3", "{}")];
    seen.warning = Some(Warning {
        reason: "FailedCreate".to_owned(),
        message: "Error creating: pods \"web-3-x\" is forbidden: exceeded quota: trackbed, requested: requests.cpu=250m, used: requests.cpu=1, limited: requests.cpu=1".to_owned(),
    });
    check(
        &build(""),
        &seen,
        &expect![[r#"
        phase: Pending
        Ready=False QuotaExceeded: a quota or policy of the namespace refuses the build's pod (exceeded quota: trackbed, requested: requests.cpu=250m, used: requests.cpu=1, limited: requests.cpu=1): lower build.resources, or raise the Project's quota
    "#]],
    );
    let late = build("  build: {timeout: 60s}\n");
    check(
        &late,
        &seen,
        &expect![[r#"
        phase: Failed
        failure: QuotaExceeded retryable=true step=None exit=None
        stop: web-3
        Ready=False QuotaExceeded: a quota or policy of the namespace refuses the build's pod (exceeded quota: trackbed, requested: requests.cpu=250m, used: requests.cpu=1, limited: requests.cpu=1): lower build.resources, or raise the Project's quota; that was so for 60s
    "#]],
    );
    // The pod is there in the end.
    seen.pods = vec![pod(&format!(
        "{{initContainerStatuses: [{}]}}",
        runs("fetch")
    ))];
    check(
        &build(""),
        &seen,
        &expect![[r#"
        phase: Fetching
        Ready=False Progressing: fetches the source
    "#]],
    );
}

#[test]
fn a_secret_that_went_away_is_named() {
    let mut seen = running("{phase: Pending}");
    seen.warning = Some(Warning {
        reason: "FailedMount".to_owned(),
        message: "MountVolume.SetUp failed for volume \"git\" : secret \"login\" not found"
            .to_owned(),
    });
    check(
        &build(""),
        &seen,
        &expect![[r#"
        phase: Pending
        Ready=False SecretInvalid: a Secret of the build is not there, or lacks a key: MountVolume.SetUp failed for volume "git" : secret "login" not found
    "#]],
    );
}

#[test]
fn an_evicted_build_is_tried_again() {
    let status = format!(
        "{{reason: Evicted, message: low on disk, initContainerStatuses: [{}]}}",
        ended("fetch", 137, "")
    );
    check(
        &build(""),
        &running(&status),
        &expect![[r#"
            phase: Pending
            failure: Evicted retryable=true step=Some("fetch") exit=Some(137)
            job: web-3-try2
            Ready=False Evicted: step fetch was killed: its node went down, or somebody ended it; attempt 2 of 3 follows
        "#]],
    );
}

#[test]
fn a_build_that_takes_too_long_says_what_it_was_doing() {
    let object = build("  build: {timeout: 60s}\n");
    let mut seen = running(&format!(
        "{{initContainerStatuses: [{}, {}]}}",
        fetched(),
        runs("build")
    ));
    seen.log = Some("RUN sleep 3600\n".to_owned());
    check(
        &object,
        &seen,
        &expect![[r#"
        phase: Failed
        plan: node generated
        failure: BuildTimeout retryable=false step=Some("build") exit=None
        log: "RUN sleep 3600\n"
        stop: web-3
        Ready=False BuildTimeout: the build was still building the image after 60s: raise build.timeout, or look in the log for what it waited for
    "#]],
    );
    let fetching = format!("{{initContainerStatuses: [{}]}}", runs("fetch"));
    check(
        &object,
        &running(&fetching),
        &expect![[r#"
        phase: Failed
        failure: SourceTimeout retryable=true step=Some("fetch") exit=None
        stop: web-3
        Ready=False SourceTimeout: the source was not fetched within 60s: raise build.timeout, or look why https://git.example.com/acme/shop takes that long
    "#]],
    );
    check(
        &object,
        &running("{phase: Pending}"),
        &expect![[r#"
        phase: Failed
        failure: BuildTimeout retryable=false step=None exit=None
        stop: web-3
        Ready=False BuildTimeout: the build was still waiting for its pod after 60s: raise build.timeout, or look in the log for what it waited for
    "#]],
    );
    let unscheduled = "{conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: 0/1 nodes}]}";
    check(
        &object,
        &running(unscheduled),
        &expect![[r#"
            phase: Failed
            failure: Unschedulable retryable=true step=None exit=None
            stop: web-3
            Ready=False Unschedulable: no node has room for the build (0/1 nodes): lower build.resources.requests, or add nodes; that was so for 60s
        "#]],
    );
}

#[test]
fn what_keeps_a_pod_from_starting_is_named() {
    let unscheduled = "{conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: 0/1 nodes}]}";
    check(
        &build(""),
        &running(unscheduled),
        &expect![[r#"
            phase: Pending
            Ready=False Unschedulable: no node has room for the build (0/1 nodes): lower build.resources.requests, or add nodes
        "#]],
    );
    let pull = "{initContainerStatuses: [{name: fetch, image: i, imageID: '', ready: false, restartCount: 0, state: {waiting: {reason: ErrImagePull, message: not found}}}]}";
    check(
        &build(""),
        &running(pull),
        &expect![[r#"
            phase: Pending
            Ready=False ImagePullFailed: the image of step fetch, which the operator's settings name, cannot be pulled: not found
        "#]],
    );
}

#[test]
fn a_job_that_ended_without_a_pod_is_tried_again() {
    let mut seen = seen();
    seen.jobs = vec![job(
        "web-3",
        "{conditions: [{type: Failed, status: 'True', reason: BackoffLimitExceeded, message: gone, lastTransitionTime: 2023-11-14T22:12:00Z}]}",
    )];
    check(
        &build(""),
        &seen,
        &expect![[r#"
            phase: Pending
            failure: Evicted retryable=true step=None exit=None
            job: web-3-try2
            Ready=False Evicted: its pod is gone, deleted or lost with its node (BackoffLimitExceeded: gone); attempt 2 of 3 follows
        "#]],
    );
}

#[test]
fn a_cancelled_build_stops() {
    let object = build("  cancel: true\n");
    check(
        &object,
        &running("{phase: Running}"),
        &expect![[r#"
        phase: Cancelled
        stop: web-3
        Ready=False Cancelled: was cancelled
    "#]],
    );
}

#[test]
fn what_ended_is_never_run_again() {
    let mut object = build("");
    object.status = Some(trackbed_api::BuildStatus {
        phase: BuildPhase::Succeeded,
        image: Some("registry.example.com/a@sha256:abc".to_owned()),
        ..Default::default()
    });
    check(
        &object,
        &seen(),
        &expect![[r#"
        phase: Succeeded
        image: registry.example.com/a@sha256:abc
        Ready=True Ready: made registry.example.com/a@sha256:abc
    "#]],
    );
}

#[test]
fn a_missing_secret_is_named_before_anything_starts() {
    let mut seen = seen();
    seen.secret = Some("Secret login does not exist".to_owned());
    check(
        &build(""),
        &seen,
        &expect![[r#"
        phase: Pending
        Ready=False SecretInvalid: Secret login does not exist
    "#]],
    );
    let mut object = build("");
    assert!(!waits_for_secret(&object));
    let plan = plan(&object, &seen, &Config::example(), now());
    let mut status = plan.outcome.status;
    status.conditions = conditions(&[], None, &plan.outcome.health, &[], now());
    object.status = Some(status);
    assert!(waits_for_secret(&object));
}
