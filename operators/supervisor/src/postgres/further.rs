//! Databases besides the application's, each with an owner that can enter no other one. The
//! controller writes down which ones beside the user in reserve.
//!
//! Nothing is ever dropped: what is no longer listed stays, and its owner is not let in.

use std::{fs, io::ErrorKind};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{
    owners,
    peer::Peer,
    psql::{self, Session},
};
use crate::{
    Error, Options,
    login::{Login, one_line},
    mounted::snapshot,
    observe::databases::Told,
};

/// File beside the user in reserve.
const FILE: &str = "databases";

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    /// Of the list, which the controller is told again when all is done.
    pub(super) version: String,
    /// The databases.
    pub(super) databases: Vec<Database>,
    /// Their owners, and those of databases that were listed once.
    pub(super) owners: Vec<Owner>,
    /// Who takes backups of them.
    pub(super) backup: Login,
}

/// A database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Database {
    /// Its name.
    pub(super) name: String,
    /// Who owns it.
    pub(super) owner: String,
    /// Extensions that it is to have.
    pub(super) extensions: Vec<String>,
}

/// Who owns databases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Owner {
    /// The role.
    pub(super) name: String,
    /// Whether it is let in no more.
    pub(super) ended: bool,
    /// One of its users.
    pub(super) current: Login,
    /// The other one.
    pub(super) reserve: Login,
}

impl Owner {
    /// Its users.
    pub(super) fn logins(&self) -> [Login; 2] {
        [self.current.clone(), self.reserve.clone()]
    }
}

/// A database of the server, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct There {
    /// Its name.
    pub(super) name: String,
    /// The role that owns it.
    pub(super) owner: String,
    /// Whether that is a super-user.
    pub(super) superuser: bool,
}

impl Listed {
    /// Reads the file. `None`: there is none, since nobody asked for more than one database.
    ///
    /// # Errors
    /// That it cannot be read, or that a credential could not stand in a line of SQL.
    pub(super) fn read(options: &Options) -> Result<Option<Self>, Error> {
        match text(options)? {
            Some(text) => Self::parse(&text).map(Some),
            None => Ok(None),
        }
    }

    /// Reads the file that has a certain checksum: a pod may be given an older one for a while.
    ///
    /// # Errors
    /// The same, and that it is not there yet.
    fn exactly(options: &Options, checksum: &str) -> Result<Self, Error> {
        let text = text(options)?.unwrap_or_default();
        match self::checksum(&text) == checksum {
            true => Self::parse(&text),
            false => Err(Error::NoAnswer(
                "the list of databases is not here yet as it was written".to_owned(),
            )),
        }
    }

    fn parse(text: &str) -> Result<Self, Error> {
        // What serde says of it may have a password in it.
        let listed: Self =
            serde_json::from_str(text).map_err(|_| Error::Credential(FILE.to_owned()))?;
        let users = listed.owners.iter().flat_map(Owner::logins);
        for login in users.chain([listed.backup.clone()]) {
            one_line(&login.username, FILE)?;
            one_line(&login.password, FILE)?;
        }
        Ok(listed)
    }

    /// The databases that are there already and belong to somebody else than they are to.
    pub(super) fn differing(&self, there: &[There]) -> Vec<(String, String)> {
        let owner = |of: &Database| {
            let found = there.iter().find(|it| it.name == of.name)?;
            (found.owner != of.owner).then(|| (of.name.clone(), found.owner.clone()))
        };
        self.databases.iter().filter_map(owner).collect()
    }
}

/// SHA-256 in lower-case hexadecimal digits.
fn checksum(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The file's text, if there is one.
fn text(options: &Options) -> Result<Option<String>, Error> {
    let path = snapshot(&options.standby).join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(format!("reading {}", path.display()), error)),
    }
}

/// Does the same for a server in the network, whose super-user is let in for it: nobody else may
/// create every extension, nor give each owner what its second user made.
///
/// # Errors
/// That the list is not the one with that checksum, or what the server says.
pub(super) async fn at(options: &Options, host: &str, list: &str) -> Result<Told, Error> {
    let listed = Listed::exactly(options, list)?;
    let admin = psql::superuser(options, host, "trackbed-databases").await?;
    let told = settle(options, &admin, &listed).await?;
    println!("trackbed: the databases are there");
    Ok(told)
}

