//! What the store leaves undone on a volume: to make a removal durable, and to clear away the files
//! of writers that were killed. It writes to `data.zst#1` and renames that, and never lists it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use jiff::Timestamp;

use crate::destination::{DATA, MANIFEST};

/// The folder of a destination.
#[derive(Clone, Debug)]
pub(crate) struct Volume(Arc<Path>);

impl Volume {
    /// # Errors
    /// That there is no such folder.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let folder = fs::canonicalize(folder)?;
        fs::read_dir(&folder)?;
        Ok(Self(folder.into()))
    }

    /// Whether the folder is still there: one that vanished must not be taken for an empty one, and
    /// not be made anew somewhere else.
    ///
    /// # Errors
    /// That it is not.
    pub(crate) async fn present(&self) -> io::Result<()> {
        let root = Arc::clone(&self.0);
        blocking(move || fs::read_dir(root).map(drop)).await
    }

    /// Makes it durable that a file of a backup is gone.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) async fn sync(&self, identity: &str, name: &str) -> io::Result<()> {
        let folder = self.backup(identity, name);
        blocking(move || match File::open(folder) {
            Ok(folder) => folder.sync_all(),
            Err(error) => absent(error),
        })
        .await
    }

    /// Removes what writers of a backup left that never came to an end, if it was last written
    /// before a time, and the folder if that leaves it empty. Says whether there was any.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) async fn unstage(
        &self,
        identity: &str,
        name: &str,
        before: Option<Timestamp>,
    ) -> io::Result<bool> {
        let folder = self.backup(identity, name);
        let before = before.map(SystemTime::from);
        blocking(move || unstage(&folder, before)).await
    }

    /// Both have to be checked before.
    fn backup(&self, identity: &str, name: &str) -> PathBuf {
        self.0.join(identity).join(name)
    }
}

fn unstage(folder: &Path, before: Option<SystemTime>) -> io::Result<bool> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return absent(error).map(|()| false),
    };
    let mut found = false;
    for entry in entries {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(is_staged) {
            continue;
        }
        let written = match entry.metadata().and_then(|it| it.modified()) {
            Ok(written) => written,
            Err(error) => {
                absent(error)?;
                continue;
            }
        };
        if before.is_none_or(|before| written < before) {
            fs::remove_file(entry.path()).or_else(absent)?;
            found = true;
        }
    }
    // It stays if something is in it, and is made again if somebody needs it.
    let _full = fs::remove_dir(folder);
    Ok(found)
}

/// Whether a file's name is one that the store gives to what is not finished.
fn is_staged(name: &str) -> bool {
    name.split_once('#').is_some_and(|(of, number)| {
        matches!(of, DATA | MANIFEST)
            && !number.is_empty()
            && number.bytes().all(|it| it.is_ascii_digit())
    })
}

fn absent(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_store_are_taken_for_leftovers() {
        for good in ["data.zst#1", "manifest.json#20"] {
            assert!(is_staged(good), "{good}");
        }
        for bad in ["data.zst", "data.zst#", "data.zst#a", "other#1", "#1"] {
            assert!(!is_staged(bad), "{bad}");
        }
    }
}
