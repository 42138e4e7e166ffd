//! Talking to a server by `psql`, which the image has, whatever the major version.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
};

use super::{peer::Peer, port, program};
use crate::{Error, Options, process::Words};

/// What ends an answer. No row of ours is plain text.
const END: &str = "-- end";
/// How often somebody knocks who is to be let in, and the pauses between.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_secs(1);
/// How long a client that was told to end may take.
const GOODBYE: Duration = Duration::from_secs(10);

/// `psql` that ends with the first error and asks for nothing.
pub(super) fn command(options: &Options) -> Command {
    let mut command = Command::new(program(options, "psql"));
    command
        .args([
            "--no-psqlrc",
            "--quiet",
            "--no-password",
            "--set",
            "ON_ERROR_STOP=1",
        ])
        .arg("--port")
        .arg(port(options).to_string());
    command
}

/// The same as the super-user of the server in this pod.
pub(super) fn admin(options: &Options) -> Command {
    Peer::admin(options).connect(command(options))
}

/// The super-user of a server in the network, once that lets it in: it may just have been told to, and
/// the password may just have been brought.
///
/// # Errors
/// What the server says if that takes too long.
pub(super) async fn superuser(
    options: &Options,
    host: &str,
    name: &'static str,
) -> Result<Peer, Error> {
    let mut left = TRIES;
    loop {
        let peer = Peer::superuser(options, host, name)?;
        let mut session = Session::start(peer.connect(command(options)))?;
        match session.ask("select 1;").await {
            Ok(_) => return Ok(peer),
            Err(error) if left == 0 => return Err(error),
            Err(_) => left -= 1,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Runs SQL as the super-user. It goes to psql by standard input.
///
/// # Errors
/// That it could not be run. Which line failed is not said: it may hold a password.
pub(super) async fn submit(options: &Options, admin: &Peer, sql: &str) -> Result<(), Error> {
    let mut command = admin.connect(command(options));
    command.args(["--file", "-"]);
    let mut child = tokio::process::Command::from(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| Error::io("starting psql", error))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(sql.as_bytes())
            .await
            .map_err(|error| Error::io("talking to psql", error))?;
    }
    let status = child
        .wait()
        .await
        .map_err(|error| Error::io("waiting for psql", error))?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::NoAnswer(
            "the roles and their database could not be set up".to_owned(),
        )),
    }
}

/// A connection that is kept between questions.
pub(super) struct Session {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    words: Words,
}

impl Session {
    /// Starts a `psql` that was told whom to talk to as whom.
    ///
    /// # Errors
    /// That it cannot be started. Whether the server answers, the first question tells.
    pub(super) fn start(mut command: Command) -> Result<Self, Error> {
        command.args(["--tuples-only", "--no-align", "--file", "-"]);
        let child = tokio::process::Command::from(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = child.map_err(|error| Error::io("starting psql", error))?;
        let words = Words::of(child.stderr.take());
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => Ok(Self {
                child,
                input,
                output: BufReader::new(output).lines(),
                words,
            }),
            _ => Err(Error::NoAnswer("psql has no streams".to_owned())),
        }
    }

    /// Runs SQL, without passwords in it, and gives the rows.
    ///
    /// # Errors
    /// What the server says to it, which ends the session.
    pub(super) async fn ask(&mut self, sql: &str) -> Result<Vec<String>, Error> {
        let asked = format!("{sql}\n\\echo '{END}'\n");
        // One that has ended says why below.
        let _unread = self.input.write_all(asked.as_bytes()).await;
        let mut rows = Vec::new();
        loop {
            match self.output.next_line().await {
                Ok(Some(line)) if line == END => return Ok(rows),
                Ok(Some(line)) => rows.push(line),
                Ok(None) => return Err(self.ended().await),
                Err(error) => return Err(Error::io("reading what psql says", error)),
            }
        }
    }

    async fn ended(&mut self) -> Error {
        let status = tokio::time::timeout(GOODBYE, self.child.wait()).await;
        let outcome = match status {
            Ok(Ok(status)) => status.to_string(),
            _ => "no status".to_owned(),
        };
        Error::Program {
            program: "psql".to_owned(),
            outcome,
            words: self.words.last().await,
        }
    }
}