/// Gives the server all of it, and says what cannot be. It may run again and again.
///
/// # Errors
/// What the server says, of other things than extensions.
pub(super) async fn settle(
    options: &Options,
    admin: &Peer,
    listed: &Listed,
) -> Result<Told, Error> {
    let main = options.credential("database")?;
    let there = there(options, admin).await?;
    let differing = listed.differing(&there);
    let sql = owners::sql(&main, listed, &there, &differing);
    psql::submit(options, admin, &sql).await?;
    let mut told = Told {
        version: listed.version.clone(),
        unavailable: Vec::new(),
        differing,
    };
    for database in &listed.databases {
        if told
            .differing
            .iter()
            .any(|(name, _)| *name == database.name)
        {
            eprintln!(
                "trackbed: the database {} belongs to another user than {}, and stays as it is",
                database.name, database.owner
            );
            continue;
        }
        let admin = admin.at(&database.name);
        let owner = listed.owners.iter().find(|it| it.name == database.owner);
        if let Some(owner) = owner {
            let sql = super::sql::ownership(&owner.name, &owner.logins());
            psql::submit(options, &admin, &sql).await?;
        }
        for extension in &database.extensions {
            if let Err(why) = extend(options, &admin, extension).await? {
                eprintln!(
                    "trackbed: the database {} cannot have the extension {extension}: {why}",
                    database.name
                );
                let both = (database.name.clone(), extension.clone());
                told.unavailable.push(both);
            }
        }
        uncomment(options, &admin).await?;
    }
    Ok(told)
}

/// The databases of the server's users.
pub(super) async fn there(options: &Options, admin: &Peer) -> Result<Vec<There>, Error> {
    let mut session = Session::start(admin.connect(psql::command(options)))?;
    read(&session.ask(owners::THERE).await?)
}

/// What the server says of its databases.
///
/// # Errors
/// That it says something else.
pub(super) fn read(rows: &[String]) -> Result<Vec<There>, Error> {
    let read = |row: &String| {
        serde_json::from_str(row).map_err(|_| {
            Error::NoAnswer("the server does not say which databases it has".to_owned())
        })
    };
    rows.iter().map(read).collect()
}

/// Creates an extension as the super-user in its database, unless it is there; or says why that cannot
/// be.
///
/// # Errors
/// That the server does not answer.
pub(super) async fn extend(
    options: &Options,
    admin: &Peer,
    extension: &str,
) -> Result<Result<(), String>, Error> {
    let mut session = Session::start(admin.connect(psql::command(options)))?;
    // Whatever goes wrong here is not the extension's fault.
    let known = session.ask(&owners::available(extension)).await?;
    if known.first().is_none_or(|it| it == "0") {
        return Ok(Err("the image does not have it".to_owned()));
    }
    match session.ask(&owners::extension(extension)).await {
        Ok(_) => Ok(Ok(())),
        Err(Error::Program { words, .. }) => Ok(Err(words)),
        Err(error) => Err(error),
    }
}

/// Takes the comments off the extensions that are the super-user's: a backup would have them, and who
/// restores it could not write them.
///
/// # Errors
/// What the server says.
pub(super) async fn uncomment(options: &Options, admin: &Peer) -> Result<(), Error> {
    let mut session = Session::start(admin.connect(psql::command(options)))?;
    session.ask(owners::UNCOMMENT).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options {
            standby: folder.path().to_owned(),
            ..Options::test()
        };
        assert_eq!(Listed::read(&options).expect("there is none"), None);
        let write = |password: &str| {
            let text = format!(
                r#"{{"version":"a1","databases":[{{"name":"shop","owner":"web","extensions":["citext"]}}],
                "owners":[{{"name":"web","ended":false,"rotate":null,
                "current":{{"username":"web","password":"one"}},
                "reserve":{{"username":"web_2","password":"{password}"}}}}],
                "backup":{{"username":"trackbed_backup","password":"three"}}}}"#
            );
            fs::write(folder.path().join(FILE), text).expect("a file");
        };
        write("two");
        let listed = Listed::read(&options).expect("it reads").expect("a list");
        assert_eq!(listed.owners[0].logins()[1].password, "two");
        let text = fs::read_to_string(folder.path().join(FILE)).expect("a file");
        let checksum = checksum(&text);
        let exactly = |checksum: &str| Listed::exactly(&options, checksum);
        assert_eq!(exactly(&checksum).expect("that one"), listed);
        let error = exactly("another").expect_err("an older one");
        assert!(!error.is_lasting(), "it will be there");
        write("two\\nthree");
        let error = Listed::read(&options).expect_err("refused");
        assert!(!error.to_string().contains("two"), "{error}");
        fs::write(folder.path().join(FILE), "canary").expect("a file");
        let error = Listed::read(&options).expect_err("refused");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}
