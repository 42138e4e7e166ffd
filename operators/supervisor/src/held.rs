//! One supervisor at a time works on a volume.
//!
//! Kubernetes has one pod of a StatefulSet at a time, until somebody deletes one by force: then its
//! containers may go on for a while beside those of the next. On one node a lock tells.

use std::{fs::File, path::Path, time::Duration};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use crate::Error;

/// Until it is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is tried before the kubelet is left to try.
const TRIES: usize = 30;

/// A volume that nobody else holds, for as long as this is there.
#[derive(Debug)]
pub(crate) struct Held {
    _folder: File,
}

/// Holds a volume, or waits for a while for whoever holds it.
///
/// # Errors
/// That somebody else still does.
pub(crate) fn hold(volume: &Path) -> Result<Held, Error> {
    attempt(volume, TRIES)
}

fn attempt(volume: &Path, tries: usize) -> Result<Held, Error> {
    // The folder itself: on a full volume there may be no room for another file.
    let folder = File::open(volume);
    let folder = folder.map_err(|e| Error::io(format!("opening {}", volume.display()), e))?;
    for left in (0..tries).rev() {
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if left == 0 => break,
            Err(Errno::WOULDBLOCK) => std::thread::sleep(PAUSE),
            // Not every file system can.
            Ok(()) | Err(_) => return Ok(Held { _folder: folder }),
        }
    }
    Err(Error::InUse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_a_volume_until_it_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = attempt(folder.path(), 1).expect("nobody holds it");
        let second = attempt(folder.path(), 1);
        assert!(matches!(second, Err(Error::InUse)), "{second:?}");
        drop(first);
        attempt(folder.path(), 1).expect("nobody holds it any more");
        attempt(&folder.path().join("absent"), 1).expect_err("there is none");
    }
}
