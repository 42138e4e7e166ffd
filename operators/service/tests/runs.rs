//! Applications that run at certain times or as the load asks for: their Jobs and autoscalers in,
//! what status says of them out.

use std::{fmt::Write, sync::Arc};

use expect_test::{Expect, expect};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1 as appsv1, autoscaling::v2::HorizontalPodAutoscaler, batch::v1::Job,
};
use serde::Deserialize;
use trackbed_api::{Deployment, Service};
use trackbed_kit::Config;
use trackbed_service::{
    observe::{Place, Seen},
    plan::plan,
    source::Look,
};

#[derive(Deserialize)]
struct Case {
    service: Service,
    releases: Vec<Deployment>,
    #[serde(default)]
    runs: Vec<Job>,
    #[serde(default)]
    workload: Option<appsv1::Deployment>,
    #[serde(default)]
    scaler: Option<HorizontalPodAutoscaler>,
}

fn case(status: &str, runs: &str) -> String {
    let digest = "0".repeat(64);
    format!(
        "service:
  metadata: {{name: web, namespace: shop-production, uid: u-web, generation: 1}}
  spec: {{source: {{image: {{reference: ghcr.io/acme/web}}}}, cron: {{schedule: '*/5 * * * *', timeZone: Etc/UTC}}}}
  status: {{source: {{sequence: 1, image: 'ghcr.io/acme/web@sha256:{digest}'}}{status}}}
releases:
- metadata: {{name: web-1, namespace: shop-production}}
  spec: {{service: web, sequence: 1, image: 'ghcr.io/acme/web@sha256:{digest}', run: {{}}}}
  status: {{phase: Active}}
{runs}"
    )
}

fn job(name: &str, minute: u32, status: &str) -> String {
    format!(
        "- metadata: {{name: {name}, creationTimestamp: '2026-01-01T00:{minute:02}:00Z'}}\n  status: {{startTime: '2026-01-01T00:{minute:02}:01Z', {status}}}\n"
    )
}

fn check(yaml: &str, expected: &Expect) {
    let case: Case = serde_saphyr::from_str(yaml).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    let seen = Seen {
        place: Some(Place {
            preview_of: None,
            project: "shop".to_owned(),
            environment: "production".to_owned(),
        }),
        releases: case.releases.into_iter().map(Arc::new).collect(),
        runs: case.runs.into_iter().map(Arc::new).collect(),
        workload: case.workload.map(Arc::new),
        scaler: case.scaler.map(Arc::new),
        look: Look::Unknown,
        ..Seen::default()
    };
    let now = Timestamp::from_second(1_700_000_000).expect("a time");
    let outcome = plan(&case.service, &seen, &Config::example(), now).outcome;
    let mut out = String::new();
    if let Some(run) = &outcome.status.last_run {
        let time = |time: &Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
            time.as_ref().map_or("-".to_owned(), |it| it.0.to_string())
        };
        let (began, ended) = (time(&run.start_time), time(&run.completion_time));
        let _ = writeln!(out, "{} {:?} {began} {ended}", run.job, run.result);
    }
    for fact in &outcome.facts {
        if ["LastRunSucceeded", "ScalingActive", "Available"].contains(&fact.kind) {
            let status = fact.status;
            let _ = writeln!(
                out,
                "{} {status:?} {}: {}",
                fact.kind, fact.reason, fact.message
            );
        }
    }
    let (status, _, message) = outcome.health.ready();
    let _ = writeln!(out, "Ready {status}: {message}");
    let cron = case.service.spec.cron.is_some();
    assert_eq!(outcome.status.url.is_none(), cron, "nobody can reach a run");
    expected.assert_eq(&out);
}

