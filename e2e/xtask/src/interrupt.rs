//! Leaves nothing behind when the user, or the machine, ends a task half-way.

use std::{
    process,
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use cluster::{Name, daemon};
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
