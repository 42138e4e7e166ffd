//! Processes in pods, the operator's above all.

use std::{fs, path::PathBuf};

use cluster::Client;

use crate::error::{Error, Result};

/// What the operator holds, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// Resident set: its pages of the program's file among them.
    pub resident: u64,
    /// The part that is its own: heap and stacks.
    pub anonymous: u64,
}

/// What the operator holds now.
pub(super) fn memory(client: &Client) -> Result<Memory> {
    let pods = client.get(&["pods", "--namespace", "trackbed-system"])?;
    let pods = pods["items"].as_array().cloned().unwrap_or_default();
    let uids: Vec<&str> = pods
        .iter()
        .filter_map(|pod| pod["metadata"]["uid"].as_str())
        .collect();
    for process in processes(&uids) {
        let read = |file: &str| fs::read_to_string(process.join(file)).unwrap_or_default();
        if read("comm").trim() == "trackbed" {
            return Ok(parse(&read("status")));
        }
    }
    Err(Error::Failed("the operator does not run".to_owned()))
}

/// The folders in `/proc` of what runs in the pods with these uids: the kubelet names a pod's cgroup
/// after its uid.
pub(super) fn processes(uids: &[&str]) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let paths = processes.map(|it| it.path());
    let of_pods = paths.filter(|path| {
        let cgroup = fs::read_to_string(path.join("cgroup")).unwrap_or_default();
        let cgroup = cgroup.replace('_', "-");
        uids.iter().any(|uid| cgroup.contains(uid))
    });
    of_pods.collect()
}

fn parse(status: &str) -> Memory {
    let kilobytes = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or_default()
    };
    Memory {
        resident: kilobytes("VmRSS") * 1024,
        anonymous: kilobytes("RssAnon") * 1024,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_kernels_words() {
        let memory = parse("Name:\ttrackbed\nVmRSS:\t   20 kB\nRssAnon:\t   8 kB\n");
        assert_eq!((memory.resident, memory.anonymous), (20480, 8192));
    }
}
