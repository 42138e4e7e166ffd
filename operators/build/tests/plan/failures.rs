//! Why a build failed.

use super::*;

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
            (
                format!(
                    "{}, {}",
                    fetched(),
                    ended(
                        "build",
                        127,
                        r#"{"reason": "BuildJobFailed", "message": "no such program"}"#
                    )
                ),
                None,
            ),
            Reason::BuildJobFailed,
        ),
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
