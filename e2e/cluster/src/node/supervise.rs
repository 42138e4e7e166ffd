//! Keeps the parts running, and stops them in order.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::{
    process::{Child, Command},
    sync::watch,
    time::timeout,
};

use super::Part;
use crate::{Paths, Result, command::end_of_input, error::Doing, paths::write, ready};

/// A log that is longer is moved aside when its part starts.
const MAX_LOG: u64 = 20 * 1024 * 1024;
/// A part that ran this long is started again at once when it ends.
const STABLE: Duration = Duration::from_secs(20);
/// Time for a part, and for the Pods together, to end when they are asked to.
const GRACE: Duration = Duration::from_secs(5);

/// What is known of a part that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Its process, as the cluster's own process namespace counts; 0 between two starts.
    pub pid: u32,
    /// How often it was started after the first time.
    pub restarts: u32,
}

type Table = Arc<Mutex<BTreeMap<String, Running>>>;

/// Starts `parts`, calls `started`, and returns when standard input is closed and
/// everything has ended.
pub(crate) async fn run(
    parts: Vec<Part>,
    paths: &Paths,
    started: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let table: Table = Arc::default();
    let mut running = Vec::new();
    for part in parts {
        let (stop, stopping) = watch::channel(false);
        let name = part.name.clone();
        let task = tokio::spawn(keep(part, paths.clone(), table.clone(), stopping));
        running.push((name, stop, task));
    }
    started()?;
    end_of_input().await;
    while let Some((name, stop, task)) = running.pop() {
        let _ = stop.send(true);
        let _ = task.await;
        // Nobody starts Pods again now, and their network still stands.
        if name == "kubelet" {
            end_pods(&table).await;
        }
    }
    Ok(())
}

/// Runs `part` again and again until it is told to stop.
async fn keep(part: Part, paths: Paths, table: Table, mut stopping: watch::Receiver<bool>) {
    let mut failures = 0;
    loop {
        let begun = Instant::now();
        match start(&part, &paths) {
            Ok(mut child) => {
                note(&table, &paths, &part.name, |running| {
                    running.pid = child.id().unwrap_or(0);
                });
                let stopped = tokio::select! {
                    _ = child.wait() => false,
                    () = told(&mut stopping) => true,
                };
                if stopped {
                    end(&mut child).await;
                    note(&table, &paths, &part.name, |running| running.pid = 0);
                    return;
                }
            }
            Err(error) => eprintln!("{}: {error}", part.name),
        }
        failures = if begun.elapsed() > STABLE {
            0
        } else {
            failures + 1
        };
        let pause = pause_after(failures);
        eprintln!(
            "{} ended; it starts again in {pause:?}{}",
            part.name,
            ready::ending(&paths, &part.name)
        );
        note(&table, &paths, &part.name, |running| {
            running.pid = 0;
            running.restarts += 1;
        });
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = told(&mut stopping) => return,
        }
    }
}

async fn told(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Short at first: at the start of a cluster, parts end until those they need are there.
fn pause_after(failures: u32) -> Duration {
    Duration::from_millis(200 << failures.min(6))
}

fn start(part: &Part, paths: &Paths) -> Result<Child> {
    let log = open_log(&paths.log(&part.name))?;
    let errors = log
        .try_clone()
        .doing(|| format!("opening the log of {}", part.name))?;
    Command::new(&part.program)
        .args(&part.arguments)
        .envs(part.environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .doing(|| format!("starting {}", part.program.display()))
}

fn open_log(path: &Path) -> Result<File> {
    if fs::metadata(path).is_ok_and(|log| log.len() > MAX_LOG) {
        // The older half is worth little; if it cannot be moved, the log just grows.
        let _ = fs::rename(path, path.with_added_extension("1"));
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .doing(|| format!("opening {}", path.display()))
}

async fn end(child: &mut Child) {
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        let _ = kill_process(pid, Signal::TERM);
    }
    if timeout(GRACE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// Asks every process that is no part of the cluster to end: those are the Pods', and
/// databases among them like to be asked.
async fn end_pods(table: &Table) {
    let deadline = Instant::now() + GRACE;
    let mut asked = false;
    loop {
        let pods = pod_processes(table);
        if pods.is_empty() || Instant::now() > deadline {
            return;
        }
        if !asked {
            for pid in pods {
                let _ = kill_process(pid, Signal::TERM);
            }
            asked = true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn pod_processes(table: &Table) -> Vec<Pid> {
    let table = table.lock().unwrap_or_else(PoisonError::into_inner);
    let ours: Vec<i32> = table
        .values()
        .map(|running| running.pid.cast_signed())
        .chain([1, std::process::id().cast_signed()])
        .collect();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| !ours.contains(pid))
        .filter(|pid| {
            // No command line: a kernel thread or a dead process. Shims end with their Pod.
            fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| !line.is_empty() && !line.contains("containerd-shim"))
        })
        .filter_map(Pid::from_raw)
        .collect()
}

fn note(table: &Table, paths: &Paths, part: &str, change: impl FnOnce(&mut Running)) {
    let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
    change(table.entry(part.to_owned()).or_insert(Running {
        pid: 0,
        restarts: 0,
    }));
    // For `status`, which says less when this failed.
    if let Ok(text) = serde_json::to_vec_pretty(&*table) {
        let _ = write(&paths.run("running.json"), text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_part_is_tried_again_ever_later() {
        let pauses: Vec<_> = (0..9).map(|n| pause_after(n).as_millis()).collect();
        assert_eq!(
            pauses,
            [200, 400, 800, 1600, 3200, 6400, 12800, 12800, 12800]
        );
    }
}
