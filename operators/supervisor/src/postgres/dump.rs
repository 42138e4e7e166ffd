//! Taking a backup: <https://www.postgresql.org/docs/current/app-pgdump.html>.
//!
//! It is taken over the network as the application's user, who may do nothing more than what the
//! application may, from a snapshot in which the rows of every table are counted, too. Further
//! databases are read by a user who acts as the owner of each.

use std::{
    collections::BTreeMap,
    pin::Pin,
    process::{Command, Stdio},
    task::{Context, Poll},
};

use jiff::Timestamp;
use tokio::{
    io::{AsyncRead, ReadBuf},
    process::{Child, ChildStdout},
};
use trackbed_backup::{Destination, Draft, Manifest, Part, part_identity};

use super::{further, owners, peer::Peer, port, program, psql, psql::Session, sql};
use crate::{Error, Options, process::Words};

/// What the bytes of a backup are.
pub(super) const CONTENT: &str = "pg_dump custom";
/// Until it is given up to wait for somebody who changes a table's columns, in milliseconds.
const LOCKED: &str = "600000";

/// What the server's log calls it.
const CLIENT: &str = "trackbed-backup";

/// Takes a backup, and gives what there is to know of it. Of further databases in the server it takes
/// one each before, which belong to it.
///
/// # Errors
/// What the server or the destination says. Then there is no backup of that name.
pub(crate) async fn take(
    options: &Options,
    destination: &Destination,
    name: &str,
    now: Timestamp,
) -> Result<Manifest, Error> {
    let identity = options.state()?.identity;
    let host = options.credential("host")?;
    let further = {
        let peer = Peer::network(options, &host, CLIENT)?;
        let mut session = Session::start(peer.connect(psql::command(options)))?;
        further::read(&session.ask(owners::FURTHER).await?)?
    };
    let draft = |identity: &str, database: &str| Draft {
        name: name.to_owned(),
        engine: "postgres".to_owned(),
        version: options.version.clone(),
        identity: identity.to_owned(),
        database: Some(database.to_owned()),
        taken_at: now,
        content: CONTENT.to_owned(),
    };
    let taking = async {
        let mut parts = Vec::new();
        for it in &further {
            println!("trackbed: takes the database {}", it.name);
            let peer = Peer::further(options, &host, &it.name, CLIENT)?;
            let draft = draft(&part_identity(&identity, &it.name), &it.name);
            let owner = Some(it.owner.as_str());
            let taken = one(options, destination, &peer, owner, draft, Vec::new()).await?;
            parts.push(Part::of(&taken, &it.owner));
        }
        let peer = Peer::network(options, &host, CLIENT)?;
        let draft = draft(&identity, peer.database());
        one(options, destination, &peer, None, draft, parts).await
    };
    let taken = taking.await;
    if taken.is_err() && !further.is_empty() {
        // The error is worth more than that of clearing up after it.
        let _left = destination.remove_parts(&identity, name).await;
    }
    taken
}

/// Takes a backup of one database, as its owner: `role`, or who is let in.
async fn one(
    options: &Options,
    destination: &Destination,
    source: &Peer,
    role: Option<&str>,
    draft: Draft,
    parts: Vec<Part>,
) -> Result<Manifest, Error> {
    let mut snapshot = Session::start(source.connect(psql::command(options)))?;
    if let Some(role) = role {
        let act = format!("set role {};", sql::identifier(role));
        snapshot.ask(&act).await?;
    }
    let exported = snapshot.ask(sql::SNAPSHOT).await?;
    let id = exported.first().map(String::as_str).unwrap_or_default();
    let extensions = texts(&snapshot.ask(owners::EXTENSIONS).await?)?;
    let mut dump = Dump::start(source.connect(command(options, id, role)))?;
    let written = destination.write(draft, &mut dump).await?;
    let counted = match dump.end().await {
        Ok(()) => counts(&mut snapshot).await,
        Err(error) => Err(error),
    };
    match counted {
        Ok(counts) => Ok(written.with(extensions, parts).finish(counts).await?),
        Err(error) => {
            // The error is worth more than that of clearing up after it.
            let _left = written.abandon().await;
            Err(error)
        }
    }
}

/// What rows of one text each say.
fn texts(rows: &[String]) -> Result<Vec<String>, Error> {
    let read = |row: &String| {
        let read = serde_json::from_str::<(String,)>(row);
        read.map(|(text,)| text).map_err(|_| {
            Error::NoAnswer("the server does not say which extensions it has".to_owned())
        })
    };
    rows.iter().map(read).collect()
}

/// How many rows each table has.
pub(super) async fn counts(session: &mut Session) -> Result<BTreeMap<String, u64>, Error> {
    let rows = session.ask(sql::COUNTS).await?;
    let read = |row: &String| {
        serde_json::from_str::<(String, u64)>(row)
            .map_err(|_| Error::NoAnswer("the server does not say how many rows it has".to_owned()))
    };
    rows.iter().map(read).collect()
}

fn command(options: &Options, snapshot: &str, role: Option<&str>) -> Command {
    let mut command = Command::new(program(options, "pg_dump"));
    command
        // The destination compresses, and counts what it takes.
        .args(["--format=custom", "--compress=0", "--no-password"])
        .args(["--lock-wait-timeout", LOCKED, "--snapshot", snapshot])
        .arg("--port")
        .arg(port(options).to_string());
    if let Some(role) = role {
        command.args(["--role", role]);
    }
    command
}

/// A running `pg_dump`, as what it writes.
struct Dump {
    child: Child,
    output: ChildStdout,
    words: Words,
}

impl Dump {
    fn start(command: Command) -> Result<Self, Error> {
        let child = tokio::process::Command::from(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = child.map_err(|error| Error::io("starting pg_dump", error))?;
        let words = Words::of(child.stderr.take());
        match child.stdout.take() {
            Some(output) => Ok(Self {
                child,
                output,
                words,
            }),
            None => Err(Error::NoAnswer("pg_dump has no output".to_owned())),
        }
    }

    /// Whether what it wrote is all of it. A dump that breaks off is a plain end of its output.
    async fn end(&mut self) -> Result<(), Error> {
        self.words.judge("pg_dump", self.child.wait().await).await
    }
}

impl AsyncRead for Dump {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.output).poll_read(context, buffer)
    }
}
