//! What a new database begins with: SQL of its user, which runs once.

use std::{fs, io, path::Path};

use super::{application, psql::Session, sql};
use crate::{Error, Options, login::Login};

/// File in the data folder: the SQL is still to run. It appears with the folder, so that data that
/// were there before are left alone.
const PENDING: &str = "trackbed-init.pending";
/// Whether it ran, if the supervisor ended between the transaction and the file's removal: an empty
/// schema of that transaction. One that ends right after that leaves the schema where it is.
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
    if !is_pending(folder) {
        return Ok(());
    }
    // A Database of the same name may have taken up the data without the SQL.
    let (Some(file), Some(login)) = (&options.init, logins.first()) else {
        return done(folder);
    };
    let text = fs::read_to_string(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Error::Init("there is no such ConfigMap, or no such key in it".to_owned())
        }
        _ => Error::Init(format!("its SQL cannot be read: {error}")),
    })?;
    let mut command = application(options, login)?;
    // The first line alone: a user's text may be long.
    command.args(["--set", "VERBOSITY=terse"]);
    let mut session = Session::start(command)?;
    let begun = session.ask(BEGUN).await?;
    if begun.first().is_some_and(|it| it == "0") {
        session.ask(&sql::beginning(&text)).await.map_err(said)?;
        println!("trackbed: the database begins with the SQL that it was given");
    }
    done(folder)?;
    session.ask(FORGET).await.map(|_| ())
}

fn done(folder: &Path) -> Result<(), Error> {
    let path = folder.join(PENDING);
    fs::remove_file(&path)
        .and_then(|()| fs::File::open(folder)?.sync_all())
        .map_err(|error| Error::io(format!("removing {}", path.display()), error))
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
