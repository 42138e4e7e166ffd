//! What a build that runs says of itself.

use super::*;

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
