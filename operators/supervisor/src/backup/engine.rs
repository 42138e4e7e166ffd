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

/// Whether a server can read a backup: one of its own kind, and of no later version. Valkey began
/// with Redis' files; which of them it reads is to be seen in the file.
///
/// # Errors
/// That it cannot.
pub(crate) fn suits(
    manifest: &Manifest,
    engine: Engine,
    content: &str,
    version: &str,
) -> Result<(), Error> {
    let number = |version: &str| version.parse::<u32>().ok();
    let own = manifest.engine == engine.name() && number(&manifest.version) <= number(version);
    let forked = engine == Engine::Valkey && manifest.engine == Engine::Redis.name();
    if manifest.content == content && (own || forked) {
        return Ok(());
    }
    Err(Error::Unsuited {
        name: manifest.name.clone(),
        found: format!("{} {}", manifest.engine, manifest.version),
        wanted: format!("{} {version}", engine.name()),
        instead: "that engine and of the same version or a later one",
    })
}

impl Engine {
    /// Where the data are.
    pub(super) fn folder(self, options: &Options) -> PathBuf {
        match self {
            Self::Postgres => postgres::folder(options),
            Self::Redis | Self::Valkey => redis::folder(self, options),
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
            Self::Redis | Self::Valkey => redis::take(self, options, destination, name, now).await,
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
            Self::Redis | Self::Valkey => {
                redis::load(self, options, folder, destination, manifest, purpose).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_of_a_later_server_or_of_another_is_not_tried() {
        let read = |(of, version): (Engine, &str), (engine, by): (Engine, &str)| {
            let content = |engine| match engine {
                Engine::Postgres => "pg_dump custom",
                Engine::Redis | Engine::Valkey => "rdb",
            };
            let manifest = Manifest {
                engine: of.name().to_owned(),
                version: version.to_owned(),
                content: content(of).to_owned(),
                ..super::super::tests::manifest("daily")
            };
            let suits = suits(&manifest, engine, content(engine), by);
            suits.map_err(|error| error.reason())
        };
        let no = Err("BackupUnreadable");
        let postgres = (Engine::Postgres, "17");
        assert_eq!(read((Engine::Postgres, "17"), postgres), Ok(()));
        assert_eq!(read((Engine::Postgres, "16"), postgres), Ok(()));
        assert_eq!(read((Engine::Postgres, "18"), postgres), no);
        let (redis, valkey) = ((Engine::Redis, "7"), (Engine::Valkey, "8"));
        assert_eq!(read(redis, postgres), no);
        assert_eq!(read(postgres, valkey), no);
        assert_eq!(read(redis, valkey), Ok(()), "the way to Valkey");
        assert_eq!(read(valkey, redis), no, "and none back");
        assert_eq!(read(valkey, (Engine::Valkey, "9")), Ok(()));
        assert_eq!(read((Engine::Valkey, "9"), valkey), no);
    }
}
