//! The data as they are stored, compared with their manifest while they are read.

use std::sync::Arc;

use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use sha2::{Digest, Sha256};
use tokio_util::bytes::Bytes;

use crate::{
    Destination, Error, Manifest, check_identity, check_name,
    failure::{Label, is_absent},
};

/// Bytes of one request. The data are read in pieces: a single answer would time out, or be closed by
/// the server, while a database takes its time with what came before.
const PIECE: u64 = 8 << 20;

/// Data that are being read.
pub(crate) struct Stored {
    store: Arc<dyn ObjectStore>,
    label: Arc<Label>,
    path: Path,
    name: String,
    sha256: String,
    hasher: Sha256,
    at: u64,
    end: u64,
}

impl Stored {
    /// Looks at the data of a backup.
    ///
    /// # Errors
    /// That they are not there, or not of the length that the manifest tells.
    pub(crate) async fn open(
        destination: &Destination,
        manifest: &Manifest,
    ) -> Result<Self, Error> {
        // A manifest may come from anywhere, and these become part of a path.
        check_identity(&manifest.identity)?;
        check_name(&manifest.name)?;
        let path = destination.data(&manifest.identity, &manifest.name);
        let stored = Self {
            store: Arc::clone(&destination.store),
            label: Arc::clone(&destination.label),
            path,
            name: manifest.name.clone(),
            sha256: manifest.sha256.clone(),
            hasher: Sha256::new(),
            at: 0,
            end: manifest.stored_bytes,
        };
        let seen = stored.store.head(&stored.path).await;
        let found = seen.map_err(|error| stored.explain(&error))?.size;
        if found > stored.end {
            return Err(stored.tampered("there are more of them"));
        }
        stored.whole(found)?;
        Ok(stored)
    }

    /// The next piece, or none after the last one.
    ///
    /// # Errors
    /// Instead of the end if the checksum is another one.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.at == self.end {
            let found = hexadecimal(&std::mem::take(&mut self.hasher).finalize());
            if found != self.sha256 {
                return Err(self.tampered("their checksum is another one"));
            }
            return Ok(None);
        }
        let until = self.end.min(self.at + PIECE);
        let piece = self.store.get_range(&self.path, self.at..until).await;
        let piece = piece.map_err(|error| self.explain(&error))?;
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        if length < until - self.at {
            self.whole(self.at + length)?;
        }
        self.hasher.update(&piece);
        self.at = until;
        Ok(Some(piece))
    }

    /// Of the backup.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn tampered(&self, why: &str) -> Error {
        Error::tampered(&self.name, why)
    }

    fn whole(&self, found: u64) -> Result<(), Error> {
        if found >= self.end {
            return Ok(());
        }
        Err(Error::Truncated {
            name: self.name.clone(),
            expected: self.end,
            found,
        })
    }

    fn explain(&self, error: &object_store::Error) -> Error {
        if is_absent(error) {
            return Error::Missing {
                name: self.name.clone(),
                what: "its manifest is there, its data are not",
            };
        }
        self.label.explain(error)
    }
}

/// Bytes as a manifest writes them.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
