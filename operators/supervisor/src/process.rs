//! Running a server as process 1: its signals, its end.

use std::{
    process::{Command, ExitStatus},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::AsyncReadExt,
    process::{Child, ChildStderr},
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};

use crate::Error;

/// How long a server may take to write everything down.
const STOP: Duration = Duration::from_secs(600);
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
    Err(Error::Program {
        program,
        outcome: output.status.to_string(),
        words: last(&output.stderr),
    })
}

/// The end of what a program said.
fn last(said: &[u8]) -> String {
    let words = String::from_utf8_lossy(said);
    let from = words
        .char_indices()
        .rev()
        .nth(WORDS)
        .map_or(0, |(at, _)| at);
    words[from..].trim().to_owned()
}

/// What a running program says on its standard error.
pub(crate) struct Words(Option<JoinHandle<Vec<u8>>>);

impl Words {
    /// Reads it to its end, and keeps the end of it.
    pub(crate) fn of(stderr: Option<ChildStderr>) -> Self {
        Self(stderr.map(|stderr| tokio::spawn(listen(stderr))))
    }

    /// Its last words. To be asked once it has ended.
    pub(crate) async fn last(&mut self) -> String {
        match self.0.take() {
            Some(said) => last(&said.await.unwrap_or_default()),
            None => String::new(),
        }
    }

    /// Whether a program ended well.
    ///
    /// # Errors
    /// That it did not, with its last words.
    pub(crate) async fn judge(
        &mut self,
        program: &str,
        ended: std::io::Result<ExitStatus>,
    ) -> Result<(), Error> {
        let status = ended.map_err(|error| Error::io(format!("waiting for {program}"), error))?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Program {
            program: program.to_owned(),
            outcome: status.to_string(),
            words: self.last().await,
        })
    }
}

async fn listen(mut stderr: ChildStderr) -> Vec<u8> {
    const BLOCK: usize = 4096;
    let (mut kept, mut block) = (Vec::new(), [0; BLOCK]);
    while let Ok(length @ 1..) = stderr.read(&mut block).await {
        kept.extend_from_slice(&block[..length]);
        let superfluous = kept.len().saturating_sub(BLOCK);
        kept.drain(..superfluous);
    }
    kept
}

/// Waits for a server, handing on a stop as `stop` until it ends.
///
/// # Errors
/// That signals cannot be caught.
pub(crate) async fn guard(child: Child, stop: Signal) -> Result<ExitStatus, Error> {
    guard_after(child, stop, || async {}).await
}

/// The same with something to do before the server is stopped, as long as it runs.
///
/// # Errors
/// That signals cannot be caught.
pub(crate) async fn guard_after<F>(
    mut child: Child,
    stop: Signal,
    before: impl Fn() -> F,
) -> Result<ExitStatus, Error>
where
    F: Future<Output = ()>,
{
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
        let ended = tokio::select! {
            ended = child.wait() => Some(ended),
            () = before() => None,
        };
        if let Some(ended) = ended {
            return ended.map_err(|e| Error::io("waiting for the server", e));
        }
        println!("trackbed: stops the server");
        if let Some(pid) = pid {
            // It may have ended just now; the next turn sees that.
            let _gone = kill_process(pid, stop);
        }
    }
}

/// Works with a server that is there for that alone, and stops it by `signal` afterwards.
///
/// # Errors
/// What the work says, that the server ended in the middle of it, or that it ends badly.
pub(crate) async fn beside(
    mut server: Child,
    signal: Signal,
    work: impl Future<Output = Result<(), Error>>,
) -> Result<(), Error> {
    let done = tokio::select! {
        done = work => done,
        ended = server.wait() => Err(Error::NoAnswer(format!(
            "the server ended in the middle of it: {}",
            ended.map_or_else(|error| error.to_string(), |status| status.to_string())
        ))),
    };
    let stopped = stop(server, signal).await;
    // What is wrong with the work says more than how the server took it.
    done.and(stopped)
}

async fn stop(mut server: Child, signal: Signal) -> Result<(), Error> {
    let pid = server
        .id()
        .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(pid) = pid {
        // It may have ended just now.
        let _gone = kill_process(pid, signal);
    }
    match tokio::time::timeout(STOP, server.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(Error::NoAnswer(format!("the server ended with {status}"))),
        Ok(Err(error)) => Err(Error::io("waiting for the server", error)),
        Err(_) => Err(Error::NoAnswer("the server does not end".to_owned())),
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
