//! The process in which the operator asks a repository for its refs.

use std::{
    io::{Read, Write},
    process::ExitCode,
};

use rustix::process::{Resource, Rlimit, setrlimit};
use trackbed_git::{Refusal, Request, ls_remote};

/// Most memory, whatever a server sends.
const MEMORY: u64 = 1 << 30;
/// Longest request.
const REQUEST_MAX: u64 = 1 << 20;

/// Reads a request and writes what became of it. An answer of any kind is a success.
pub(crate) fn run() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn work() -> std::io::Result<()> {
    let limit = Rlimit {
        current: Some(MEMORY),
        maximum: Some(MEMORY),
    };
    setrlimit(Resource::As, limit)?;
    let mut text = Vec::new();
    std::io::stdin().take(REQUEST_MAX).read_to_end(&mut text)?;
    let request: Request = serde_json::from_slice(&text)?;
    let answer = ls_remote(&request).map_err(|error| Refusal::from(&error));
    std::io::stdout().write_all(&serde_json::to_vec(&answer)?)
}
