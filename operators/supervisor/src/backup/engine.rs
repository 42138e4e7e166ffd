//! What the servers do differently about backups.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use trackbed_backup::{Destination, Manifest};

use crate::{Engine, Error, Options, postgres, redis};

/// Whether what is loaded is to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// It is thrown away: nothing has to be on disk.
    Proof,
    /// It is what a Database begins with.
    Keep,
}

/// Whether a server can read a backup: one of its own kind, and of no later version.
///
/// # Errors
/// That it cannot.
pub(crate) fn suits(
    manifest: &Manifest,
    engine: &str,
    content: &str,
    version: &str,
) -> Result<(), Error> {
    let suits = manifest.engine == engine && manifest.content == content;
    let number = |version: &str| version.parse::<u32>().ok();
    if suits && number(&manifest.version) <= number(version) {
        return Ok(());
    }
    Err(Error::Unsuited {
        name: manifest.name.clone(),
        found: format!("{} {}", manifest.engine, manifest.version),
        wanted: format!("{engine} {version}"),
    })
}

impl Engine {
    /// Where the data are.
    pub(super) fn folder(self, options: &Options) -> PathBuf {
        match self {
            Self::Postgres => postgres::folder(options),
            Self::Redis => redis::folder(options),
        }
    }

    /// Takes a backup, and gives what there is to know of it.
    ///
    /// # Errors
    /// What the server or the destination says. Then there is no backup of that name.
    pub(super) async fn take(
        self,
        options: &Options,
        destination: &Destination,
        name: &str,
        now: Timestamp,
    ) -> Result<Manifest, Error> {
        match self {
            Self::Postgres => postgres::take(options, destination, name, now).await,
            Self::Redis => redis::take(options, destination, name, now).await,
        }
    }

    /// Makes a folder of a backup's data, and compares how many there are with how many there were.
    ///
    /// # Errors
    /// What is wrong with the backup, or with the room for it. Then the folder is of no use.
    pub(super) async fn load(
        self,
        options: &Options,
        folder: &Path,
        destination: &Destination,
        manifest: &Manifest,
        purpose: Use,
    ) -> Result<(), Error> {
        match self {
            Self::Postgres => postgres::load(options, folder, destination, manifest, purpose).await,
            Self::Redis => redis::load(options, folder, destination, manifest, purpose).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_of_a_later_server_or_of_another_is_not_tried() {
        let suits = |engine: &str, version: &str| {
            let manifest = Manifest {
                engine: engine.to_owned(),
                version: version.to_owned(),
                ..super::super::tests::manifest("daily")
            };
            let suits = suits(&manifest, "postgres", "pg_dump custom", "17");
            suits.map_err(|error| error.reason())
        };
        assert_eq!(suits("postgres", "17"), Ok(()));
        assert_eq!(suits("postgres", "16"), Ok(()));
        assert_eq!(suits("postgres", "18"), Err("BackupUnreadable"));
        assert_eq!(suits("redis", "7"), Err("BackupUnreadable"));
    }
}
