//! Running a server as process 1: its signals, its end.

use std::process::{Command, ExitStatus};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::Child,
    signal::unix::{SignalKind, signal},
};

use crate::Error;

/// Last words that a message keeps.
const WORDS: usize = 600;

/// Runs a program to its end.
///
/// # Errors
/// That it cannot be started or fails, with its last words.
pub(crate) fn check(command: &mut Command) -> Result<String, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| Error::io(format!("starting {program}"), error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let from = words
        .char_indices()
        .rev()
        .nth(WORDS)
        .map_or(0, |(at, _)| at);
    Err(Error::Program {
        program,
        outcome: output.status.to_string(),
        words: words[from..].trim().to_owned(),
    })
}

/// Waits for a server, handing on a stop as `stop` until it ends.
///
/// # Errors
/// That signals cannot be caught.
pub(crate) async fn guard(mut child: Child, stop: Signal) -> Result<ExitStatus, Error> {
    let caught = |error| Error::io("catching signals", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(caught)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(caught)?;
    let pid = child
        .id()
        .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    loop {
        tokio::select! {
            ended = child.wait() => return ended.map_err(|e| Error::io("waiting for the server", e)),
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        println!("trackbed: stops the server");
        if let Some(pid) = pid {
            // It may have ended just now; the next turn sees that.
            let _gone = kill_process(pid, stop);
        }
    }
}

/// The exit code that tells how a server ended. A stop that was asked for is no failure.
pub(crate) fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(1),
        (None, Some(signal)) => u8::try_from(128 + signal).unwrap_or(1),
        (None, None) => 1,
    }
}

/// A runtime for one child and its signals.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::io("starting", error))
}
