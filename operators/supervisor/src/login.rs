//! Whom the server lets in: the user that applications are told of and the one in reserve, as two
//! mounted Secrets say.

use std::{fs, path::Path};

use rand::distr::{Alphanumeric, SampleString};

use serde::Deserialize;

use crate::{Error, Options, mounted::snapshot};

/// A user and its password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Login {
    /// User.
    pub(crate) username: String,
    /// Password.
    pub(crate) password: String,
}

impl Login {
    /// A user with a password that nobody knows yet.
    pub(crate) fn made(username: &str) -> Self {
        Self {
            username: username.to_owned(),
            // Seeded by the operating system, and meant for secrets.
            password: Alphanumeric.sample_string(&mut rand::rng(), 32),
        }
    }
}

impl Options {
    /// All users, that of the applications first.
    ///
    /// # Errors
    /// That a file is missing or could not stand in a line of SQL or of a configuration.
    pub(crate) fn logins(&self) -> Result<Vec<Login>, Error> {
        let mut logins = vec![read(&self.credentials)?];
        if self.standby.join("username").exists() {
            let standby = read(&self.standby)?;
            // In the middle of a change both may say the same for a moment.
            if standby.username != logins[0].username {
                logins.push(standby);
            }
        }
        Ok(logins)
    }

    /// The password by which several servers of Redis or Valkey enter each other.
    ///
    /// # Errors
    /// That it is missing or could not stand in a line of a configuration.
    pub(crate) fn peers(&self) -> Result<String, Error> {
        text(&snapshot(&self.standby), "peers")
    }

    /// The super-user of a server in the network.
    ///
    /// # Errors
    /// That a file is missing or could not stand in a line of SQL or of a configuration.
    pub(crate) fn superuser(&self) -> Result<Login, Error> {
        read(&self.superuser)
    }

    /// One of the mounted credentials.
    ///
    /// # Errors
    /// That it is missing or could not stand in a line of SQL or of a configuration.
    pub(crate) fn credential(&self, name: &str) -> Result<String, Error> {
        text(&self.credentials, name)
    }
}

fn read(folder: &Path) -> Result<Login, Error> {
    let folder = snapshot(folder);
    Ok(Login {
        username: text(&folder, "username")?,
        password: text(&folder, "password")?,
    })
}

fn text(folder: &Path, name: &str) -> Result<String, Error> {
    let path = folder.join(name);
    let text = fs::read_to_string(&path)
        .map_err(|e| Error::io(format!("reading {}", path.display()), e))?;
    one_line(&text, name)?;
    Ok(text)
}

/// # Errors
/// That a text could not stand in a line of SQL or of a configuration.
pub(crate) fn one_line(text: &str, name: &str) -> Result<(), Error> {
    match text.is_empty() || text.chars().any(char::is_control) {
        true => Err(Error::Credential(name.to_owned())),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, username: &str, password: &str) {
        fs::create_dir_all(folder).expect("a folder");
        fs::write(folder.join("username"), username).expect("a file");
        fs::write(folder.join("password"), password).expect("a file");
    }

    #[test]
    fn both_users_are_read_and_one_name_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options {
            credentials: folder.path().join("credentials"),
            standby: folder.path().join("standby"),
            tls: folder.path().join("tls"),
            ..Options::test()
        };
        let names = || {
            let logins = options.logins().expect("logins").into_iter();
            let texts = logins.map(|login| format!("{}:{}", login.username, login.password));
            texts.collect::<Vec<_>>()
        };
        assert!(options.logins().is_err(), "no credentials at all");
        write(&options.credentials, "app", "one");
        assert_eq!(names(), ["app:one"]);
        write(&options.standby, "app_2", "two");
        assert_eq!(names(), ["app:one", "app_2:two"]);
        write(&options.standby, "app", "three");
        assert_eq!(names(), ["app:one"]);
    }

    #[test]
    fn files_are_read_of_one_moment() {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = folder.path().join("credentials");
        write(&mounted.join("..new"), "app_2", "two");
        std::os::unix::fs::symlink("..new", mounted.join("..data")).expect("a link");
        write(&mounted, "app", "one");
        let login = read(&mounted).expect("a login");
        assert_eq!(
            (login.username.as_str(), login.password.as_str()),
            ("app_2", "two")
        );
    }
}
