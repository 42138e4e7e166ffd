//! One object, written in parts.

use object_store::{MultipartUpload, PutPayloadMut, Result};
use tokio::task::JoinSet;
use tokio_util::bytes::Bytes;

/// Bytes of a part. All but the last are of this size, which some servers insist on.
pub(crate) const PART: usize = 16 << 20;

/// Parts that S3 allows.
pub(crate) const PARTS: u64 = 10_000;

/// Parts on their way at once, besides the one that is being filled.
const ON_THE_WAY: usize = 2;

/// An object that is being written. The store's own helper forgets why an upload failed if it cannot
/// be aborted either.
pub(crate) struct Upload {
    upload: Box<dyn MultipartUpload>,
    filling: PutPayloadMut,
    parts: JoinSet<Result<()>>,
}

impl Upload {
    pub(crate) fn new(upload: Box<dyn MultipartUpload>) -> Self {
        Self {
            upload,
            filling: PutPayloadMut::new(),
            parts: JoinSet::new(),
        }
    }

    /// Writes some bytes, and waits while too many are on their way.
    pub(crate) async fn push(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            let room = PART - self.filling.content_length();
            self.filling.push(bytes.split_to(room.min(bytes.len())));
            if self.filling.content_length() == PART {
                self.settle(ON_THE_WAY - 1).await?;
                self.send();
            }
        }
        Ok(())
    }

    /// Writes the last part, and waits for all.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        if !self.filling.is_empty() {
            self.send();
        }
        self.settle(0).await
    }

    /// Makes one object of the parts.
    pub(crate) async fn complete(&mut self) -> Result<()> {
        self.upload.complete().await.map(drop)
    }

    /// Gives the parts up. Nobody can do anything if that fails.
    pub(crate) async fn abort(mut self) {
        self.parts.shutdown().await;
        let _left = self.upload.abort().await;
    }

    fn send(&mut self) {
        let part = std::mem::take(&mut self.filling);
        self.parts.spawn(self.upload.put_part(part.into()));
    }

    async fn settle(&mut self, most: usize) -> Result<()> {
        while self.parts.len() > most {
            match self.parts.join_next().await {
                Some(part) => part??,
                None => break,
            }
        }
        Ok(())
    }
}
