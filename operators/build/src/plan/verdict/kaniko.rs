//! Why Kaniko failed. It only has a log. Its words: <https://github.com/chainguard-dev/kaniko>, and
//! for what registries say <https://github.com/google/go-containerregistry>.

use k8s_openapi::api::core::v1::ContainerStateTerminated;
use trackbed_api::{Build, reason::Reason};

use crate::plan::log;

/// How a pull of a base image fails.
const PULL: [&str; 6] = [
    "MANIFEST_UNKNOWN",
    "NAME_UNKNOWN",
    "retrieving image",
    "UNAUTHORIZED",
    "failed to get filesystem from image",
    "unable to complete operation after",
];
/// How a registry says that it has no such image, or not for everybody.
const UNKNOWN: [&str; 4] = ["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "UNAUTHORIZED", "DENIED"];
/// How it fails when its registry is not there, or has trouble of its own.
const UNREACHABLE: [&str; 15] = [
    "no such host",
    "server misbehaving",
    "connection refused",
    "connection reset",
    "no route to host",
    "network is unreachable",
    "i/o timeout",
    "deadline exceeded",
    "TLS handshake timeout",
    "proxyconnect",
    "unexpected EOF",
    "TOOMANYREQUESTS",
    "Bad Gateway",
    "Service Unavailable",
    "Gateway Timeout",
];
/// How programs say that there is no room.
const FULL: [&str; 3] = ["no space left on device", "enospc", "disk quota exceeded"];
/// Lines from the end of a log in which that is looked for.
const LAST: usize = 20;

/// Reason and sentence.
pub(super) fn failed(
    object: &Build,
    text: &str,
    end: &ContainerStateTerminated,
) -> (Reason, String) {
    let line = log::last(text);
    // The kernel does not say what a process died of, but few send this signal themselves.
    if end.reason.as_deref() == Some("OOMKilled") || text.contains("signal: killed") {
        let limit = memory(object);
        return (
            Reason::OutOfMemory,
            format!(
                "the build needed more than {limit} of memory: raise build.resources.limits.memory"
            ),
        );
    }
    if PULL.iter().any(|words| line.contains(words)) {
        return pull(text, &line);
    }
    let full = |line: &&str| {
        let line = line.to_lowercase();
        FULL.iter().any(|full| line.contains(full))
    };
    if let Some(words) = text.lines().rev().take(LAST).find(full) {
        return (
            Reason::DiskFull,
            format!(
                "the build found no room on its disk: leave out what is not needed, or ask the platform's administrators for a higher build.diskLimit ({})",
                log::last(words)
            ),
        );
    }
    (Reason::BuildFailed, command_failed(text, &line, end))
}

/// The build's limit of memory.
pub(super) fn memory(object: &Build) -> String {
    let limits = object.spec.build.resources.limits.as_ref();
    let limit = limits.and_then(|it| it.memory.as_ref());
    limit.map_or("4Gi".to_owned(), ToString::to_string)
}

/// A mirror is asked first, and then the image's own registry. What one of them knows counts before
/// what the other does not answer.
fn pull(text: &str, line: &str) -> (Reason, String) {
    let own = log::pull(text);
    let image = own
        .as_ref()
        .map_or("a base image".to_owned(), |(image, _)| {
            format!("the base image {image}")
        });
    let refused = |line: &&str| UNKNOWN.iter().any(|words| line.contains(words));
    let refusal = own.and_then(|(_, lines)| lines.lines().rfind(refused));
    let unreachable = UNREACHABLE.iter().any(|words| line.contains(words));
    if refusal.is_none() && unreachable {
        return (
            Reason::RegistryUnavailable,
            format!(
                "the registry of {image} does not answer: check its name in the Dockerfile's FROM ({})",
                log::cause(line)
            ),
        );
    }
    (
        Reason::BaseImageUnavailable,
        format!(
            "{image} cannot be pulled: check its name and tag in the Dockerfile's FROM ({})",
            log::cause(refusal.unwrap_or(line))
        ),
    )
}

/// Which instruction failed, how, and what it wrote last.
fn command_failed(text: &str, line: &str, end: &ContainerStateTerminated) -> String {
    let ran = line.contains("exit status");
    match (
        log::instruction(text).filter(|_| ran),
        log::exit_status(text),
    ) {
        (Some(instruction), Some(code)) => {
            let words = log::output(text).map(|it| format!(": {it}"));
            format!(
                "{instruction} ended with exit code {code}{}",
                words.unwrap_or_default()
            )
        }
        _ if line.is_empty() => format!("the build ended with exit code {}", end.exit_code),
        _ => format!("the build ended: {line}"),
    }
}