#[test]
fn a_run_is_waited_for() {
    check(
        &case("", ""),
        &expect![[r#"
        Available Some(true) Ready: it runs when it is time
        LastRunSucceeded None NoRun: it has not been time for a run yet (*/5 * * * *)
        Ready True: Deployment web-1 runs image ghcr.io/acme/web@sha256:0000000000000000000000000000000000000000000000000000000000000000 at '*/5 * * * *' (Etc/UTC)
    "#]],
    );
}

#[test]
fn the_last_run_is_the_newest_that_is_kept() {
    let complete = "conditions: [{type: SuccessCriteriaMet, status: 'True'}, {type: Complete, status: 'True', lastTransitionTime: '2026-01-01T00:05:09Z'}]";
    let failed =
        "conditions: [{type: Failed, status: 'True', lastTransitionTime: '2026-01-01T00:10:09Z'}]";
    let (one, two) = (job("web-1", 5, complete), job("web-2", 10, failed));
    check(
        &case("", &format!("runs:\n{one}")),
        &expect![[r#"
        web-1 Succeeded 2026-01-01T00:05:01Z 2026-01-01T00:05:09Z
        Available Some(true) Ready: it runs when it is time
        LastRunSucceeded Some(true) Succeeded: Job web-1 succeeded
        Ready True: Deployment web-1 runs image ghcr.io/acme/web@sha256:0000000000000000000000000000000000000000000000000000000000000000 at '*/5 * * * *' (Etc/UTC)
    "#]],
    );
    check(
        &case("", &format!("runs:\n{two}{one}")),
        &expect![[r#"
        web-2 Failed 2026-01-01T00:10:01Z 2026-01-01T00:10:09Z
        Available Some(true) Ready: it runs when it is time
        LastRunSucceeded Some(false) Failed: Job web-2 failed: 'kubectl logs job/web-2' has what it said
        Ready True: Deployment web-1 runs image ghcr.io/acme/web@sha256:0000000000000000000000000000000000000000000000000000000000000000 at '*/5 * * * *' (Etc/UTC)
    "#]],
    );
    let three = job("web-3", 15, "active: 1");
    check(
        &case("", &format!("runs:\n{two}{three}")),
        &expect![[r#"
        web-3 Running 2026-01-01T00:15:01Z -
        Available Some(true) Ready: it runs when it is time
        LastRunSucceeded None Running: Job web-3 runs
        Ready True: Deployment web-1 runs image ghcr.io/acme/web@sha256:0000000000000000000000000000000000000000000000000000000000000000 at '*/5 * * * *' (Etc/UTC)
    "#]],
    );
}

#[test]
fn what_was_seen_of_a_run_stays_when_it_is_gone() {
    let before = ", lastRun: {job: web-9, result: Failed}";
    check(
        &case(before, ""),
        &expect![[r#"
        web-9 Failed - -
        Available Some(true) Ready: it runs when it is time
        LastRunSucceeded Some(false) Failed: Job web-9 failed: 'kubectl logs job/web-9' has what it said
        Ready True: Deployment web-1 runs image ghcr.io/acme/web@sha256:0000000000000000000000000000000000000000000000000000000000000000 at '*/5 * * * *' (Etc/UTC)
    "#]],
    );
}

#[test]
fn what_the_autoscaler_says_of_itself() {
    let scaled = |conditions: &str| {
        let (cron, scale) = (
            "cron: {schedule: '*/5 * * * *', timeZone: Etc/UTC}",
            "scale: {replicas: 1, max: 4}",
        );
        case("", "").replace(cron, scale)
            + &format!(
                "workload: {{status: {{availableReplicas: 1}}}}\nscaler: {{status: {{conditions: [{conditions}]}}}}\n"
            )
    };
    check(
        &scaled(""),
        &expect![[r#"
            Available Some(true) Ready: 1 of 1 pods are available
            ScalingActive None Unknown: the autoscaler has not looked at the load yet
            Ready True: Deployment web-1 serves image ghcr.io/acme/web@sha256:0000000000000000000000000000000000000000000000000000000000000000 with 1 of 1 pods
        "#]],
    );
    check(
        &scaled(
            "{type: AbleToScale, status: 'True'}, {type: ScalingActive, status: 'True', reason: ValidMetricFound}",
        ),
        &expect![[r#"
            Available Some(true) Ready: 1 of 1 pods are available
            ScalingActive Some(true) ScalingActive: between 1 and 4 pods, as the load asks for
            Ready True: Deployment web-1 serves image ghcr.io/acme/web@sha256:0000000000000000000000000000000000000000000000000000000000000000 with 1 of 1 pods
        "#]],
    );
    check(
        &scaled(
            "{type: ScalingActive, status: 'False', reason: FailedGetResourceMetric, message: no metrics known}",
        ),
        &expect![[r#"
            Available Some(true) Ready: 1 of 1 pods are available
            ScalingActive Some(false) FailedGetResourceMetric: no metrics known
            Ready True: Deployment web-1 serves image ghcr.io/acme/web@sha256:0000000000000000000000000000000000000000000000000000000000000000 with 1 of 1 pods
        "#]],
    );
}
