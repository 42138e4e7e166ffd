//! Whether a cluster that is down left anything.

use std::{fs, path::Path};

use super::{cgroup, link};
use crate::{Name, Network, Paths, Result, command::run, error::Doing};

/// What of cluster `name` is on the host, in words; nothing when it is down.
///
/// # Errors
/// When the host's tables cannot be read.
pub fn leftovers(name: Name) -> Result<Vec<String>> {
    let (network, paths) = (Network::of(name), Paths::of(name));
    let mut found = Vec::new();
    if link::exists(&network) {
        found.push(format!("the interface {}", network.host_link));
    }
    let routes = run("ip", "route show table all")?;
    for range in network.routed() {
        found.extend(
            routes
                .lines()
                .filter(|route| route.starts_with(range))
                .map(|route| format!("the route {}", route.trim())),
        );
    }
    if cgroup::exists(&cgroup::name(name)) {
        found.push(format!("the control group {}", cgroup::name(name)));
    }
    let mounts = fs::read_to_string("/proc/self/mounts").doing(|| "reading mounts".to_owned())?;
    let root = paths.root().display().to_string();
    found.extend(
        mounts
            .lines()
            .filter(|mount| mount.split(' ').any(|word| word.starts_with(&root)))
            .map(|mount| format!("the mount {mount}")),
    );
    found.extend(loops_of(&root));
    found.extend(processes_of(&root));
    Ok(found)
}

/// Loop devices on a file below `root`. They go with the last mount, a moment after it.
pub(crate) fn loops_of(root: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir("/sys/block") else {
        return Vec::new();
    };
    let backed = |device: &Path| {
        let file = fs::read_to_string(device.join("loop/backing_file")).ok()?;
        // A driver in a container may have attached it, which sees the root elsewhere.
        let below = file.contains(&format!("{root}/"));
        below.then(|| {
            format!(
                "the loop device {} on {}",
                device.display(),
                file.trim_end()
            )
        })
    };
    let devices = entries.flatten().map(|entry| entry.path());
    devices.filter_map(|device| backed(&device)).collect()
}

/// Processes that run with a file of the cluster's own, in whatever namespace.
fn processes_of(root: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let me = std::process::id();
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != me)
        .filter_map(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let files = format!("{root}/");
            // A person may well look at a log or use the kubeconfig.
            let ours = ["data/", "run/", "pki/"]
                .iter()
                .any(|part| line.contains(&format!("{files}{part}")));
            ours.then(|| format!("the process {pid} ({})", line.trim()))
        })
        .collect()
}
