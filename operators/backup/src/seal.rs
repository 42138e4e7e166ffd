//! Encryption. What it makes is a file of the tool `age`.

use std::{
    io::{self, Write},
    iter,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use age::{DecryptError, Decryptor, Encryptor, stream::StreamWriter};
use futures::{AsyncRead, AsyncReadExt, StreamExt, TryStreamExt, stream};
use tokio_util::bytes::Bytes;

use crate::{Encryption, Error, Key, stored::Stored};

/// Bytes that are decrypted at once: as many as are encrypted at once.
const BLOCK: usize = 64 << 10;

/// Longest header that is read, with room for more than a hundred recipients; what we write has one.
/// Without a bound a header could be made that takes all memory.
const LONGEST_HEADER: usize = 16 << 10;

/// How the last line of a header begins.
const LAST_LINE: &[u8] = b"\n--- ";

/// Encrypts a stream.
pub(crate) struct Sealer {
    /// None after the end.
    writer: Option<StreamWriter<Sink>>,
    sink: Sink,
}

impl Sealer {
    pub(crate) fn new(key: &Key) -> io::Result<Self> {
        let recipient = key.public();
        let encryptor = Encryptor::with_recipients(iter::once(&recipient as _));
        let encryptor = encryptor.map_err(io::Error::other)?;
        let sink = Sink::default();
        Ok(Self {
            writer: Some(encryptor.wrap_output(sink.clone())?),
            sink,
        })
    }

    /// Encrypts some bytes, and ends the stream if they are the last ones. Of others a part may come
    /// out only when there are more.
    pub(crate) fn seal(&mut self, bytes: &[u8], last: bool) -> io::Result<Vec<u8>> {
        let ended = || io::Error::other("the encryption came to its end before");
        let writer = self.writer.as_mut().ok_or_else(ended)?;
        writer.write_all(bytes)?;
        if last && let Some(writer) = self.writer.take() {
            writer.finish()?;
        }
        Ok(self.sink.take())
    }
}

/// Where encrypted bytes are until they are taken. The writer of `age` does not let it be reached
/// inside of it.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Decrypts what is stored.
pub(crate) struct Unsealer {
    name: String,
    reader: Pin<Box<dyn AsyncRead + Send>>,
}

impl Unsealer {
    /// # Errors
    /// That there is no key that fits, or that the data are not what they were.
    pub(crate) async fn open(
        mut stored: Stored,
        encryption: &Encryption,
        key: Option<&Key>,
    ) -> Result<Self, Error> {
        let name = stored.name().to_owned();
        let recipient = encryption.shown();
        let Some(key) = key else {
            return Err(Error::Sealed { name, recipient });
        };
        let first = stored.next().await?.unwrap_or_default();
        let begin = &first[..first.len().min(LONGEST_HEADER)];
        if !begin.windows(LAST_LINE.len()).any(|it| it == LAST_LINE) {
            return Err(Error::tampered(name, "they do not begin as encrypted ones"));
        }
        let rest = stream::try_unfold(stored, |mut stored| async {
            let piece = stored.next().await?;
            Ok::<_, io::Error>(piece.map(|piece| (piece, stored)))
        });
        let pieces = stream::iter([Ok(first)]).chain(rest).boxed();
        let opened = Decryptor::new_async_buffered(pieces.into_async_read()).await;
        let opened = opened.and_then(|it| it.decrypt_async(key.all().map(|it| it as _)));
        match opened {
            Ok(reader) => Ok(Self {
                name,
                reader: Box::pin(reader),
            }),
            Err(DecryptError::NoMatchingKeys) if !key.fits(&encryption.recipient) => {
                Err(Error::WrongKey { name, recipient })
            }
            Err(DecryptError::Io(error)) => Err(undone(name, error)),
            // With the key that the manifest names, it is the header that is another one.
            Err(_) => Err(Error::tampered(name, "their key cannot be decrypted")),
        }
    }

    /// The next bytes, or none after the last ones.
    ///
    /// # Errors
    /// Those of what is stored, and that it is not what was encrypted.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let mut block = vec![0; BLOCK];
        match self.reader.read(&mut block).await {
            Ok(0) => Ok(None),
            Ok(length) => {
                block.truncate(length);
                Ok(Some(block.into()))
            }
            Err(error) => Err(undone(self.name.clone(), error)),
        }
    }
}

/// What an error of reading means: it is one of ours on its way through, or one of decryption.
fn undone(name: String, error: io::Error) -> Error {
    error
        .downcast()
        .unwrap_or_else(|_| Error::tampered(name, "they cannot be decrypted"))
}

#[cfg(test)]
mod tests {
    use age::{secrecy::ExposeSecret, x25519::Identity};

    use super::*;

    #[test]
    fn pieces_of_any_size_are_one_file_of_age() {
        let identity = Identity::generate();
        let key = Key::parse(identity.to_string().expose_secret()).expect("a key");
        for lengths in [
            &[] as &[usize],
            &[1, 0, 2],
            &[BLOCK],
            &[BLOCK - 1, 1, BLOCK, 0],
            &[3 * BLOCK + 7, BLOCK],
        ] {
            let mut sealer = Sealer::new(&key).expect("a beginning");
            let (mut plain, mut sealed) = (Vec::new(), Vec::new());
            for length in lengths {
                let piece = vec![7; *length];
                sealed.extend(sealer.seal(&piece, false).expect("encrypted"));
                plain.extend(piece);
            }
            sealed.extend(sealer.seal(b"end", true).expect("encrypted"));
            plain.extend(b"end");
            assert!(sealer.seal(b"", true).is_err());
            let back = age::decrypt(&identity, &sealed).expect("decrypted");
            assert!(back == plain, "{lengths:?}");
        }
    }

    #[test]
    fn no_more_is_held_back_than_a_block() {
        let identity = Identity::generate();
        let key = Key::parse(identity.to_string().expose_secret()).expect("a key");
        let mut sealer = Sealer::new(&key).expect("a beginning");
        let (mut given, mut taken) = (0, 0);
        for length in [10, BLOCK, 5 * BLOCK, 1] {
            given += length;
            taken += sealer
                .seal(&vec![7; length], false)
                .expect("encrypted")
                .len();
            assert!(given - taken.min(given) <= BLOCK, "{given} and {taken}");
            assert!(sealer.sink.take().is_empty());
        }
    }
}
