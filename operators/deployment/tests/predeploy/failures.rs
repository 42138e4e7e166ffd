//! Commands that fail, or do not come to an end.

use expect_test::expect;

use crate::{BEGUN, check, ended, job, pod, release, releases};

#[test]
fn a_command_that_fails_fails_the_release() {
    let serves = release(2, "phase: Active, activeSince: '2025-01-01T00:00:00Z'");
    let case = releases(&(release(3, BEGUN) + &serves));
    let failed = job(
        3,
        "{type: Failed, status: 'True', reason: BackoffLimitExceeded}",
    );
    let case = format!("{case}jobs:\n{failed}");
    check(
        &format!("{case}pods:\n{}", ended(3)),
        &expect![[r#"
        Failed
        reads the log of pre-deploy of web-3-pre-x
        pre-deploy failed for good: PreDeployFailed, exit code Some(3)
        PreDeployFailed: the pre-deploy command ended with exit code 3: its last lines are in status.logTail
    "#]],
    );
    check(
        &case,
        &expect![[r#"
        Failed
        pre-deploy failed for good: PreDeployFailed, exit code None
        PreDeployFailed: the pre-deploy command failed, and its pod is gone ('kubectl describe job web-3-pre' has its Events)
    "#]],
    );
    let slow = pod(
        "phase: Failed, reason: DeadlineExceeded, containerStatuses: [{name: pre-deploy, image: web, imageID: '', ready: false, restartCount: 0, state: {terminated: {exitCode: 137}}}]",
    );
    check(
        &format!("{case}pods:\n{slow}"),
        &expect![[r#"
        Failed
        reads the log of pre-deploy of web-3-pre-x
        pre-deploy failed for good: PreDeployTimeout, exit code None
        PreDeployTimeout: the pre-deploy command did not end within 2m: raise run.preDeploy.timeout, or see its log
    "#]],
    );
}

#[test]
fn a_failed_command_is_not_run_again_by_itself() {
    let failed = "phase: Failed, startTime: '2025-01-01T00:00:00Z', failure: {reason: PreDeployFailed, message: it failed, retryable: false, step: pre-deploy}";
    check(
        &releases(&release(3, failed)),
        &expect![[r#"
        Failed
        pre-deploy failed for good: PreDeployFailed, exit code None
        PreDeployFailed: it failed
    "#]],
    );
}

#[test]
fn what_keeps_a_command_from_its_start_is_named_and_tried_again() {
    let unpulled = pod(
        "phase: Pending, containerStatuses: [{name: pre-deploy, image: web, imageID: '', ready: false, restartCount: 0, state: {waiting: {reason: ErrImagePull, message: no such image}}}]",
    );
    let case = releases(&release(3, BEGUN));
    check(
        &format!("{case}jobs:\n{}pods:\n{unpulled}", job(3, "")),
        &expect![[r#"
            PreDeploy, has Job web-3-pre run
            ImagePullFailed: the pre-deploy command cannot start: the image web cannot be pulled: no such image
            again in 232 s
        "#]],
    );
    let failed = job(
        3,
        "{type: Failed, status: 'True', reason: DeadlineExceeded}",
    );
    check(
        &format!("{case}jobs:\n{failed}pods:\n{unpulled}"),
        &expect![[r#"
            Failed
            pre-deploy failed again: ImagePullFailed, exit code None
            ImagePullFailed: the image web cannot be pulled: no such image; it is tried again by itself
            again in 351 s
        "#]],
    );
    let before = "phase: Failed, startTime: '2025-01-01T00:00:00Z', failure: {reason: ImagePullFailed, message: it failed, retryable: true, step: pre-deploy}";
    check(
        &format!("{}jobs:\n{failed}", releases(&release(3, before))),
        &expect![[r#"
            PreDeploy
            attempts 1
            Progressing: the pre-deploy command runs
            again in 232 s
        "#]],
    );
    let again = "phase: PreDeploy, attempts: 1, startTime: '2026-01-01T00:09:59Z'";
    check(
        &format!("{}jobs:\n{failed}", releases(&release(3, again))),
        &expect![[r#"
            PreDeploy, has Job web-3-pre run
            attempts 1
            Progressing: the pre-deploy command runs
            again in 232 s
        "#]],
    );
}

#[test]
fn a_command_that_nobody_ends_is_given_up() {
    let begun = "phase: PreDeploy, startTime: '2026-01-01T00:00:00Z'";
    let late = "- metadata: {name: web-3-pre, creationTimestamp: '2026-01-01T00:00:01Z', labels: {trackbed.dev/release: web-3}}\n";
    check(
        &format!("{}jobs:\n{late}", releases(&release(3, begun))),
        &expect![[r#"
            Failed
            pre-deploy failed for good: PreDeployTimeout, exit code None
            PreDeployTimeout: the pre-deploy command did not end within 2m: raise run.preDeploy.timeout, or see its log
        "#]],
    );
}
