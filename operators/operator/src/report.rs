//! How a step of a build ends: what the Build controller reads from the container's termination
//! message.

use std::{fs, path::Path, process::ExitCode};

use serde::Serialize;
use trackbed_kit::conditions::clip;

/// Most bytes that the kubelet keeps of a termination message, less some for the rest of the JSON.
const MESSAGE_MAX: usize = 3000;

#[derive(Serialize)]
struct Failure<'a> {
    reason: &'a str,
    message: String,
}

/// Writes what a step found and ends well.
pub(crate) fn done(to: Option<&Path>, result: &impl Serialize) -> ExitCode {
    write(to, result);
    ExitCode::SUCCESS
}

/// Says why a step failed, for people in the log and for the controller in the file.
pub(crate) fn failed(to: Option<&Path>, reason: &str, message: &str) -> ExitCode {
    eprintln!("error: {message}");
    let message = clip(message, MESSAGE_MAX);
    write(to, &Failure { reason, message });
    ExitCode::FAILURE
}

fn write(to: Option<&Path>, result: &impl Serialize) {
    let Some(path) = to else {
        return;
    };
    let written = serde_json::to_vec(result)
        .map_err(std::io::Error::other)
        .and_then(|text| fs::write(path, text));
    if let Err(error) = written {
        // The exit code says the most important part.
        eprintln!("error: {}: {error}", path.display());
    }
}
