use std::{collections::HashMap, fs, path::PathBuf};

use crate::{Name, Paths, daemon::Identity, node::Running, ready};

/// A part of a running cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartStatus {
    /// What it is called.
    pub name: String,
    /// Its process on the host, while it runs.
    pub pid: Option<u32>,
    /// Memory that it holds, in bytes.
    pub memory: u64,
    /// How often it was started after the first time.
    pub restarts: u32,
    /// Its log.
    pub log: PathBuf,
}

/// The parts of cluster `name`, the daemon first; none when it does not run.
pub fn status(name: Name) -> Vec<PartStatus> {
    let paths = Paths::of(name);
    let Some(daemon) = Identity::find(name) else {
        return Vec::new();
    };
    let processes = processes();
    let inside = first_inside(&processes, daemon.pid);
    let mut parts = vec![PartStatus {
        name: "daemon".to_owned(),
        pid: Some(daemon.pid),
        memory: processes.get(&daemon.pid).map_or(0, |found| found.memory),
        restarts: 0,
        log: paths.log("daemon"),
    }];
    for (name, Running { pid, restarts }) in ready::running(&paths) {
        let found = processes
            .iter()
            .find(|(_, process)| process.inner == Some(pid) && process.namespace == inside);
        parts.push(PartStatus {
            pid: found.map(|(pid, _)| *pid),
            memory: found.map_or(0, |(_, process)| process.memory),
            restarts,
            log: paths.log(&name),
            name,
        });
    }
    parts
}

struct Process {
    parent: u32,
    /// Its number in the innermost process namespace, where that is not ours.
    inner: Option<u32>,
    /// Which process namespace it is in.
    namespace: Option<PathBuf>,
    /// Resident bytes.
    memory: u64,
}

fn processes() -> HashMap<u32, Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return HashMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let status = fs::read_to_string(entry.path().join("status")).ok()?;
            let mut process = parse(&status)?;
            process.namespace = fs::read_link(entry.path().join("ns/pid")).ok();
            Some((pid, process))
        })
        .collect()
}

fn parse(status: &str) -> Option<Process> {
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    };
    let numbers: Vec<&str> = field("NSpid")?.split_whitespace().collect();
    Some(Process {
        parent: field("PPid")?.parse().ok()?,
        inner: match numbers.as_slice() {
            [_, .., inner] => inner.parse().ok(),
            _ => None,
        },
        namespace: None,
        memory: field("VmRSS")
            .and_then(|text| text.strip_suffix(" kB")?.trim().parse::<u64>().ok())
            .map_or(0, |kilobytes| kilobytes * 1024),
    })
}

/// The process namespace of the cluster that `daemon` owns.
fn first_inside(processes: &HashMap<u32, Process>, daemon: u32) -> Option<PathBuf> {
    let outside = processes.get(&daemon)?.namespace.clone();
    let mut children = vec![daemon];
    while let Some(parent) = children.pop() {
        for (pid, process) in processes.iter().filter(|(_, one)| one.parent == parent) {
            if process.namespace != outside {
                return process.namespace.clone();
            }
            children.push(*pid);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read() {
        let process = parse("Name:\tx\nPPid:\t7\nNSpid:\t4711\t12\nVmRSS:\t    2048 kB\n").unwrap();
        assert_eq!(process.parent, 7);
        assert_eq!(process.inner, Some(12));
        assert_eq!(process.memory, 2 * 1024 * 1024);
    }

    #[test]
    fn a_process_of_the_host_has_no_inner_number() {
        let process = parse("PPid:\t1\nNSpid:\t4711\n").unwrap();
        assert_eq!(process.inner, None);
    }
}
