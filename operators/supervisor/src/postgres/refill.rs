//! Restoring a backup over the network, into the empty database of a server that is somebody else's.
//!
//! It is done as the application's user, who can do no more to that server than the application can;
//! what belongs to it as the owner of each, into databases that the super-user makes. Where there is
//! anything, nothing is written; and of a backup that does not come back whole, nothing stays.

use std::collections::BTreeMap;

use tokio::io::{copy, sink};
use trackbed_backup::{Destination, Manifest};

use super::{
    dump,
    further::{self, There},
    owners,
    peer::Peer,
    psql,
    psql::Session,
    scratch, sql,
};
use crate::{Engine, Error, Options, backup::suits, login::Login};

/// What the server's log calls it.
const CLIENT: &str = "trackbed-restore";

/// Restores a backup into the database that the credentials name, and what belongs to it into
/// databases of their own, which are made. One in which that was done is left as it is.
///
/// # Errors
/// What is wrong with the backup or with the server, or that there are data. Then nothing is there
/// that was not there before.
pub(crate) async fn refill(
    options: &Options,
    host: &str,
    destination: &Destination,
    manifest: &Manifest,
) -> Result<Vec<Manifest>, Error> {
    suits(manifest, Engine::Postgres, dump::CONTENT, &options.version)?;
    let parts = scratch::parts(destination, manifest).await?;
    let to = To {
        options,
        host,
        main: Peer::network(options, host, CLIENT)?,
        admin: admin(options, host, manifest).await?,
        destination,
    };
    let mut made = Vec::new();
    match to.fill_all(manifest, &parts, &mut made).await {
        Err(bad @ (Error::Differs { .. } | Error::Backup(_) | Error::Unextended { .. })) => {
            let cleared = to.clear(&made).await;
            Err(outcome(&manifest.name, bad, cleared))
        }
        Err(error) => Err(error),
        Ok(()) => Ok(parts.into_iter().map(|(_, part)| part).collect()),
    }
}

/// The super-user, where a backup has what its owners cannot make: databases and extensions.
async fn admin(options: &Options, host: &str, manifest: &Manifest) -> Result<Option<Peer>, Error> {
    if manifest.parts.is_empty() && manifest.extensions.is_empty() {
        return Ok(None);
    }
    psql::superuser(options, host, CLIENT).await.map(Some)
}

/// Where a backup goes.
struct To<'a> {
    options: &'a Options,
    host: &'a str,
    /// The database that the credentials name.
    main: Peer,
    /// The super-user, if it is needed.
    admin: Option<Peer>,
    destination: &'a Destination,
}

