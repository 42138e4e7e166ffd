//! Restoring a backup: into an empty volume, or into the empty database of a server that runs.

use std::fs;

use clap::Args;
use trackbed_backup::{Destination, Manifest};

use super::{At, Loaded, Use, loaded};
use crate::{Engine, Error, Options, held, marker, postgres, process};

/// Which backup.
#[derive(Args, Clone, Debug)]
pub struct Asked {
    /// Whose. Default: whose there are, if they are of one Database
    #[arg(long)]
    pub identity: Option<String>,
    /// Its name. Default: the newest
    #[arg(long)]
    pub backup: Option<String>,
}

impl Asked {
    /// Finds it.
    async fn find(&self, destination: &Destination) -> Result<Manifest, Error> {
        let identity = match &self.identity {
            Some(identity) => identity.clone(),
            None => only(destination).await?,
        };
        match &self.backup {
            Some(name) => Ok(destination.manifest(&identity, name).await?),
            None => newest(destination, &identity).await,
        }
    }
}

/// Restores a backup into an empty volume. A volume on which that was done is left as it is.
///
/// # Errors
/// That it cannot be, and then nothing is there that was not there before.
pub(crate) fn restore(
    engine: Engine,
    options: &Options,
    at: &At,
    asked: &Asked,
) -> Result<Loaded, Error> {
    process::runtime()?.block_on(async {
        let state = options.state()?;
        let destination = at.open()?;
        let manifest = asked.find(&destination).await?;
        let parts = destination.parts(&manifest).await?;
        let folder = engine.folder(options);
        let _held = held::hold(&options.data)?;
        match marker::look(&folder)? {
            marker::Found::Nothing if state.initialised => return Err(Error::DataMissing),
            marker::Found::Nothing => {}
            marker::Found::Marked(found) if found.identity == state.identity => {
                println!("trackbed: the data are there already");
                return Ok(loaded(&manifest, &parts));
            }
            _ => return Err(Error::DataPresent("volume")),
        }
        println!("trackbed: restores {}", manifest.name);
        let draft = marker::draft(&folder)?;
        let restored = engine.load(options, &draft, &destination, &manifest, Use::Keep);
        if let Err(error) = restored.await {
            // The next try would remove it, too; until then it would take room for nothing.
            let _left = fs::remove_dir_all(&draft);
            return Err(error);
        }
        marker::publish(&draft, &folder, &options.marker(&state.identity))?;
        Ok(loaded(&manifest, &parts))
    })
}

/// Restores a backup into the empty database of a server that runs at `host`. A database in which
/// that was done is left as it is.
///
/// # Errors
/// That it cannot be, and then nothing is there that was not there before.
pub(crate) fn refill(
    engine: Engine,
    host: &str,
    options: &Options,
    at: &At,
    asked: &Asked,
) -> Result<Loaded, Error> {
    if engine != Engine::Postgres {
        let why = format!(
            "a server that runs is given the backups of postgres alone, and this is {}: leave --into away",
            engine.name()
        );
        return Err(trackbed_backup::Error::Misconfigured(why).into());
    }
    process::runtime()?.block_on(async {
        let destination = at.open()?;
        let manifest = asked.find(&destination).await?;
        let parts = postgres::refill(options, host, &destination, &manifest).await?;
        Ok(loaded(&manifest, &parts))
    })
}

async fn newest(destination: &Destination, identity: &str) -> Result<Manifest, Error> {
    let backups = destination.list(identity).await?;
    backups.into_iter().next_back().ok_or_else(|| {
        trackbed_backup::Error::Missing {
            name: format!("of {identity}"),
            what: "there is none at all",
        }
        .into()
    })
}

/// Whose backups are there, if they are of one Database alone.
async fn only(destination: &Destination) -> Result<String, Error> {
    let mut identities = destination.identities().await?;
    match (identities.pop(), identities.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => Err(trackbed_backup::Error::Missing {
            name: "of any Database".to_owned(),
            what: "there is none at all",
        }
        .into()),
        (Some(last), false) => {
            identities.push(last);
            let why = format!(
                "there are backups of several Databases: name one as restore.from.identity, of {}",
                identities.join(", ")
            );
            Err(trackbed_backup::Error::Misconfigured(why).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_runs_is_given_no_keys() {
        let nowhere = At {
            folder: Some("/nowhere".into()),
            bucket: None,
            endpoint: None,
            region: None,
            prefix: None,
            keys: "/nowhere".into(),
            key_file: None,
        };
        let asked = Asked {
            identity: None,
            backup: None,
        };
        for engine in [Engine::Redis, Engine::Valkey] {
            let refused = refill(engine, "db", &Options::test(), &nowhere, &asked);
            let error = refused.expect_err("refused");
            assert_eq!(error.reason(), "DestinationInvalid");
            assert!(error.is_lasting());
            assert!(error.to_string().contains("--into"), "{error}");
        }
    }
}
