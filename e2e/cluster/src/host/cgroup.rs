//! The control groups that the cluster's Pods live in, and what runs them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Result, error::Doing};

/// Group within, for what runs the Pods.
const SYSTEM: &str = "system";
/// File with a group's part of the processors, in version 1.
const SHARES: &str = "cpu.shares";
/// What one process has that is in no group.
const SHARES_OF_ONE: u32 = 1024;
/// What the cluster has: with the shares of one, its Pods would stand still beside a few compilers.
const SHARES_OF_ALL: u32 = 8 * SHARES_OF_ONE;
/// Of that, what runs the Pods has more than they have (1024 for each processor, by kubelet): they
/// are nothing without an API server that answers.
const SHARES_OF_SYSTEM: u32 = 4 * SHARES_OF_ONE;

/// Name of the group in every hierarchy.
pub(crate) fn name(cluster: crate::Name) -> String {
    format!("trackbed-{cluster}")
}

/// Makes the group in every hierarchy, so that kubelet finds it.
pub(crate) fn create(name: &str) -> Result<()> {
    for hierarchy in hierarchies() {
        let group = hierarchy.path.join(name);
        fs::create_dir_all(&group).doing(|| format!("creating {}", group.display()))?;
        if hierarchy.unified {
            delegate(&hierarchy.path);
        } else {
            // A new cpuset has no processors, and nothing can run in it.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let parent = hierarchy.path.join(file);
                if let Ok(value) = fs::read_to_string(&parent) {
                    fs::write(group.join(file), value.trim())
                        .doing(|| format!("writing {}", group.join(file).display()))?;
                }
            }
        }
    }
    Ok(())
}

/// Runs `start`, whose processes are in the group for what runs the Pods, and have their parts of the
/// processors as on a node of its own. In version 2 they stay with whoever starts the cluster, who is
/// in a group already.
pub(crate) fn within<T>(name: &str, start: impl FnOnce() -> Result<T>) -> Result<T> {
    let all: Vec<PathBuf> = hierarchies()
        .into_iter()
        .map(|hierarchy| hierarchy.path)
        .filter(|path| path.join(name).join(SHARES).exists())
        .collect();
    for path in &all {
        let group = path.join(name);
        let system = group.join(SYSTEM);
        fs::create_dir_all(&system).doing(|| format!("creating {}", system.display()))?;
        put(&group.join(SHARES), SHARES_OF_ALL)?;
        put(&system.join(SHARES), SHARES_OF_SYSTEM)?;
        put(&system.join("cgroup.procs"), std::process::id())?;
    }
    let started = start();
    for path in &all {
        put(&path.join("cgroup.procs"), std::process::id())?;
    }
    started
}

fn put(file: &Path, value: u32) -> Result<()> {
    fs::write(file, value.to_string()).doing(|| format!("writing {}", file.display()))
}

/// Removes the group and all below it; processes in it must be gone.
pub(crate) fn remove(name: &str) -> Result<()> {
    for hierarchy in hierarchies() {
        remove_below(&hierarchy.path.join(name))?;
    }
    Ok(())
}

/// Whether any hierarchy has the group.
pub(crate) fn exists(name: &str) -> bool {
    hierarchies()
        .iter()
        .any(|hierarchy| hierarchy.path.join(name).exists())
}

struct Hierarchy {
    path: PathBuf,
    /// Version 2, and not merely mounted beside version 1 without controllers.
    unified: bool,
}

fn hierarchies() -> Vec<Hierarchy> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    parse(&mounts)
        .into_iter()
        .map(|path| Hierarchy {
            unified: fs::read_to_string(path.join("cgroup.controllers"))
                .is_ok_and(|controllers| !controllers.trim().is_empty()),
            path,
        })
        .collect()
}

/// The mount points of control group hierarchies in `mounts`, each file system once.
fn parse(mounts: &str) -> Vec<PathBuf> {
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            let (path, kind) = (words.next()?, words.next()?);
            (kind == "cgroup" || kind == "cgroup2").then(|| PathBuf::from(path))
        })
        .collect()
}

fn delegate(root: &Path) {
    let Ok(controllers) = fs::read_to_string(root.join("cgroup.controllers")) else {
        return;
    };
    for controller in controllers.split_whitespace() {
        // Some cannot be delegated; kubelet says which it misses.
        let _ = fs::write(
            root.join("cgroup.subtree_control"),
            format!("+{controller}"),
        );
    }
}

fn remove_below(group: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(group) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_below(&entry.path())?;
        }
    }
    match fs::remove_dir(group) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.doing(|| format!("removing {}", group.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_found_in_the_mount_table() {
        let mounts = "proc /proc proc rw 0 0\n\
                      cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n\
                      tmpfs /sys/fs/cgroup tmpfs rw 0 0\n";
        assert_eq!(
            parse(mounts),
            ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/unified"].map(PathBuf::from)
        );
    }
}
