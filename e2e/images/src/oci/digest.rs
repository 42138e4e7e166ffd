use std::{
    fmt,
    io::{self, Read, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{Result, error::Doing};

/// The SHA-256 of a blob, as `sha256:<hex>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// The digest of `content`.
    pub fn of(content: &[u8]) -> Self {
        Digest::finish(Sha256::new_with_prefix(content))
    }

    /// The digest of the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_file(path: &Path) -> Result<Self> {
        let read = || format!("reading {}", path.display());
        let mut file = std::fs::File::open(path).doing(read)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 128 * 1024];
        loop {
            match file.read(&mut buffer).doing(read)? {
                0 => return Ok(Digest::finish(hash)),
                count => hash.update(&buffer[..count]),
            }
        }
    }

    pub(crate) fn finish(hash: Sha256) -> Self {
        Digest(format!("sha256:{}", hex(&hash.finalize())))
    }

    /// The digest as it is written in documents.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hexadecimal digits alone: the name of the blob's file. None for a digest of
    /// another kind, or one that would be no plain file name.
    pub fn hex(&self) -> Option<&str> {
        let digits = self.0.strip_prefix("sha256:")?;
        let plain = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain.then_some(digits)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Lower-case hexadecimal digits of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Passes everything on, and knows its digest and size in the end.
pub(super) struct Hashing<W> {
    inner: W,
    hash: Sha256,
    size: u64,
}

impl<W: Write> Hashing<W> {
    pub(super) fn new(inner: W) -> Self {
        Hashing {
            inner,
            hash: Sha256::new(),
            size: 0,
        }
    }

    pub(super) fn finish(self) -> (W, Digest, u64) {
        (self.inner, Digest::finish(self.hash), self.size)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(content)?;
        self.hash.update(&content[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
