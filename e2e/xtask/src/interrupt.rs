//! Leaves nothing behind when the user, or the machine, ends a task half-way.

use std::{
    fs, process,
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use cluster::{Name, daemon};
use rustix::process::{Pid, Signal, getpgrp, getpid, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use crate::error::{Doing, Result};

/// The clusters that end when this process is told to.
static OURS: Mutex<Vec<Name>> = Mutex::new(Vec::new());

/// Whether the signal came.
static INTERRUPTED: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
/// Whether signals are ours to handle.
static WATCHED: AtomicBool = AtomicBool::new(false);
/// How long a signal may take from the programs that we started, which get it too, to us.
const LATE: Duration = Duration::from_millis(500);

/// From now on Ctrl-C, and its like, first stop the clusters named by [`own`].
pub(crate) fn watch() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .doing(|| "starting the runtime".to_owned())?;
    let mut signals = Vec::new();
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        let _context = runtime.enter();
        signals.push(signal(kind).doing(|| "catching signals".to_owned())?);
    }
    WATCHED.store(true, Ordering::Relaxed);
    thread::spawn(move || {
        runtime.block_on(async {
            let [a, b, c] = &mut signals[..] else { return };
            tokio::select! {
                _ = a.recv() => {}
                _ = b.recv() => {}
                _ = c.recv() => {}
            }
        });
        if let Ok(mut interrupted) = INTERRUPTED.0.lock() {
            *interrupted = true;
            INTERRUPTED.1.notify_all();
        }
        end_programs();
        let ours = OURS.lock().map(|ours| ours.clone()).unwrap_or_default();
        for name in ours {
            eprintln!("\ninterrupted: stopping the cluster {name}");
            if let Err(error) = daemon::stop(name) {
                eprintln!("error: {error}");
            }
        }
        // As a shell reports an interrupt.
        process::exit(130);
    });
    Ok(())
}

/// Ends the programs that this process started, and theirs: a signal from a terminal is for all of
/// them, one from a person or a machine may be for this process alone. Clusters are in groups of
/// their own, and may be to stay.
fn end_programs() {
    for pid in descendants(&processes(), getpid()) {
        // It may have ended by itself.
        let _gone = kill_process(pid, Signal::TERM);
    }
}

/// A process, the one that started it, and its group.
type Process = (Pid, Option<Pid>, Option<Pid>);

fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pid = |text: &str| text.parse().ok().and_then(Pid::from_raw);
    entries
        .filter_map(|entry| {
            let own = pid(entry.file_name().to_str()?)?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // A program's name may hold anything.
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(1);
            Some((
                own,
                fields.next().and_then(pid),
                fields.next().and_then(pid),
            ))
        })
        .collect()
}

/// What comes from a process, as far as it stayed in our group.
fn descendants(all: &[Process], of: Pid) -> Vec<Pid> {
    let group = getpgrp();
    let children = all
        .iter()
        .filter(|(_, parent, its)| *parent == Some(of) && *its == Some(group));
    children
        .flat_map(|(child, ..)| {
            let mut found = descendants(all, *child);
            found.push(*child);
            found
        })
        .collect()
}

/// To be called before a failed task ends this process. A signal ends the programs that it started
/// as well, and their failure may be known before the signal is: then this never returns, and the
/// process ends when everything is stopped.
pub(crate) fn settle() {
    if !WATCHED.load(Ordering::Relaxed) {
        return;
    }
    let Ok(interrupted) = INTERRUPTED.0.lock() else {
        return;
    };
    let waited = INTERRUPTED
        .1
        .wait_timeout_while(interrupted, LATE, |interrupted| !*interrupted);
    if waited.is_ok_and(|(interrupted, _)| *interrupted) {
        loop {
            thread::park();
        }
    }
}

/// Cluster `name` was, or will be, started by this process.
pub(crate) fn own(name: Name) {
    if let Ok(mut ours) = OURS.lock() {
        ours.push(name);
    }
}

/// Cluster `name` is to stay when this process ends.
pub(crate) fn disown(name: Name) {
    if let Ok(mut ours) = OURS.lock() {
        ours.retain(|owned| *owned != name);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_a_program_started_is_known_and_a_group_of_its_own_is_left_alone() {
        use std::os::unix::process::CommandExt;

        let mut shell = Command::new("sh")
            .args(["-c", "sleep 600 & echo; wait"])
            .stdout(process::Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut other = Command::new("sleep")
            .arg("600")
            .process_group(0)
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let output = shell.stdout.take().expect("a pipe");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line)
            .expect("it has started its own");
        let pid = |child: &process::Child| {
            Pid::from_raw(child.id().cast_signed()).expect("a process has a number")
        };
        let all = processes();
        let ours = descendants(&all, getpid());
        assert!(ours.contains(&pid(&shell)), "{ours:?}");
        assert!(!ours.contains(&pid(&other)), "{ours:?}");
        let its = descendants(&all, pid(&shell));
        let [sleep] = its[..] else { panic!("{its:?}") };
        assert!(ours.contains(&sleep), "{ours:?}");
        kill_process(sleep, Signal::KILL).expect("it ends");
        other.kill().expect("it ends");
        shell.wait().expect("it has ended");
        other.wait().expect("it has ended");
    }
}
