//! Users and passwords of the cluster's registry, git server and forge.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::{
    Error, Paths, Result,
    error::Doing,
    paths::{write, write_secret},
    tools,
};

/// A user and their password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The password, as it is sent.
    pub password: String,
}

/// What this cluster asks for. Made at the first boot, kept until `--purge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// The application registry: pulls and pushes need it.
    pub registry: Login,
    /// The git server: pushes, and everything under `/private/`, need it.
    pub git: Login,
    /// The forge, where there is one. It makes this password itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forge: Option<Login>,
}

impl Credentials {
    /// The credentials of a cluster that has been up at least once.
    ///
    /// # Errors
    /// When there are none yet.
    pub fn read(paths: &Paths) -> Result<Self> {
        let path = paths.credentials();
        let text = fs::read(&path).doing(|| format!("reading {}", path.display()))?;
        serde_json::from_slice(&text).map_err(|source| Error::Json { path, source })
    }

    /// Reads them, or makes new ones, and writes the files that the servers read.
    pub(crate) fn prepare(paths: &Paths) -> Result<Self> {
        if let Ok(kept) = Self::read(paths) {
            return Ok(kept);
        }
        let new = Credentials {
            registry: Login::new("trackbed"),
            git: Login::new("trackbed"),
            forge: None,
        };
        // Cheap on purpose: every pull of every layer checks it, and the password is random.
        let hash = bcrypt::hash(&new.registry.password, 4)?.replacen("$2b$", "$2y$", 1);
        write(
            &paths.data("htpasswd"),
            format!("{}:{hash}\n", new.registry.user),
        )?;
        write_secret(
            &paths.data("git-users"),
            format!("{}:{}\n", new.git.user, new.git.password),
        )?;
        // Last: it says that the others are there.
        new.write(paths)?;
        Ok(new)
    }

    /// Keeps them.
    pub(crate) fn write(&self, paths: &Paths) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(|source| Error::Json {
            path: paths.credentials(),
            source,
        })?;
        write_secret(&paths.credentials(), text)
    }
}

impl Login {
    fn new(user: &str) -> Self {
        Login {
            user: user.to_owned(),
            password: tools::hex(&rand::random::<[u8; 16]>()),
        }
    }
}
