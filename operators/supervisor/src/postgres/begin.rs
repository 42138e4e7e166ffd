//! What a new database begins with: SQL of its user, which runs once.

use std::{fs, io, path::Path};

use super::{
    application,
    peer::Peer,
    psql::{self, Session},
    refill::{self, Contents},
    sql,
};
use crate::{Error, Options, login::Login};

/// File in the data folder: the SQL is still to run. It appears with the folder, so that data that
/// were there before are left alone.
const PENDING: &str = "trackbed-init.pending";
/// Takes its place once it ran, until the schema is gone.
const RAN: &str = "trackbed-init.ran";
/// Whether it ran, if the supervisor ended between the transaction and what the files say: an empty
/// schema of that transaction.
const BEGUN: &str = "select count(*) from pg_namespace where nspname = 'trackbed_begun';";
const FORGET: &str = "drop schema if exists trackbed_begun;";

/// Asks for it to run, in a folder that is being made.
pub(super) fn ask(folder: &Path) -> Result<(), Error> {
    let path = folder.join(PENDING);
    fs::write(&path, "").map_err(|error| Error::io(format!("writing {}", path.display()), error))
}

/// Whether it has not run yet.
pub(super) fn is_pending(folder: &Path) -> bool {
    folder.join(PENDING).exists()
}

/// Runs it, unless it ran.
///
/// # Errors
/// That it is not there, or what the server says to it. Then nothing of it stays.
pub(super) async fn run(options: &Options, folder: &Path, logins: &[Login]) -> Result<(), Error> {
    let Some(login) = logins.first() else {
        return Ok(());
    };
    match &options.init {
        Some(file) if is_pending(folder) => begin(options, file, folder, login).await?,
        // A Database of the same name may have taken up the data without the SQL.
        None if is_pending(folder) => is_now(folder, None)?,
        _ => {}
    }
    if folder.join(RAN).exists() {
        let mut session = Session::start(application(options, login)?)?;
        session.ask(FORGET).await?;
        is_now(folder, None)?;
    }
    Ok(())
}

/// Runs it over the network, in a database that nobody has an address of yet: one with something in
/// it has begun. What leaves nothing may run again.
///
/// # Errors
/// That it is not there, or what the server says to it. Then nothing of it stays.
pub(super) async fn at(options: &Options, host: &str) -> Result<(), Error> {
    let peer = Peer::network(options, host, "trackbed-begin")?;
    let mut command = psql::command(options);
    command.args(["--set", "VERBOSITY=terse"]);
    let mut session = Session::start(peer.connect(command))?;
    if refill::contents(&mut session).await? == Contents::Nothing {
        let text = text(options.init.as_deref().unwrap_or(Path::new("")))?;
        session.ask(&sql::beginning(&text)).await.map_err(said)?;
        println!("trackbed: the database begins with the SQL that it was given");
    }
    session.ask(FORGET).await.map(drop)
}

/// The SQL.
fn text(file: &Path) -> Result<String, Error> {
    fs::read_to_string(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Error::Init("there is no such ConfigMap, or no such key in it".to_owned())
        }
        _ => Error::Init(format!("its SQL cannot be read: {error}")),
    })
}

async fn begin(options: &Options, file: &Path, folder: &Path, login: &Login) -> Result<(), Error> {
    let text = text(file)?;
    let mut command = application(options, login)?;
    // The first line alone: a user's text may be long.
    command.args(["--set", "VERBOSITY=terse"]);
    let mut session = Session::start(command)?;
    let begun = session.ask(BEGUN).await?;
    if begun.first().is_some_and(|it| it == "0") {
        session.ask(&sql::beginning(&text)).await.map_err(said)?;
        println!("trackbed: the database begins with the SQL that it was given");
    }
    is_now(folder, Some(RAN))
}

/// Puts another file where one of the two is, or none.
fn is_now(folder: &Path, name: Option<&str>) -> Result<(), Error> {
    let is_there = |name: &&str| folder.join(name).exists();
    let Some(before) = [PENDING, RAN].into_iter().find(is_there) else {
        return Ok(());
    };
    let path = folder.join(before);
    let changed = match name {
        Some(name) => fs::rename(&path, folder.join(name)),
        None => fs::remove_file(&path),
    };
    changed
        .and_then(|()| fs::File::open(folder)?.sync_all())
        .map_err(|error| Error::io(format!("changing {}", path.display()), error))
}

/// What the server says to it, without what psql puts before it.
fn said(error: Error) -> Error {
    match error {
        Error::Program { words, .. } => {
            let words = words
                .split_once("ERROR:")
                .map_or(words.as_str(), |(_, it)| it);
            Error::Init(format!("its SQL does not run: {}", words.trim()))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_says_how_far_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let there = || [PENDING, RAN].map(|name| folder.join(name).exists());
        is_now(folder, None).expect("data that were there before have none");
        ask(folder).expect("it is asked for");
        assert!(is_pending(folder));
        is_now(folder, Some(RAN)).expect("it ran");
        assert_eq!(there(), [false, true]);
        assert!(!is_pending(folder), "clients are let in");
        is_now(folder, None).expect("nothing of it is left");
        assert_eq!(there(), [false, false]);
    }
}
