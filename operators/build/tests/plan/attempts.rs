//! What is tried again, and what is not.

use super::*;

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
