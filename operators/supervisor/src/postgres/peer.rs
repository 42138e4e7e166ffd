//! Whom the server's programs talk to, and as whom.

use std::{ffi::OsString, path::PathBuf, process::Command};

use super::{ADMIN, further::Listed, password_file, sql};
use crate::{Error, Options, login::Login, write_secret};

/// File with the super-user's password, in the pod's memory.
const SUPERUSER: &str = "pgpass-superuser";
/// File with the password of an owner, for as long as a restore takes.
const OWNER: &str = "pgpass-owner";

/// A database, and the way to it.
#[derive(Clone)]
pub(super) struct Peer {
    /// A name in the network, or the folder of a socket.
    host: OsString,
    user: String,
    database: String,
    /// What else libpq is told, by variables:
    /// <https://www.postgresql.org/docs/current/libpq-envars.html>.
    told: Vec<(&'static str, OsString)>,
}

impl Peer {
    /// The super-user of the server in this pod, which lets in whoever reaches its socket.
    pub(super) fn admin(options: &Options) -> Self {
        Self::scratch(options, ADMIN, ADMIN)
    }

    /// The super-user of a server in the network, as long as that lets it in.
    ///
    /// # Errors
    /// That its password cannot be read, or not be written where libpq reads it.
    pub(super) fn superuser(
        options: &Options,
        host: &str,
        name: &'static str,
    ) -> Result<Self, Error> {
        let login = options.superuser()?;
        let passwords = options.run.join(SUPERUSER);
        Ok(Self {
            host: host.into(),
            told: told(passwords, std::slice::from_ref(&login), name)?,
            user: login.username,
            database: ADMIN.to_owned(),
        })
    }

    /// A database in the network, as its owner.
    ///
    /// # Errors
    /// That the password cannot be written where libpq reads it.
    pub(super) fn owner(
        options: &Options,
        host: &str,
        owner: &Login,
        database: &str,
        name: &'static str,
    ) -> Result<Self, Error> {
        let passwords = options.run.join(OWNER);
        Ok(Self {
            host: host.into(),
            user: owner.username.clone(),
            database: database.to_owned(),
            told: told(passwords, std::slice::from_ref(owner), name)?,
        })
    }

    /// The same user in another database.
    pub(super) fn at(&self, database: &str) -> Self {
        Self {
            database: database.to_owned(),
            ..self.clone()
        }
    }

    /// The server in this pod that lets in whoever reaches its socket, as the owner of a database.
    pub(super) fn scratch(options: &Options, owner: &str, database: &str) -> Self {
        Self {
            host: options.run.clone().into(),
            user: owner.to_owned(),
            database: database.to_owned(),
            told: Vec::new(),
        }
    }

    /// A server in the network, as the application's user. The server's log calls it by `name`.
    ///
    /// # Errors
    /// That the credentials cannot be read, or the password not be written where libpq reads it.
    pub(super) fn network(
        options: &Options,
        host: &str,
        name: &'static str,
    ) -> Result<Self, Error> {
        let logins = options.logins()?;
        Ok(Self {
            host: host.into(),
            user: options.credential("username")?,
            database: options.credential("database")?,
            told: told(password_file(options), &logins, name)?,
        })
    }

    /// Another database of it, as the user who takes backups.
    ///
    /// # Errors
    /// The same, and that there is no such user.
    pub(super) fn further(
        options: &Options,
        host: &str,
        database: &str,
        name: &'static str,
    ) -> Result<Self, Error> {
        let listed = Listed::read(options)?;
        let backup = listed.ok_or_else(|| Error::Credential("databases".to_owned()))?;
        let backup = backup.backup;
        let passwords = password_file(options);
        let told = told(passwords, std::slice::from_ref(&backup), name)?;
        Ok(Self {
            host: host.into(),
            user: backup.username,
            database: database.to_owned(),
            told,
        })
    }

    pub(super) fn database(&self) -> &str {
        &self.database
    }

    /// Has a program talk to it.
    pub(super) fn connect(&self, mut command: Command) -> Command {
        command
            .arg("--host")
            .arg(&self.host)
            .args(["--username", &self.user])
            // As a variable it is a name, whatever is in it; as an argument it may be a whole address.
            .env("PGDATABASE", &self.database)
            .envs(self.told.iter().map(|(name, value)| (name, value)));
        command
    }
}

fn told(
    passwords: PathBuf,
    logins: &[Login],
    name: &'static str,
) -> Result<Vec<(&'static str, OsString)>, Error> {
    write_secret(&passwords, &sql::passwords(logins))?;
    Ok(vec![
        ("PGPASSFILE", passwords.into()),
        ("PGCONNECT_TIMEOUT", "10".into()),
        ("PGAPPNAME", name.into()),
    ])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn options(folder: &tempfile::TempDir) -> Options {
        for (name, text) in [
            ("username", "app_2"),
            ("password", "canary"),
            ("database", "app"),
        ] {
            fs::write(folder.path().join(name), text).expect("a file");
        }
        Options {
            credentials: folder.path().to_owned(),
            run: folder.path().to_owned(),
            ..Options::test()
        }
    }

    #[test]
    fn passwords_go_by_a_file_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = options(&folder);
        let peer = Peer::network(&options, "db-rw", "trackbed-restore").expect("a peer");
        let command = peer.connect(Command::new("psql"));
        let told = format!("{command:?}");
        assert!(
            told.ends_with(r#""psql" "--host" "db-rw" "--username" "app_2""#),
            "{told}"
        );
        assert!(told.contains(r#"PGDATABASE="app""#), "{told}");
        assert!(!told.contains("canary"), "{told}");
        let written = fs::read_to_string(password_file(&options)).expect("a file");
        assert_eq!(written, "*:*:*:app_2:canary\n");
    }

    #[test]
    fn the_server_in_the_pod_is_asked_without_a_password() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = options(&folder);
        let command = Peer::scratch(&options, "theirs", "shop").connect(Command::new("psql"));
        let told = format!("{command:?}");
        assert!(told.ends_with(r#""--username" "theirs""#), "{told}");
        assert!(told.contains(r#"PGDATABASE="shop""#), "{told}");
        assert!(!told.contains("PGPASSFILE"), "{told}");
        assert!(!password_file(&options).exists());
    }
}
