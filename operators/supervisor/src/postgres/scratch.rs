//! Loading a backup into a server that nobody else can reach: to prove it, or to begin with it.
//!
//! All that the backup has is made as the application's user: what its author could not do, it does
//! not do here.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::Signal;
use tokio::process::Child;
use trackbed_backup::{Destination, Manifest};

use super::{
    ADMIN, answers, dump, further, owners, peer::Peer, port, program, psql, psql::Session, sql,
};
use crate::{
    Engine, Error, Options,
    backup::{Use, suits},
    process::{self, Words},
    write_secret,
};

/// The server's own databases.
const DATABASES: [&str; 3] = [ADMIN, "template0", "template1"];
/// Users of its own, and of CloudNativePG's.
const USERS: [&str; 4] = [
    ADMIN,
    "streaming_replica",
    "cnpg_pooler_pgbouncer",
    owners::METRICS,
];
/// Everybody who reaches the socket, which is the supervisor: it is in the pod's memory.
const HBA: &str = "local all all trust\n";

/// Loads a backup into a folder that was just made, and compares how many rows there are with how
/// many there were.
///
/// # Errors
/// What is wrong with the backup, or with the room for it. Then the folder is of no use.
pub(super) async fn load(
    options: &Options,
    folder: &Path,
    destination: &Destination,
    manifest: &Manifest,
    purpose: Use,
) -> Result<(), Error> {
    suits(manifest, Engine::Postgres, dump::CONTENT, &options.version)?;
    let parts = parts(destination, manifest).await?;
    let server = start(options, folder, purpose)?;
    let work = async {
        answers(options).await;
        fill(options, destination, manifest).await?;
        for (owner, part) in &parts {
            let database = part.database.as_deref().unwrap_or_default();
            println!("trackbed: and its database {database}");
            let filled = fill_part(options, destination, owner, part).await;
            filled.map_err(|error| error.of(database))?;
        }
        Ok(())
    };
    process::beside(server, Signal::INT, work).await
}

fn start(options: &Options, folder: &Path, purpose: Use) -> Result<Child, Error> {
    let hba = options.run.join("scratch_hba.conf");
    write_secret(&hba, HBA)?;
    let mut command = Command::new(program(options, "postgres"));
    command
        .arg("-D")
        .arg(folder)
        .arg(format!("--hba-file={}", hba.display()))
        .arg(format!(
            "--unix-socket-directories={}",
            options.run.display()
        ))
        .arg(format!("--port={}", port(options)))
        // With these, rows go to their tables alone and not to the log besides.
        .args([
            "--listen-addresses=",
            "--wal-level=minimal",
            "--max-wal-senders=0",
        ])
        .arg("--max-connections=10");
    if purpose == Use::Proof {
        command.args(["--fsync=off", "--full-page-writes=off", "--autovacuum=off"]);
    }
    tokio::process::Command::from(command)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Error::io("starting postgres", error))
}

async fn fill(
    options: &Options,
    destination: &Destination,
    manifest: &Manifest,
) -> Result<(), Error> {
    let database = manifest.database.as_deref().unwrap_or_default();
    let admin = Peer::admin(options);
    psql::submit(options, &admin, &sql::owner(database)).await?;
    let peer = Peer::scratch(options, database, database);
    pour(options, &peer, destination, manifest).await
}

/// The same of a further database. Its owner is let in by nobody else afterwards, until it is listed.
async fn fill_part(
    options: &Options,
    destination: &Destination,
    owner: &str,
    part: &Manifest,
) -> Result<(), Error> {
    suits(part, Engine::Postgres, dump::CONTENT, &options.version)?;
    let database = part.database.as_deref().unwrap_or_default();
    let admin = Peer::admin(options);
    psql::submit(options, &admin, &owners::restored(database, owner)).await?;
    let peer = Peer::scratch(options, owner, database);
    pour(options, &peer, destination, part).await?;
    psql::submit(options, &admin, &owners::forget(owner)).await
}

/// What belongs to a backup, and whom each was of. Manifests may come from anywhere, and nobody is to
/// be a user of the server's own, or of the application's.
pub(super) async fn parts(
    destination: &Destination,
    manifest: &Manifest,
) -> Result<Vec<(String, Manifest)>, Error> {
    let main = manifest.database.as_deref();
    let mut parts = manifest.parts.iter();
    if let Some(part) = parts.find(|it| is_own(main, &it.owner, &it.database)) {
        let error = trackbed_backup::Error::Unreadable {
            name: manifest.name.clone(),
            why: "no user may have that".to_owned(),
        };
        return Err(error.of(&part.database).into());
    }
    let found = destination.parts(manifest).await?;
    let owners = manifest.parts.iter().map(|it| it.owner.clone());
    Ok(owners.zip(found).collect())
}

/// Whether a database or its owner is the server's own, or the application's.
fn is_own(main: Option<&str>, owner: &str, database: &str) -> bool {
    let first = owner.strip_suffix(owners::SECOND).unwrap_or(owner);
    let reserved = ["pg_", "trackbed_"].iter().any(|it| owner.starts_with(it));
    reserved
        || USERS.contains(&owner)
        || DATABASES.contains(&database)
        || [first, database].map(Some).contains(&main)
}

/// Hands a backup to its database, and counts.
async fn pour(
    options: &Options,
    peer: &Peer,
    destination: &Destination,
    manifest: &Manifest,
) -> Result<(), Error> {
    let database = peer.database();
    let admin = Peer::admin(options).at(database);
    extend(options, &admin, manifest).await?;
    restore(options, peer, destination, manifest).await?;
    // What it holds decides how its first questions are answered. As the super-user, since the
    // application's is told of each catalogue that it may not look at.
    let mut session = Session::start(admin.connect(psql::command(options)))?;
    session.ask("analyze;").await?;
    let mut session = Session::start(peer.connect(psql::command(options)))?;
    compare(&mut session, manifest).await
}

