//! How a server begins: it asks, and waits until it knows what to do.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};

use super::{
    Servers, ask,
    decide::{Step, Volume, decide},
    shown,
};
use crate::{
    Engine, Error, Options, State,
    marker::{self, Found},
    redis,
};

/// Until Sentinels are asked again.
const PAUSE: Duration = Duration::from_millis(500);
/// After so long without another primary nobody takes over from one whose data are gone. Sentinels
/// need a tenth of it.
const YIELDS: Duration = Duration::from_secs(60);
/// Folder of the append-only file, in that of the data.
pub(super) const FILES: &str = "appendonlydir";

/// What a server begins with.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    /// Where its data are.
    pub(super) folder: PathBuf,
    /// Where they are going to be when they are whole, if they are not yet.
    pub(super) whole: Option<PathBuf>,
    /// Whom it follows. `None`: it is the primary.
    pub(super) follows: Option<String>,
}

/// Waits until it is clear how to begin. `None`: it was told to end.
///
/// # Errors
/// That it must not begin.
pub(super) async fn begin(engine: Engine, options: &Options) -> Result<Option<Begun>, Error> {
    let caught = |error| Error::io("catching signals", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(caught)?;
    let folder = redis::folder(engine, options);
    let state = options.state()?;
    let volume = look(&folder, &state, &options.version)?;
    let Some(step) = agree(options, volume, &state, &mut terminate).await? else {
        return Ok(None);
    };
    let whole = |folder| Begun {
        folder,
        whole: None,
        follows: None,
    };
    Ok(Some(match step {
        Step::Begin => {
            println!("trackbed: nobody has data, makes a new database");
            if marker::look(&folder)? == Found::Nothing {
                redis::initialise(options, &folder, &state.identity)?;
            }
            whole(folder)
        }
        Step::Follow(primary) if volume == Volume::Empty => {
            println!("trackbed: the volume is empty, takes all data from {primary}");
            Begun {
                folder: draft(&folder)?,
                whole: Some(folder),
                follows: Some(primary),
            }
        }
        Step::Follow(primary) => {
            println!("trackbed: follows {primary}");
            Begun {
                follows: Some(primary),
                ..whole(folder)
            }
        }
        Step::Lead | Step::Yield | Step::Wait | Step::Missing => {
            println!("trackbed: is the primary, starts on the data that are there");
            whole(folder)
        }
    }))
}

/// Asks until there is something to do.
async fn agree(
    options: &Options,
    volume: Volume,
    state: &State,
    terminate: &mut Signal,
) -> Result<Option<Step>, Error> {
    let (mut said, mut since) = (None, None);
    loop {
        // The own Sentinel waits for it as well.
        shown::show(options)?;
        let servers = Servers::read(options)?;
        let heard = tokio::select! {
            heard = ask::all(&servers) => heard,
            _ = terminate.recv() => return Ok(None),
        };
        let step = decide(&servers, volume, state.initialised, &heard);
        let why = match &step {
            Step::Wait => "waits for Sentinels, or until one of them knows a primary",
            Step::Yield => "was the primary and has no data: waits until another one is",
            Step::Missing => return Err(Error::DataMissing),
            Step::Begin | Step::Lead | Step::Follow(_) => return Ok(Some(step)),
        };
        if step == Step::Yield {
            let since = *since.get_or_insert_with(Instant::now);
            if since.elapsed() > YIELDS {
                return Err(Error::NobodyTakesOver);
            }
        }
        if said != Some(why) {
            println!("trackbed: {why}");
            said = Some(why);
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = terminate.recv() => return Ok(None),
        }
    }
}

/// What is on the volume.
///
/// # Errors
/// That it is not this server's.
fn look(folder: &Path, state: &State, version: &str) -> Result<Volume, Error> {
    let found = marker::look(folder)?;
    if found == Found::Nothing {
        return Ok(Volume::Empty);
    }
    marker::decide(&found, state, version)?;
    // A new primary has a mark before its server has made a file.
    match folder.join(FILES).is_dir() {
        true => Ok(Volume::Data),
        false => Ok(Volume::Empty),
    }
}

/// Where data are until all of them are there. What was there of an attempt before is of no use.
fn draft(folder: &Path) -> Result<PathBuf, Error> {
    // A mark without files: somebody removed them.
    if folder.exists() {
        return Err(Error::DataMissing);
    }
    let draft = marker::draft(folder)?;
    fs::create_dir_all(&draft).map_err(|e| Error::io(format!("making {}", draft.display()), e))?;
    Ok(draft)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_has_data_when_they_were_whole() {
        let volume = tempfile::tempdir().expect("a folder");
        let folder = volume.path().join("redis");
        let state = State {
            identity: "ours".to_owned(),
            initialised: true,
        };
        let found = || look(&folder, &state, "7").map_err(|it| it.reason());
        assert_eq!(found(), Ok(Volume::Empty));
        let part = draft(&folder).expect("a draft");
        fs::create_dir(part.join(FILES)).expect("a folder");
        assert_eq!(found(), Ok(Volume::Empty), "they are not whole");
        let options = Options {
            version: "7".to_owned(),
            ..Options::test()
        };
        marker::publish(&part, &folder, &options.marker("ours")).expect("a rename");
        assert_eq!(found(), Ok(Volume::Data));
        fs::remove_dir(folder.join(FILES)).expect("it is removed");
        assert_eq!(found(), Ok(Volume::Empty), "somebody removed the files");
        draft(&folder).expect_err("nothing is written over what is there");
        fs::create_dir(folder.join(FILES)).expect("a folder");
        assert!(look(&folder, &state, "8").is_err(), "of another version");
        let other = State {
            identity: "theirs".to_owned(),
            ..state.clone()
        };
        assert!(look(&folder, &other, "7").is_err(), "another's");
    }
}
