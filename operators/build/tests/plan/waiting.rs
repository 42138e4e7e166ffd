//! What a build waits for.

use super::*;

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
