//! Plans of a Build: YAML in (the Build, its Jobs and pod), a summary out.

mod attempts;
mod failures;
mod job;
mod progress;
mod waiting;

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