impl To<'_> {
    /// Fills all databases: what belongs to a backup first, so that it is whole once the rest is there.
    /// `made` is which of them were made.
    async fn fill_all<'a>(
        &self,
        manifest: &Manifest,
        parts: &'a [(String, Manifest)],
        made: &mut Vec<&'a str>,
    ) -> Result<(), Error> {
        if self.is_filled(&self.main, manifest).await? {
            return Ok(());
        }
        if let Some(admin) = &self.admin {
            let there = further::there(self.options, admin).await?;
            if is_anothers(&there, parts) {
                return Err(Error::DataPresent("server"));
            }
        }
        for (owner, part) in parts {
            let filled = self.fill_part(owner, part, made).await;
            let database = part.database.as_deref().unwrap_or_default();
            filled.map_err(|error| error.of(database))?;
        }
        self.fill(&self.main, manifest).await
    }

    /// Makes a database and fills it, as its owner, who is let in by nobody else, and by nobody at all
    /// until somebody lists it.
    async fn fill_part<'a>(
        &self,
        owner: &str,
        part: &'a Manifest,
        made: &mut Vec<&'a str>,
    ) -> Result<(), Error> {
        let options = self.options;
        suits(part, Engine::Postgres, dump::CONTENT, &options.version)?;
        let (Some(admin), Some(database)) = (&self.admin, part.database.as_deref()) else {
            return Ok(());
        };
        let owner = Login::made(owner);
        psql::submit(options, admin, &owners::restored_by(database, &owner)).await?;
        let filling = async {
            let peer = Peer::owner(options, self.host, &owner, database, CLIENT)?;
            let filled = self.is_filled(&peer, part).await?;
            made.push(database);
            match filled {
                true => Ok(()),
                false => self.fill(&peer, part).await,
            }
        };
        let filled = filling.await;
        let forgotten = psql::submit(options, admin, &owners::forget(&owner.username)).await;
        filled.and(forgotten)
    }

    /// Whether that was done: an earlier try may have come that far.
    async fn is_filled(&self, peer: &Peer, manifest: &Manifest) -> Result<bool, Error> {
        let mut session = session(self.options, peer).await?;
        match contents(&mut session).await? {
            Contents::Nothing => Ok(false),
            Contents::Own => {
                judge(&manifest.counts, &dump::counts(&mut session).await?)?;
                Ok(true)
            }
            Contents::Others => Err(Error::DataPresent("database")),
        }
    }

    /// Fills an empty database.
    async fn fill(&self, peer: &Peer, manifest: &Manifest) -> Result<(), Error> {
        let (database, name) = (peer.database(), &manifest.name);
        println!("trackbed: reads {name} of the database {database} to its end");
        read(self.destination, manifest).await?;
        println!("trackbed: restores it");
        if let Some(admin) = &self.admin {
            scratch::extend(self.options, &admin.at(database), manifest).await?;
        }
        load(self.options, peer, self.destination, manifest).await
    }

    /// Has the server drop everything again, if anything came of it. There was nothing before.
    async fn clear(&self, made: &[&str]) -> Result<(), Error> {
        let mut session = session(self.options, &self.main).await?;
        if contents(&mut session).await? != Contents::Nothing {
            println!("trackbed: removes what came of it");
            session.ask(sql::CLEAR).await?;
        }
        if let Some(admin) = &self.admin {
            for database in made {
                println!("trackbed: removes the database {database}");
                psql::submit(self.options, admin, &owners::unmade(database)).await?;
            }
        }
        Ok(())
    }
}

/// Whether one of the databases that are to be made is there and is somebody else's.
fn is_anothers(there: &[There], parts: &[(String, Manifest)]) -> bool {
    let mut parts = parts.iter();
    parts.any(|(owner, part)| {
        let of = |it: &&There| Some(&it.name) == part.database.as_ref();
        there.iter().find(of).is_some_and(|it| it.owner != *owner)
    })
}

/// A connection on which a question may take as long as it takes.
async fn session(options: &Options, peer: &Peer) -> Result<Session, Error> {
    let mut session = Session::start(peer.connect(psql::command(options)))?;
    session.ask("set statement_timeout = 0;").await?;
    Ok(session)
}

/// Whose is what is in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// Nothing is.
    Nothing,
    /// All of it is this user's, as all is that is restored.
    Own,
    /// Some of it is another's, who may not let this user count its rows.
    Others,
}

/// Whose is what is in a session's database.
///
/// # Errors
/// That the server does not say so.
pub(super) async fn contents(session: &mut Session) -> Result<Contents, Error> {
    told(&session.ask(sql::CONTENTS).await?)
}

fn told(rows: &[String]) -> Result<Contents, Error> {
    let words: Vec<&str> = rows.iter().map(String::as_str).collect();
    match words[..] {
        ["nothing"] => Ok(Contents::Nothing),
        ["own"] => Ok(Contents::Own),
        ["others"] => Ok(Contents::Others),
        _ => Err(Error::NoAnswer(
            "the server does not say whether its database is empty".to_owned(),
        )),
    }
}

/// Whether the data that are there are the backup's: an earlier try may have come to its end and not
/// have said so. Of a backup without tables that cannot be told.
fn judge(wanted: &BTreeMap<String, u64>, found: &BTreeMap<String, u64>) -> Result<(), Error> {
    if wanted.is_empty() || wanted != found {
        return Err(Error::DataPresent("database"));
    }
    println!("trackbed: the data are there already");
    Ok(())
}

