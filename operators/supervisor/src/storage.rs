//! Room on the volume.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use crate::Error;

/// Postgres writes its log in segments of this size, and ends without room for the next:
/// <https://www.postgresql.org/docs/current/wal-internals.html>.
const NEEDED: u64 = 16 << 20;

/// How much fits on a file system, and how much of it nobody has taken, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    /// All of it.
    pub(crate) size: u64,
    /// What is left.
    pub(crate) available: u64,
}

impl Room {
    /// Of the file system that a folder is on.
    pub(crate) fn of(folder: &Path) -> Option<Self> {
        let found = rustix::fs::statvfs(folder).ok()?;
        Some(Self {
            size: found.f_blocks.saturating_mul(found.f_frsize),
            available: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }

    fn is_full(self) -> bool {
        self.available < NEEDED
    }
}

/// Says of a server that ended badly on a full volume that this is why. A server on a full volume
/// has many ways to say so, and some of them do not name it.
///
/// # Errors
/// The one that there was, or the better one.
pub(crate) fn explain(ended: Result<u8, Error>, room: Option<Room>) -> Result<u8, Error> {
    match (ended, room) {
        (Ok(code @ 1..), Some(room)) if room.is_full() => Err(Error::StorageFull {
            size: room.size,
            how: format!("the server ended with exit code {code}"),
        }),
        (
            Err(error @ (Error::Io { .. } | Error::Program { .. } | Error::NoAnswer(_))),
            Some(room),
        ) if room.is_full() => Err(Error::StorageFull {
            size: room.size,
            how: error.to_string(),
        }),
        (ended, _) => ended,
    }
}

/// Bytes on disk of all files below a folder. What cannot be looked at, or goes meanwhile, counts
/// nothing.
pub(crate) fn taken(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let each = entries.map(|entry| match entry.metadata() {
        Ok(it) if it.is_dir() => taken(&entry.path()),
        // The unit of `st_blocks`, whatever the file system's own is.
        Ok(it) => it.blocks().saturating_mul(512),
        Err(_) => 0,
    });
    each.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_end_on_a_full_volume_is_named_after_it() {
        let room = |available: u64| {
            Some(Room {
                size: 1 << 30,
                available,
            })
        };
        let reason = |ended, available| explain(ended, room(available)).map_err(|it| it.reason());
        assert_eq!(reason(Ok(1), 1 << 20), Err("StorageFull"));
        assert_eq!(reason(Ok(1), 1 << 29), Ok(1));
        assert_eq!(reason(Ok(0), 0), Ok(0), "it was stopped");
        let words = || Error::NoAnswer("no".to_owned());
        assert_eq!(reason(Err(words()), 0), Err("StorageFull"));
        assert_eq!(reason(Err(words()), 1 << 29), Err("DatabaseNotReady"));
        assert_eq!(reason(Err(Error::DataMissing), 0), Err("DataMissing"));
        assert_eq!(explain(Ok(1), None).ok(), Some(1));
    }

    #[test]
    fn files_are_counted_as_they_lie_on_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).expect("a folder");
        fs::write(inner.join("file"), vec![1; 100_000]).expect("a file");
        let sparse = fs::File::create(folder.path().join("sparse")).expect("a file");
        sparse.set_len(1 << 30).expect("a hole");
        let taken = taken(folder.path());
        assert!((100_000..1_000_000).contains(&taken), "{taken}");
        let room = Room::of(folder.path()).expect("a file system");
        assert!(room.size > 0 && room.available <= room.size, "{room:?}");
    }
}
