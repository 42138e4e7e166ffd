//! Folders that programs insist on. In the cluster's mount namespace each is its own
//! file system; the host only lends the empty folder to put it on.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Name, Paths, Result,
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

/// Removes those that were made for this cluster and are still empty. While another cluster
/// runs it inherits them: to remove a folder on the host would take away the file system that
/// the other one put on it in its own namespace.
pub(crate) fn remove(paths: &Paths) -> Result<()> {
    let list = paths.run("mountpoints");
    let mine = fs::read_to_string(&list).unwrap_or_default();
    match others(paths, Path::exists).first() {
        Some(heir) => {
            let theirs = fs::read_to_string(heir).unwrap_or_default();
            write(heir, union(&theirs, &mine))?;
        }
        // Not empty means that somebody else uses it now.
        None => mine.lines().for_each(|folder| {
            let _ = fs::remove_dir(folder);
        }),
    }
    match fs::remove_file(&list) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).doing(|| format!("removing {}", list.display()))
        }
        _ => Ok(()),
    }
}

/// The lists of the other clusters that run, or died and were not cleaned up yet.
fn others(paths: &Paths, exists: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    Name::ALL
        .map(Paths::of)
        .iter()
        .filter(|other| *other != paths)
        .map(|other| other.run("mountpoints"))
        .filter(|list| exists(list))
        .collect()
}

fn union(theirs: &str, mine: &str) -> String {
    let all: BTreeSet<_> = theirs.lines().chain(mine.lines()).collect();
    all.into_iter().collect::<Vec<_>>().join("\n")
}

fn missing(folders: &[&Path]) -> Vec<PathBuf> {
    folders
        .iter()
        .filter(|path| !path.exists())
        .map(|path| path.to_path_buf())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_cluster_that_runs_inherits_the_folders() {
        let mine = Paths::of(Name::Test);
        let runs = |_: &Path| true;
        let heirs = others(&mine, runs);
        assert!(heirs.contains(&Paths::of(Name::Dev).run("mountpoints")));
        assert!(!heirs.contains(&mine.run("mountpoints")));
        assert_eq!(others(&mine, |_| false), Vec::<PathBuf>::new());
        assert_eq!(union("/b\n/a", "/c\n/a"), "/a\n/b\n/c");
        assert_eq!(union("", "/c"), "/c");
    }
}
