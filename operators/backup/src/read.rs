//! Reading backups back.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use object_store::ObjectStoreExt;
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::{bytes::Bytes, io::StreamReader};

use crate::{
    Destination, Error, Manifest, check_identity, check_name, failure::is_absent, pack::Unpacker,
    seal::Unsealer, stored::Stored,
};

/// Largest manifest that is looked at: with counts of some 100,000 tables.
const LARGEST_MANIFEST: u64 = 16 << 20;

impl Destination {
    /// What is known of a backup.
    ///
    /// # Errors
    /// [`Error::Missing`] without one, [`Error::Foreign`] if it says that it is of another identity,
    /// [`Error::Unreadable`] and [`Error::UnknownFormat`] if it is no manifest that we know.
    pub async fn manifest(&self, identity: &str, name: &str) -> Result<Manifest, Error> {
        check_identity(identity)?;
        check_name(name)?;
        let path = self.manifest_path(identity, name);
        let explain = |error: object_store::Error| {
            if is_absent(&error) {
                return Error::Missing {
                    name: name.to_owned(),
                    what: "it has no manifest",
                };
            }
            self.explain(&error)
        };
        let answer = self.store.get(&path).await.map_err(explain)?;
        if answer.meta.size > LARGEST_MANIFEST {
            return Err(Error::Unreadable {
                name: name.to_owned(),
                why: format!("it has {} bytes", answer.meta.size),
            });
        }
        let text = answer.bytes().await.map_err(explain)?;
        Manifest::parse(identity, name, &text)
    }

    /// Reads the data of a backup to their end, and compares them with its manifest. This takes no
    /// key, and does not say that there is one.
    ///
    /// # Errors
    /// [`Error::Missing`] without data, [`Error::Truncated`] if they are too short, and
    /// [`Error::Tampered`] if they are too long or not those that were written.
    pub async fn verify(&self, manifest: &Manifest) -> Result<(), Error> {
        let mut stored = Stored::open(self, manifest).await?;
        while stored.next().await?.is_some() {}
        Ok(())
    }

    /// The data of a backup as they were before compression. See [`Reading`].
    ///
    /// # Errors
    /// [`Error::Missing`] without data, [`Error::Truncated`] or [`Error::Tampered`] if they are not
    /// of the length that the manifest tells, [`Error::Sealed`] if they are encrypted and there is no
    /// key, [`Error::WrongKey`] if there is and it is another one, and [`Error::Tampered`] if they do
    /// not begin as what was encrypted.
    pub async fn read(&self, manifest: &Manifest) -> Result<Reading, Error> {
        let stored = Stored::open(self, manifest).await?;
        let source = match &manifest.encryption {
            Some(encryption) => {
                Source::Sealed(Unsealer::open(stored, encryption, self.key.as_ref()).await?)
            }
            None => Source::Plain(Box::new(stored)),
        };
        let unpacking = Unpacking {
            unpacker: Unpacker::new().map_err(|error| self.label.explain_io(error))?,
            source,
            name: manifest.name.clone(),
            input: Bytes::new(),
            length: manifest.bytes,
            found: 0,
        };
        let blocks = stream::try_unfold(unpacking, |mut unpacking| async {
            let block = unpacking.next().await?;
            Ok::<_, Error>(block.map(|block| (block, unpacking)))
        });
        Ok(Reading(StreamReader::new(blocks.boxed())))
    }
}

/// The data of a backup. They are compared with the manifest on the way, so an error can come late,
/// and then what was read before it is worth nothing: whoever passes it on must not make a plain end
/// of that error. Where that is not possible, [`Destination::verify`] comes first.
///
/// It ends with an error of kind `Other` that holds an [`Error`]: see [`Error::within`].
pub struct Reading(StreamReader<BoxStream<'static, Result<Bytes, Error>>, Bytes>);

impl AsyncRead for Reading {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").finish_non_exhaustive()
    }
}

/// What comes out of either is compressed.
enum Source {
    Plain(Box<Stored>),
    Sealed(Unsealer),
}

impl Source {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match self {
            Self::Plain(stored) => stored.next().await,
            Self::Sealed(unsealer) => unsealer.next().await,
        }
    }
}

struct Unpacking {
    source: Source,
    unpacker: Unpacker,
    /// Of the backup.
    name: String,
    input: Bytes,
    /// What the manifest says of the data before compression.
    length: u64,
    found: u64,
}

impl Unpacking {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let mut rest = &self.input[..];
            let block = self.unpacker.unpack(&mut rest);
            let taken = self.input.len() - rest.len();
            let _taken = self.input.split_to(taken);
            let block = block.map_err(|_| self.tampered("they cannot be decompressed"))?;
            if !block.is_empty() {
                self.found += u64::try_from(block.len()).unwrap_or(u64::MAX);
                if self.found > self.length {
                    return Err(self.tampered("they decompress to more"));
                }
                return Ok(Some(block.into()));
            }
            match self.source.next().await? {
                Some(piece) => self.input = piece,
                None if !self.unpacker.is_complete() || self.found < self.length => {
                    return Err(self.tampered("they decompress to less"));
                }
                None => return Ok(None),
            }
        }
    }

    fn tampered(&self, why: &str) -> Error {
        Error::tampered(&self.name, why)
    }
}
