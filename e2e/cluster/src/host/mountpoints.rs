//! Folders that programs insist on. In the cluster's mount namespace each is its own
//! file system; the host only lends the empty folder to put it on.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Paths, Result,
    error::Doing,
    paths::{create_dir, write},
};

/// The folders.
pub(crate) const FOLDERS: [&str; 3] = ["/var/lib/cni", "/var/lib/kubelet", "/var/log/containers"];

/// Makes those that the host lacks, and remembers which.
pub(crate) fn create(paths: &Paths) -> Result<()> {
    let missing = missing(&FOLDERS.map(Path::new));
    // Written first: what is remembered and not there is no harm.
    let list: Vec<_> = missing.iter().map(|path| path.to_string_lossy()).collect();
    write(&paths.run("mountpoints"), list.join("\n"))?;
    missing.iter().try_for_each(|path| create_dir(path))
}

/// Removes those that were made for this cluster and are still empty.
pub(crate) fn remove(paths: &Paths) -> Result<()> {
    let list = paths.run("mountpoints");
    for folder in fs::read_to_string(&list).unwrap_or_default().lines() {
        // Not empty means that somebody else uses it now.
        let _ = fs::remove_dir(folder);
    }
    match fs::remove_file(&list) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).doing(|| format!("removing {}", list.display()))
        }
        _ => Ok(()),
    }
}

fn missing(folders: &[&Path]) -> Vec<PathBuf> {
    folders
        .iter()
        .filter(|path| !path.exists())
        .map(|path| path.to_path_buf())
        .collect()
}