/// Reads all of a backup before anything of it is written: `pg_restore` ends its transaction as soon
/// as it has what it needs, and whether a backup is spoilt is known at its end alone.
async fn read(destination: &Destination, manifest: &Manifest) -> Result<(), Error> {
    let mut reading = destination.read(manifest).await?;
    scratch::sound(copy(&mut reading, &mut sink()).await)
}

/// Hands the backup to the server, and compares how many rows there are with how many there were.
async fn load(
    options: &Options,
    peer: &Peer,
    destination: &Destination,
    manifest: &Manifest,
) -> Result<(), Error> {
    scratch::restore(options, peer, destination, manifest).await?;
    let mut session = session(options, peer).await?;
    // First of all: as soon as there are tables somebody may write into them.
    scratch::compare(&mut session, manifest).await?;
    // The server does it sooner or later, so it is nothing to fail for.
    if let Err(error) = session.ask("analyze;").await {
        eprintln!("trackbed: the tables are not analyzed yet: {error}");
    }
    Ok(())
}

/// What is said of a backup that did not come back whole. That something of it stays is said with
/// it: the next try finds data, and could not tell whose they are.
fn outcome(name: &str, bad: Error, cleared: Result<(), Error>) -> Error {
    let Err(why) = cleared else { return bad };
    let how = match bad {
        Error::Differs { how, .. } => how,
        other => other.to_string(),
    };
    Error::Differs {
        name: name.to_owned(),
        how: format!("{how}. What came of it could not be removed and has to be ({why})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(rows: &[u64]) -> BTreeMap<String, u64> {
        let named = |(at, rows): (usize, &u64)| (format!("public.t{at}"), *rows);
        rows.iter().enumerate().map(named).collect()
    }

    #[test]
    fn only_the_backups_own_data_are_taken_for_it() {
        let reason = |wanted: &[u64], found: &[u64]| {
            judge(&counts(wanted), &counts(found)).map_err(|error| error.reason())
        };
        let no = Err("RestoreFailed");
        assert_eq!(reason(&[3, 4], &[3, 4]), Ok(()));
        assert_eq!(reason(&[3, 4], &[3, 5]), no);
        assert_eq!(reason(&[3, 4], &[3]), no);
        assert_eq!(reason(&[3], &[]), no, "there are functions, perhaps");
        assert_eq!(reason(&[], &[]), no, "nobody knows whose they are");
    }

    #[test]
    fn what_is_no_answer_is_not_taken_for_an_empty_database() {
        let answer = |rows: &[&str]| {
            let rows: Vec<String> = rows.iter().map(|row| (*row).to_owned()).collect();
            told(&rows).map_err(|error| error.reason())
        };
        assert_eq!(answer(&["nothing"]), Ok(Contents::Nothing));
        assert_eq!(answer(&["own"]), Ok(Contents::Own));
        assert_eq!(answer(&["others"]), Ok(Contents::Others));
        assert_eq!(answer(&[]), Err("DatabaseNotReady"));
        assert_eq!(answer(&["nothing", "own"]), Err("DatabaseNotReady"));
    }

    #[test]
    fn that_something_stays_is_said() {
        let bad = || Error::Differs {
            name: "daily".to_owned(),
            how: "public.a had 2 rows and has 1 rows".to_owned(),
        };
        let said = |cleared| outcome("daily", bad(), cleared).to_string();
        assert_eq!(said(Ok(())), bad().to_string());
        assert_eq!(
            said(Err(Error::NoAnswer("no answer".to_owned()))),
            "the backup daily did not come back whole: public.a had 2 rows and has 1 rows. What came of it could not be removed and has to be (no answer)"
        );
    }

    #[test]
    fn a_database_of_another_owner_is_left_alone() {
        let there = |owner: &str| There {
            name: "shop".to_owned(),
            owner: owner.to_owned(),
            superuser: false,
        };
        let part = Manifest {
            database: Some("shop".to_owned()),
            ..crate::backup::tests::manifest("daily")
        };
        let parts = [("web".to_owned(), part)];
        assert!(!is_anothers(&[], &parts));
        assert!(!is_anothers(&[there("web")], &parts), "an earlier try");
        assert!(is_anothers(&[there("other")], &parts));
    }
}
