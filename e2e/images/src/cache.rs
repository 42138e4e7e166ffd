use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
};

use crate::{Result, error::Doing};

/// `$XDG_CACHE_HOME/trackbed` or `~/.cache/trackbed`.
fn root() -> PathBuf {
    env::var_os("XDG_CACHE_HOME")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(|| PathBuf::from("/var/cache"))
        .join("trackbed")
}

/// Where the layout of image `name`, made from what has this hash, is or will be.
pub(crate) fn layout(name: &str, hash: &str) -> PathBuf {
    root().join("images").join(name).join(hash)
}

/// A folder of the cache that several images share.
pub(crate) fn shared(path: &str) -> Result<PathBuf> {
    let path = root().join(path);
    create(&path)?;
    Ok(path)
}

/// The one place where images are being made on this machine: whoever else wants to make
/// some waits. Empty in the beginning, gone in the end.
#[derive(Debug)]
pub(crate) struct Workshop {
    folder: PathBuf,
    /// Held until the workshop is dropped.
    _lock: File,
}

impl Workshop {
    pub(crate) fn enter() -> Result<Self> {
        let images = shared("images")?;
        let path = images.join(".lock");
        let lock = File::create(&path).doing(|| format!("creating {}", path.display()))?;
        lock.lock()
            .doing(|| format!("locking {}", path.display()))?;
        let folder = images.join(".work");
        // Of somebody who was killed.
        remove(&folder)?;
        create(&folder)?;
        Ok(Workshop {
            folder,
            _lock: lock,
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // What stays is removed by whoever enters next.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn create(path: &Path) -> Result<()> {
    fs::create_dir_all(path).doing(|| format!("creating {}", path.display()))
}

pub(crate) fn remove(path: &Path) -> Result<()> {
    if path.exists() {
        fs::remove_dir_all(path).doing(|| format!("removing {}", path.display()))?;
    }
    Ok(())
}