/// Creates the extensions that a backup needs, as the super-user in its database.
///
/// # Errors
/// [`Error::Unextended`], or that the server does not answer.
pub(super) async fn extend(
    options: &Options,
    admin: &Peer,
    manifest: &Manifest,
) -> Result<(), Error> {
    for extension in &manifest.extensions {
        if let Err(why) = further::extend(options, admin, extension).await? {
            return Err(Error::Unextended {
                name: manifest.name.clone(),
                extension: extension.clone(),
                why,
            });
        }
    }
    match manifest.extensions.is_empty() {
        true => Ok(()),
        false => further::uncomment(options, admin).await,
    }
}

/// Compares how many rows there are with how many there were.
///
/// # Errors
/// [`Error::Differs`], or that the server does not say it.
pub(super) async fn compare(session: &mut Session, manifest: &Manifest) -> Result<(), Error> {
    let found = dump::counts(session).await?;
    if found == manifest.counts {
        return Ok(());
    }
    Err(Error::Differs {
        name: manifest.name.clone(),
        how: differing(&manifest.counts, &found),
    })
}

/// The first table that has not what it had.
fn differing(expected: &BTreeMap<String, u64>, found: &BTreeMap<String, u64>) -> String {
    let rows = |of: &BTreeMap<String, u64>, table: &str| match of.get(table) {
        Some(rows) => format!("{rows} rows"),
        None => "no such table".to_owned(),
    };
    let tables = expected.keys().chain(found.keys());
    let table = tables
        .filter(|table| expected.get(*table) != found.get(*table))
        .min();
    let table = table.map(String::as_str).unwrap_or_default();
    format!(
        "{table} had {} and has {}",
        rows(expected, table),
        rows(found, table)
    )
}

/// Hands the backup to `pg_restore`, in one transaction, and waits for it whatever happens: when this
/// has ended, the server does nothing more for it.
///
/// # Errors
/// [`Error::Backup`] if the backup is spoilt. Then the database has what was made of it, perhaps.
/// Otherwise what `pg_restore` says, and the database has nothing of it.
pub(super) async fn restore(
    options: &Options,
    peer: &Peer,
    destination: &Destination,
    manifest: &Manifest,
) -> Result<(), Error> {
    let mut command = Command::new(program(options, "pg_restore"));
    command
        .args(["--format=custom", "--single-transaction", "--exit-on-error"])
        .args(["--no-owner", "--no-privileges", "--no-subscriptions"])
        // Without a database it writes SQL to its output, whatever the variables say.
        .args(["--no-password", "--dbname"])
        .arg(sql::address(peer.database()))
        .arg("--port")
        .arg(port(options).to_string());
    let mut reading = destination.read(manifest).await?;
    let child = tokio::process::Command::from(peer.connect(command))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = child.map_err(|error| Error::io("starting pg_restore", error))?;
    let mut words = Words::of(child.stderr.take());
    let mut handed = Ok(());
    if let Some(mut input) = child.stdin.take() {
        // Where the backup is spoilt its reader takes what it has for the whole, perhaps. Then all that
        // it made has to go: the callers see to that.
        handed = sound(tokio::io::copy(&mut reading, &mut input).await);
    }
    if handed.is_ok() {
        // It reads no further than it needs, and the checksum is that of everything.
        handed = sound(tokio::io::copy(&mut reading, &mut tokio::io::sink()).await);
    }
    let ended = words.judge("pg_restore", child.wait().await).await;
    handed.and(ended)
}

/// Whether nothing is wrong with a backup that was handed on. That its reader ended is not its
/// fault, and the reader's to say.
pub(super) fn sound(copied: std::io::Result<u64>) -> Result<(), Error> {
    match copied.map_err(std::io::Error::downcast::<trackbed_backup::Error>) {
        Err(Ok(spoilt)) => Err(spoilt.into()),
        Ok(_) | Err(Err(_)) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(tables: &[(&str, u64)]) -> BTreeMap<String, u64> {
        let owned = |(table, rows): &(&str, u64)| ((*table).to_owned(), *rows);
        tables.iter().map(owned).collect()
    }

    #[test]
    fn nobody_becomes_a_user_of_the_servers_own() {
        let own = |owner: &str, database: &str| is_own(Some("app"), owner, database);
        for owner in ["app", "app_2", "postgres", "pg_monitor", "trackbed_backup"] {
            assert!(own(owner, "shop"), "{owner}");
        }
        for database in ["app", "postgres", "template1"] {
            assert!(own("web", database), "{database}");
        }
        for database in ["shop", "templates", "pg_dumps"] {
            assert!(!own("web", database), "{database}");
        }
    }

    #[test]
    fn the_first_table_that_differs_is_told() {
        let had = counts(&[("public.a", 1), ("public.b", 2)]);
        let told = |found: &[(&str, u64)]| differing(&had, &counts(found));
        assert_eq!(
            told(&[("public.a", 1), ("public.b", 1)]),
            "public.b had 2 rows and has 1 rows"
        );
        assert_eq!(
            told(&[("public.b", 2)]),
            "public.a had 1 rows and has no such table"
        );
        assert_eq!(
            told(&[("public.a", 1), ("public.b", 2), ("public.c", 0)]),
            "public.c had no such table and has 0 rows"
        );
    }
}
