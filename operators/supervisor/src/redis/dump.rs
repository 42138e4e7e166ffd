//! Taking a backup: what a replica is given first, by
//! <https://redis.io/docs/latest/operate/oss_and_stack/management/replication/>.
//!
//! The server writes no file of its own for it. It does need memory: while its child tells all data,
//! what is changed is there twice.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use jiff::Timestamp;
use tokio::fs::File;
use trackbed_backup::{Destination, Draft, Manifest};

use super::{
    client::{Client, aside},
    connection::Server,
    port, program, users,
};
use crate::{Engine, Error, Options, login::Login, process};

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
    engine: Engine,
    options: &Options,
    destination: &Destination,
    name: &str,
    now: Timestamp,
) -> Result<Manifest, Error> {
    let path = options.data.join(FILE);
    let written = write(engine, options, destination, name, now, &path).await;
    // The room is its pod's, and the proof needs it.
    let _left = fs::remove_file(&path);
    written
}

async fn write(
    engine: Engine,
    options: &Options,
    destination: &Destination,
    name: &str,
    now: Timestamp,
    path: &Path,
) -> Result<Manifest, Error> {
    fetch(engine, options, path).await?;
    let counts = count(engine, options, path)?;
    let draft = Draft {
        name: name.to_owned(),
        engine: engine.name().to_owned(),
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
async fn fetch(engine: Engine, options: &Options, path: &Path) -> Result<(), Error> {
    let server = Server::of(options, port(options))?;
    let login = Login {
        username: users::BACKUP.to_owned(),
        ..options.logins()?.swap_remove(0)
    };
    let version = match engine {
        Engine::Valkey => Some(version(engine, options)?),
        Engine::Postgres | Engine::Redis => None,
    };
    let path = path.to_owned();
    aside(move || {
        let client = Client::connect(&server, &login).map_err(explain)?;
        let mut file = fs::File::create(&path)
            .map_err(|e| Error::io(format!("writing {}", path.display()), e))?;
        client.dump(version.as_deref(), &mut file)
    })
    .await
}

/// Version of the pod's own server, which is to read what is told.
fn version(engine: Engine, options: &Options) -> Result<String, Error> {
    let server = program(engine, options, "server");
    let said = process::check(Command::new(server).arg("--version"))?;
    let version = said.split_whitespace().find_map(|it| it.strip_prefix("v="));
    version
        .map(str::to_owned)
        .ok_or_else(|| Error::NoAnswer(format!("the server does not say its version: {said}")))
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
fn count(engine: Engine, options: &Options, path: &Path) -> Result<BTreeMap<String, u64>, Error> {
    let program = program(engine, options, "check-rdb");
    let said = process::check(Command::new(&program).arg(path))?;
    counts(&said).ok_or_else(|| {
        let program = program.display();
        Error::NoAnswer(format!("{program} does not say how many keys there are"))
    })
}

/// The counts in what `redis-check-rdb` or `valkey-check-rdb` says.
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
        let said = "the server says -WRONGPASS invalid username-password pair or user is disabled.";
        let error = explain(Error::NoAnswer(said.to_owned()));
        assert!(error.to_string().contains("Delete its pod"), "{error}");
    }
}
