//! Leaves nothing behind when the user, or the machine, ends a task half-way.

use std::{process, sync::Mutex, thread};

use cluster::{Name, daemon};
use tokio::signal::unix::{SignalKind, signal};

use crate::error::{Doing, Result};

/// The clusters that end when this process is told to.
static OURS: Mutex<Vec<Name>> = Mutex::new(Vec::new());

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
    thread::spawn(move || {
        runtime.block_on(async {
            let [a, b, c] = &mut signals[..] else { return };
            tokio::select! {
                _ = a.recv() => {}
                _ = b.recv() => {}
                _ = c.recv() => {}
            }
        });
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
