//! The processes in which the operator asks a repository for its refs, and compares its commits.

use std::{
    io::{Read, Write},
    process::ExitCode,
};

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Serialize, de::DeserializeOwned};
use trackbed_git::{Error, Refusal, Request, changes, ls_remote};

/// Most memory, whatever a server sends: of refs, and of commits, whose packs are mapped.
const MEMORY: (u64, u64) = (1 << 30, 8 << 30);
/// Longest request.
const REQUEST_MAX: u64 = 1 << 20;

/// Reads a request and writes the refs, or why there are none. An answer of any kind is a success.
pub(crate) fn run() -> ExitCode {
    answer(MEMORY.0, |request: &Request| ls_remote(request))
}

/// Reads a question about two commits and writes what was found.
pub(crate) fn compare() -> ExitCode {
    answer(MEMORY.1, changes)
}

fn answer<Q: DeserializeOwned, A: Serialize>(
    memory: u64,
    ask: impl FnOnce(&Q) -> Result<A, Error>,
) -> ExitCode {
    match work(memory, ask) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn work<Q: DeserializeOwned, A: Serialize>(
    memory: u64,
    ask: impl FnOnce(&Q) -> Result<A, Error>,
) -> std::io::Result<()> {
    let limit = Rlimit {
        current: Some(memory),
        maximum: Some(memory),
    };
    setrlimit(Resource::As, limit)?;
    let mut text = Vec::new();
    std::io::stdin().take(REQUEST_MAX).read_to_end(&mut text)?;
    let question: Q = serde_json::from_slice(&text)?;
    let answer = ask(&question).map_err(|error| Refusal::from(&error));
    std::io::stdout().write_all(&serde_json::to_vec(&answer)?)
}
