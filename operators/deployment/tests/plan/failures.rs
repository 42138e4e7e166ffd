//! Applications that do not come up, and what is said of them.

use expect_test::expect;

use super::{BEGUN, LATE, SERVES, check, container, pod, releases, workload};

#[test]
fn an_application_that_crashes() {
    let status = container(
        "restartCount: 4, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 7, reason: Error}}",
    );
    let case = releases(&[(1, BEGUN)]) + &workload(1, 0, "") + &pod(1, &status);
    check(
        &(case + "log: 'boom'\n"),
        &expect![[r#"
        Failed, applies nothing
        failed for good: CrashLoop exit 7
        log: boom
        Ready=False CrashLoop: the application crashed with exit code 7: its last lines are in status.logTail
        Stalled=True CrashLoop: the application crashed with exit code 7: its last lines are in status.logTail
        Available=False CrashLoop: the application crashed with exit code 7: its last lines are in status.logTail
    "#]],
    );
    let status =
        container("restartCount: 1, state: {running: {}}, lastState: {terminated: {exitCode: 7}}");
    let case = releases(&[(1, BEGUN)]) + &workload(1, 0, "") + &pod(1, &status);
    check(
        &case,
        &expect![[r#"
        Progressing, applies web
        Ready=False Progressing: 0 of 1 pod is ready: the application crashed with exit code 7: its last lines are in status.logTail
        Reconciling=True Progressing: 0 of 1 pod is ready: the application crashed with exit code 7: its last lines are in status.logTail
        Available=False Progressing: 0 of 1 pod is ready: the application crashed with exit code 7: its last lines are in status.logTail
        again in 291 s
    "#]],
    );
    // What it says at its first crash is kept, for a busy node may not tell it at the last.
    check(
        &(case + "log: 'boom'\n"),
        &expect![[r#"
        Progressing, applies web
        log: boom
        Ready=False Progressing: 0 of 1 pod is ready: the application crashed with exit code 7: its last lines are in status.logTail
        Reconciling=True Progressing: 0 of 1 pod is ready: the application crashed with exit code 7: its last lines are in status.logTail
        Available=False Progressing: 0 of 1 pod is ready: the application crashed with exit code 7: its last lines are in status.logTail
        again in 291 s
    "#]],
    );
}

#[test]
fn a_log_that_could_not_be_had_is_asked_for_again() {
    let failed = "phase: Failed, startTime: '2026-01-01T00:00:00Z', failure: {reason: CrashLoop, message: crashed, retryable: false}";
    let status = container(
        "restartCount: 4, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 7, reason: Error}}",
    );
    let case = |status_of: &str| {
        releases(&[(1, status_of)]) + &workload(1, 0, "") + &pod(1, &status) + "log: 'boom'\n"
    };
    check(
        &case(failed),
        &expect![[r#"
        Failed, applies web
        failed for good: CrashLoop
        log: boom
        Ready=False CrashLoop: crashed
        Stalled=True CrashLoop: crashed
        Available=False CrashLoop: crashed
    "#]],
    );
    check(
        &case(&format!("{failed}, logTail: before")),
        &expect![[r#"
        Failed, applies web
        failed for good: CrashLoop
        log: before
        Ready=False CrashLoop: crashed
        Stalled=True CrashLoop: crashed
        Available=False CrashLoop: crashed
    "#]],
    );
}

#[test]
fn an_application_that_needs_more_memory() {
    let status = container(
        "restartCount: 3, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 137, reason: OOMKilled}}",
    );
    let case = releases(&[(1, BEGUN)]) + &workload(1, 0, "") + &pod(1, &status);
    check(
        &case,
        &expect![[r#"
        Failed, applies nothing
        failed for good: AppOutOfMemory exit 137
        Ready=False AppOutOfMemory: the application was killed because it used more memory than its limit of 512Mi: raise run.resources.limits.memory
        Stalled=True AppOutOfMemory: the application was killed because it used more memory than its limit of 512Mi: raise run.resources.limits.memory
        Available=False AppOutOfMemory: the application was killed because it used more memory than its limit of 512Mi: raise run.resources.limits.memory
    "#]],
    );
}

#[test]
fn an_image_that_cannot_be_pulled() {
    let status = container(
        "restartCount: 0, state: {waiting: {reason: ImagePullBackOff, message: 'Back-off pulling image: ErrImagePull: not found'}}",
    );
    let case = |begun| releases(&[(1, begun)]) + &workload(1, 0, "") + &pod(1, &status);
    check(
        &case(BEGUN),
        &expect![[r#"
        Progressing, applies web
        Ready=False ImagePullFailed: 0 of 1 pod is ready: the image web cannot be pulled: not found
        Reconciling=True ImagePullFailed: 0 of 1 pod is ready: the image web cannot be pulled: not found
        Available=False ImagePullFailed: 0 of 1 pod is ready: the image web cannot be pulled: not found
        again in 291 s
    "#]],
    );
    check(
        &case(LATE),
        &expect![[r#"
        Failed, applies nothing
        failed again: ImagePullFailed
        Ready=False ImagePullFailed: the image web cannot be pulled: not found; it is tried again by itself
        Stalled=True ImagePullFailed: the image web cannot be pulled: not found; it is tried again by itself
        Available=False ImagePullFailed: the image web cannot be pulled: not found; it is tried again by itself
        again in 1 s
    "#]],
    );
}

#[test]
fn a_port_that_nobody_listens_on() {
    let status = container("restartCount: 0, state: {running: {}}");
    let case = releases(&[(1, BEGUN)]) + &workload(1, 0, "") + &pod(1, &status);
    check(
        &case,
        &expect![[r#"
        Progressing, applies web
        Ready=False Progressing: 0 of 1 pod is ready: no answer on port 8080 yet
        Reconciling=True Progressing: 0 of 1 pod is ready: no answer on port 8080 yet
        Available=False Progressing: 0 of 1 pod is ready: no answer on port 8080 yet
        again in 291 s
    "#]],
    );
    let case = releases(&[(1, LATE)]) + &workload(1, 0, "") + &pod(1, &status);
    check(
        &case,
        &expect![[r#"
        Failed, applies nothing
        failed for good: NotListening
        Ready=False NotListening: the application runs, but nothing answers on port 8080: listen on 0.0.0.0:$PORT, or set run.port to the port that it listens on
        Stalled=True NotListening: the application runs, but nothing answers on port 8080: listen on 0.0.0.0:$PORT, or set run.port to the port that it listens on
        Available=False NotListening: the application runs, but nothing answers on port 8080: listen on 0.0.0.0:$PORT, or set run.port to the port that it listens on
    "#]],
    );
}

#[test]
fn pods_that_the_cluster_does_not_take() {
    let refused = ", conditions: [{type: ReplicaFailure, status: 'True', message: 'pods \"web-x\" is forbidden: exceeded quota: trackbed'}]";
    let case = releases(&[(1, BEGUN)]) + &workload(1, 0, refused);
    check(
        &case,
        &expect![[r#"
        Progressing, applies web
        Ready=False QuotaExceeded: 0 of 1 pod is ready: a quota or policy of the namespace refuses the pods (exceeded quota: trackbed): lower run.resources or scale.replicas, or raise the Project's quota
        Reconciling=True QuotaExceeded: 0 of 1 pod is ready: a quota or policy of the namespace refuses the pods (exceeded quota: trackbed): lower run.resources or scale.replicas, or raise the Project's quota
        Available=False QuotaExceeded: 0 of 1 pod is ready: a quota or policy of the namespace refuses the pods (exceeded quota: trackbed): lower run.resources or scale.replicas, or raise the Project's quota
        again in 291 s
    "#]],
    );
    let nowhere = "conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: '0/1 nodes are available: 1 Insufficient cpu. preemption: none'}]";
    let case = releases(&[(1, LATE)]) + &workload(1, 0, "") + &pod(1, nowhere);
    check(
        &case,
        &expect![[r#"
        Failed, applies nothing
        failed again: Unschedulable
        Ready=False Unschedulable: no node has room for the pod (0/1 nodes are available: 1 Insufficient cpu): lower run.resources.requests, or add nodes; it is tried again by itself
        Stalled=True Unschedulable: no node has room for the pod (0/1 nodes are available: 1 Insufficient cpu): lower run.resources.requests, or add nodes; it is tried again by itself
        Available=False Unschedulable: no node has room for the pod (0/1 nodes are available: 1 Insufficient cpu): lower run.resources.requests, or add nodes; it is tried again by itself
        again in 1 s
    "#]],
    );
}

#[test]
fn a_rollout_that_takes_too_long_for_no_reason_that_shows() {
    let case = releases(&[(1, LATE)]) + &workload(1, 0, "");
    check(
        &case,
        &expect![[r#"
        Failed, applies nothing
        failed for good: RolloutTimeout
        Ready=False RolloutTimeout: the pods did not become available within 5m (0 of 1 pod is ready): see the pods' Events, or raise rollout.timeout
        Stalled=True RolloutTimeout: the pods did not become available within 5m (0 of 1 pod is ready): see the pods' Events, or raise rollout.timeout
        Available=False RolloutTimeout: the pods did not become available within 5m (0 of 1 pod is ready): see the pods' Events, or raise rollout.timeout
    "#]],
    );
}

#[test]
fn a_rollout_that_ends_while_the_next_pod_starts() {
    let starts = container("restartCount: 0, state: {running: {}}");
    let answers = "- metadata: {name: web-1, labels: {trackbed.dev/release: web-1}}\n  status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}\n";
    let case = releases(&[(1, LATE)]) + &workload(1, 0, "") + &pod(1, &starts) + answers;
    check(
        &case,
        &expect![[r#"
        Failed, applies nothing
        failed for good: RolloutTimeout
        Ready=False RolloutTimeout: the pods did not become available within 5m (1 of 1 pod is ready): see the pods' Events, or raise rollout.timeout
        Stalled=True RolloutTimeout: the pods did not become available within 5m (1 of 1 pod is ready): see the pods' Events, or raise rollout.timeout
        Available=False RolloutTimeout: the pods did not become available within 5m (1 of 1 pod is ready): see the pods' Events, or raise rollout.timeout
    "#]],
    );
}

#[test]
fn a_pod_of_a_release_that_serves_starts() {
    let starts = container("restartCount: 0, state: {running: {}}");
    let answers = "- metadata: {name: web-1, labels: {trackbed.dev/release: web-1}}\n  status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}\n";
    let case = releases(&[(1, SERVES)]) + &workload(1, 0, "") + &pod(1, &starts);
    check(
        &(case.clone() + answers),
        &expect![[r#"
        Active, applies web
        Ready=False Progressing: 1 of 1 pod is ready: no answer on port 8080 yet
        Reconciling=True Progressing: 1 of 1 pod is ready: no answer on port 8080 yet
        Available=False Progressing: 1 of 1 pod is ready: no answer on port 8080 yet
    "#]],
    );
    // Nobody answers: that is no start any more.
    check(
        &case,
        &expect![[r#"
        Active, applies web
        Ready=False NotListening: 0 of 1 pod is ready: the application runs, but nothing answers on port 8080: listen on 0.0.0.0:$PORT, or set run.port to the port that it listens on
        Stalled=True NotListening: 0 of 1 pod is ready: the application runs, but nothing answers on port 8080: listen on 0.0.0.0:$PORT, or set run.port to the port that it listens on
        Available=False NotListening: 0 of 1 pod is ready: the application runs, but nothing answers on port 8080: listen on 0.0.0.0:$PORT, or set run.port to the port that it listens on
    "#]],
    );
}

#[test]
fn a_release_that_served_is_not_failed_by_its_pods() {
    let status = container(
        "restartCount: 9, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 1}}",
    );
    let case = releases(&[(1, SERVES)]) + &workload(1, 0, "") + &pod(1, &status);
    check(
        &case,
        &expect![[r#"
        Active, applies web
        Ready=False CrashLoop: 0 of 1 pod is ready: the application crashed with exit code 1: its last lines are in status.logTail
        Stalled=True CrashLoop: 0 of 1 pod is ready: the application crashed with exit code 1: its last lines are in status.logTail
        Available=False CrashLoop: 0 of 1 pod is ready: the application crashed with exit code 1: its last lines are in status.logTail
    "#]],
    );
}
