//! Taking a backup: what a replica is given first, by
//! <https://redis.io/docs/latest/develop/tools/cli/#remote-backups-of-rdb-files>.
//!
//! The server writes no file of its own for it. It does need memory: while its child tells all data,
//! what is changed is there twice.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use jiff::Timestamp;
use tokio::fs::File;
use trackbed_backup::{Destination, Draft, Manifest};

use super::{
    PROGRAMS,
    client::{Client, aside},
    port, users,
};
use crate::{
    Error, Options,
    login::Login,
    process::{self, Words},
};

/// What the bytes of a backup are.
pub(super) const CONTENT: &str = "rdb";
/// File that holds all data on their way to the destination.
const FILE: &str = "backup.rdb";
/// Count of the keys that stay until somebody removes them.
pub(super) const LASTING: &str = "keys";
/// Count of the keys that go by themselves.
pub(super) const EXPIRING: &str = "keys that expire";

/// Takes a backup, and gives what there is to know of it.
///
/// # Errors
/// What the server or the destination says. Then there is no backup of that name.
pub(crate) async fn take(
    options: &Options,
    destination: &Destination,
    name: &str,
    now: Timestamp,
) -> Result<Manifest, Error> {
    let path = options.data.join(FILE);
    let written = write(options, destination, name, now, &path).await;
    // The room is its pod's, and the proof needs it.
    let _left = fs::remove_file(&path);
    written
}

async fn write(
    options: &Options,
    destination: &Destination,
    name: &str,
    now: Timestamp,
    path: &Path,
) -> Result<Manifest, Error> {
    fetch(options, path).await?;
    let counts = count(options, path)?;
    let draft = Draft {
        name: name.to_owned(),
        engine: "redis".to_owned(),
        version: options.version.clone(),
        identity: options.state()?.identity,
        database: None,
        taken_at: now,
        content: CONTENT.to_owned(),
    };
    let file = File::open(path).await;
    let mut file = file.map_err(|e| Error::io(format!("reading {}", path.display()), e))?;
    let written = destination.write(draft, &mut file).await?;
    Ok(written.finish(counts).await?)
}

/// Has the server tell all its data.
async fn fetch(options: &Options, path: &Path) -> Result<(), Error> {
    let host = options.credential("host")?;
    let login = Login {
        username: users::BACKUP.to_owned(),
        ..options.logins()?.swap_remove(0)
    };
    let (server, asked) = ((host.clone(), port(options)), login.clone());
    // redis-cli would say less clearly that it is not let in.
    aside(move || Client::connect(server, &asked).map(drop))
        .await
        .map_err(explain)?;
    let child = tokio::process::Command::new(options.program(PROGRAMS, "redis-cli"))
        .args(["-h", &host, "-p", &port(options).to_string()])
        .args(["--user", &login.username, "--no-auth-warning"])
        .arg("--rdb")
        .arg(path)
        .env("REDISCLI_AUTH", &login.password)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = child.map_err(|error| Error::io("starting redis-cli", error))?;
    let mut words = Words::of(child.stderr.take());
    words.judge("redis-cli", child.wait().await).await
}

/// A server that was started before there were backups knows nobody who takes them.
fn explain(error: Error) -> Error {
    match error {
        Error::NoAnswer(words) if words.contains("WRONGPASS") => Error::NoAnswer(format!(
            "the server does not let {} in: it was started by an earlier version of Trackbed, or its credentials change just now. Delete its pod to have it started anew, or wait ({words})",
            users::BACKUP
        )),
        other => other,
    }
}

/// Reads all of it as a server would, and counts its keys.
fn count(options: &Options, path: &Path) -> Result<BTreeMap<String, u64>, Error> {
    let program = options.program(PROGRAMS, "redis-check-rdb");
    let said = process::check(Command::new(program).arg(path))?;
    counts(&said).ok_or_else(|| {
        Error::NoAnswer("redis-check-rdb does not say how many keys there are".to_owned())
    })
}

/// The counts in what `redis-check-rdb` says.
fn counts(said: &str) -> Option<BTreeMap<String, u64>> {
    let number = |what: &str| {
        let mut lines = said.lines().filter_map(|it| it.strip_prefix("[info] "));
        lines.find_map(|line| line.strip_suffix(what)?.trim().parse::<u64>().ok())
    };
    let (all, expiring) = (number(" keys read")?, number(" expires")?);
    Some(BTreeMap::from([
        (LASTING.to_owned(), all.checked_sub(expiring)?),
        (EXPIRING.to_owned(), expiring),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_counted_by_whether_they_stay() {
        let said = "[offset 0] Checking RDB file backup.rdb\n[offset 27] AUX FIELD redis-ver = '7.0.15'\n[offset 156] Checksum OK\n[offset 156] \\o/ RDB looks OK! \\o/\n[info] 5 keys read\n[info] 2 expires\n[info] 1 already expired\n";
        let counts = counts(said).expect("counts");
        assert_eq!(counts[LASTING], 3);
        assert_eq!(counts[EXPIRING], 2);
        assert!(super::counts("[info] 5 keys read\n").is_none());
    }

    #[test]
    fn who_is_not_let_in_is_told_what_to_do() {
        let said = "redis says -WRONGPASS invalid username-password pair or user is disabled.";
        let error = explain(Error::NoAnswer(said.to_owned()));
        assert!(error.to_string().contains("Delete its pod"), "{error}");
    }
}
