//! A program within a memory limit, and what it takes of the machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use crate::error::{Doing, Result};

/// How often memory is looked at, and every how many times the disk, which is slower.
const EVERY: Duration = Duration::from_millis(20);
const DISK: usize = 25;

/// The most that was seen, in bytes, and the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Measured {
    /// From start to end.
    pub took: Duration,
    /// Heap and stacks.
    pub anonymous: u64,
    /// With the pages of files, which the kernel takes back when it needs them.
    pub resident: u64,
    /// Files below the folder.
    pub disk: u64,
}

/// Runs a program to its end, with at most `memory` bytes of it, and watches it.
pub(super) fn run(
    command: &mut Command,
    folder: &Path,
    memory: u64,
) -> Result<(ExitStatus, Measured)> {
    let doing = || format!("running {}", command.get_program().display());
    let program = doing();
    let group = Group::new(memory)?;
    let begun = Instant::now();
    let mut child = command.spawn().doing(|| program.clone())?;
    group.add(child.id())?;
    let mut seen = Measured::default();
    let mut look = 0_usize;
    loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id()));
        let (resident, anonymous) = parse(&status.unwrap_or_default());
        seen.resident = seen.resident.max(resident);
        seen.anonymous = seen.anonymous.max(anonymous);
        let ended = child.try_wait().doing(|| program.clone())?;
        if ended.is_some() || look.is_multiple_of(DISK) {
            seen.disk = seen.disk.max(size(folder));
        }
        if let Some(status) = ended {
            seen.took = begun.elapsed();
            return Ok((status, seen));
        }
        look += 1;
        thread::sleep(EVERY);
    }
}

/// Most that was ever resident, and what is anonymous now.
fn parse(status: &str) -> (u64, u64) {
    let kibibytes = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or_default()
    };
    (kibibytes("VmHWM") * 1024, kibibytes("RssAnon") * 1024)
}

/// Bytes of the files below a folder. What goes away meanwhile does not count.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// A control group with a memory limit, as a container has it.
struct Group(PathBuf);

impl Group {
    fn new(memory: u64) -> Result<Self> {
        // Version 1 has a hierarchy for memory of its own.
        let first = Path::new("/sys/fs/cgroup/memory");
        let (root, file) = if first.is_dir() {
            (first, "memory.limit_in_bytes")
        } else {
            (Path::new("/sys/fs/cgroup"), "memory.max")
        };
        let path = root.join(format!("trackbed-bench-{}", std::process::id()));
        fs::create_dir_all(&path).doing(|| format!("creating {}", path.display()))?;
        let group = Self(path);
        let file = group.0.join(file);
        fs::write(&file, memory.to_string()).doing(|| format!("writing {}", file.display()))?;
        Ok(group)
    }

    fn add(&self, process: u32) -> Result<()> {
        let file = self.0.join("cgroup.procs");
        fs::write(&file, process.to_string()).doing(|| format!("writing {}", file.display()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_kernels_words() {
        let text = "Name:\ttrackbed\nVmHWM:\t  30 kB\nVmRSS:\t  20 kB\nRssAnon:\t   8 kB\n";
        assert_eq!(parse(text), (30 << 10, 8 << 10));
        assert_eq!(parse(""), (0, 0), "a process that has ended");
    }

    #[test]
    fn the_size_is_that_of_all_files_below() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("deep")).expect("a folder");
        fs::write(folder.path().join("deep/a"), "12345").expect("a file");
        fs::write(folder.path().join("b"), "123").expect("a file");
        assert_eq!(size(folder.path()), 8);
    }
}
