//! Whose data a folder holds. The marker lies inside the folder and appears with it, in one rename.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::Error;

/// File in the data folder.
const NAME: &str = "trackbed.json";

/// What a data folder says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Identity of the Database.
    pub identity: String,
    /// Major version of the server that made the data.
    pub version: String,
}

/// What the controller says of the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Identity of the Database.
    pub identity: String,
    /// Whether there were data before.
    pub initialised: bool,
}

/// What is on the volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No data folder.
    Nothing,
    /// A data folder without a marker.
    Unmarked,
    /// A data folder of somebody.
    Marked(Marker),
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Make a data folder.
    Initialise,
    /// Start on what is there.
    Start,
}

/// Looks at a data folder.
///
/// # Errors
/// That the marker cannot be read.
pub(crate) fn look(folder: &Path) -> Result<Found, Error> {
    if !folder.exists() {
        return Ok(Found::Nothing);
    }
    let path = folder.join(NAME);
    match fs::read(&path) {
        Ok(text) => Ok(serde_json::from_slice(&text).map_or(Found::Unmarked, Found::Marked)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Found::Unmarked),
        Err(error) => Err(Error::io(format!("reading {}", path.display()), error)),
    }
}

/// Where data are made until they are whole, and nothing of before.
///
/// # Errors
/// That what is there cannot be removed.
pub(crate) fn draft(folder: &Path) -> Result<PathBuf, Error> {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let draft = folder.with_file_name(name);
    if draft.exists() {
        // Of an attempt that did not come to its end: nobody was ever told that it is there.
        fs::remove_dir_all(&draft)
            .map_err(|e| Error::io(format!("removing {}", draft.display()), e))?;
    }
    Ok(draft)
}

/// Makes a draft the data of a Database, durably.
///
/// # Errors
/// That it cannot be written.
pub(crate) fn publish(draft: &Path, folder: &Path, marker: &Marker) -> Result<(), Error> {
    let path = draft.join(NAME);
    let publish = || {
        let text = serde_json::to_vec(marker).map_err(std::io::Error::other)?;
        fs::write(&path, text)?;
        fs::File::open(&path)?.sync_all()?;
        fs::File::open(draft)?.sync_all()?;
        fs::rename(draft, folder)?;
        match folder.parent() {
            Some(parent) => fs::File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    };
    publish().map_err(|error| Error::io(format!("making {}", folder.display()), error))
}

/// Whether a server may start on what is there, or make data where nothing is.
///
/// # Errors
/// That it must do neither.
pub fn decide(found: &Found, state: &State, version: &str) -> Result<Decision, Error> {
    match found {
        Found::Nothing if state.initialised => Err(Error::DataMissing),
        Found::Nothing => Ok(Decision::Initialise),
        Found::Unmarked => Err(Error::DataBelongsToAnother {
            found: "without a mark".to_owned(),
        }),
        Found::Marked(marker) if marker.identity != state.identity => {
            Err(Error::DataBelongsToAnother {
                found: marker.identity.clone(),
            })
        }
        Found::Marked(marker) if marker.version != version => Err(Error::MajorVersionMismatch {
            found: marker.version.clone(),
            wanted: version.to_owned(),
        }),
        Found::Marked(_) => Ok(Decision::Start),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(initialised: bool) -> State {
        State {
            identity: "ours".to_owned(),
            initialised,
        }
    }

    fn marked(identity: &str, version: &str) -> Found {
        Found::Marked(Marker {
            identity: identity.to_owned(),
            version: version.to_owned(),
        })
    }

    #[test]
    fn nothing_is_ever_initialised_over_a_loss_or_over_others() {
        let reason = |found: &Found, initialised| match decide(found, &state(initialised), "17") {
            Ok(Decision::Initialise) => "initialise",
            Ok(Decision::Start) => "start",
            Err(error) => error.reason(),
        };
        for initialised in [false, true] {
            assert_eq!(
                reason(&Found::Unmarked, initialised),
                "DataBelongsToAnother"
            );
            assert_eq!(
                reason(&marked("theirs", "17"), initialised),
                "DataBelongsToAnother"
            );
            assert_eq!(
                reason(&marked("ours", "16"), initialised),
                "MajorVersionMismatch"
            );
            assert_eq!(reason(&marked("ours", "17"), initialised), "start");
        }
        assert_eq!(reason(&Found::Nothing, false), "initialise");
        assert_eq!(reason(&Found::Nothing, true), "DataMissing");
    }

    #[test]
    fn a_marked_folder_reads_back() {
        let volume = tempfile::tempdir().expect("a folder");
        let (draft, folder) = (volume.path().join("new"), volume.path().join("data"));
        assert_eq!(look(&folder).expect("a look"), Found::Nothing);
        fs::create_dir(&draft).expect("a folder");
        let marker = Marker {
            identity: "ours".to_owned(),
            version: "17".to_owned(),
        };
        publish(&draft, &folder, &marker).expect("a rename");
        assert_eq!(look(&folder).expect("a look"), Found::Marked(marker));
        fs::write(folder.join(NAME), "nonsense").expect("a file");
        assert_eq!(look(&folder).expect("a look"), Found::Unmarked);
    }
}
