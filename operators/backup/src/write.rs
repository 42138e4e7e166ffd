//! Writing backups.

use std::collections::BTreeMap;

use jiff::Timestamp;
use object_store::ObjectStoreExt;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::bytes::Bytes;

use crate::{
    Destination, Encryption, Error, FORMAT, FORMAT_ENCRYPTED, Key, Manifest, Part, check_identity,
    check_name,
    failure::is_absent,
    manifest::WITH_PARTS,
    pack::{BLOCK, Packer},
    seal::Sealer,
    stored::hexadecimal,
    upload::{PART, PARTS, Upload},
};

/// What is known of a backup before it is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The backup's name, unique among those of its identity. Whoever may run twice at once puts
    /// something of the run into it: two that write under one name spoil each other's data.
    pub name: String,
    /// Which server the data are of, such as "postgres".
    pub engine: String,
    /// The server's version.
    pub version: String,
    /// Whose data they are.
    pub identity: String,
    /// The database inside the server, if there is one.
    pub database: Option<String>,
    /// The time that the data are of.
    pub taken_at: Timestamp,
    /// What the bytes are, such as "pg_dump custom" or "rdb".
    pub content: String,
}

/// Data that are written and no backup yet. Dropped without either of its ends they stay as
/// leftovers, for [`Destination::sweep`].
#[derive(Debug)]
#[must_use = "without its manifest it is no backup"]
pub struct Written {
    destination: Destination,
    manifest: Manifest,
}

/// What went through.
struct Amounts {
    bytes: u64,
    stored_bytes: u64,
    sha256: String,
}

impl Destination {
    /// Writes the data of a backup, in memory of 50 MiB at most. What is left of an earlier try of
    /// the same name is overwritten. With an error all that was written is removed, as far as the
    /// destination lets that happen; a future that is dropped leaves parts of an object in a bucket,
    /// which only a rule of the bucket (AbortIncompleteMultipartUpload) removes.
    ///
    /// # Errors
    /// [`Error::Exists`] if there is a backup of that name, [`Error::Source`] if the source fails,
    /// [`Error::TooLarge`] above 156 GiB compressed in a bucket, and what the destination says.
    pub async fn write(&self, draft: Draft, source: impl AsyncRead) -> Result<Written, Error> {
        let (identity, name) = (draft.identity.as_str(), draft.name.as_str());
        check_identity(identity)?;
        check_name(name)?;
        self.vacant(identity, name).await?;
        if let Some(volume) = &self.volume {
            // Those of a writer that was killed may be what fills the volume.
            let unstaged = volume.unstage(identity, name, None).await;
            unstaged.map_err(|error| self.label.explain_io(error))?;
        }
        let data = self.data(identity, name);
        let upload = self.store.put_multipart(&data).await;
        let mut upload = Upload::new(upload.map_err(|error| self.explain(&error))?);
        let result = match self.pour(source, &mut upload).await {
            Ok(amounts) => self
                .publish(identity, name, &mut upload)
                .await
                .map(|()| amounts),
            Err(error) => Err(error),
        };
        match result {
            Ok(amounts) => Ok(Written {
                destination: self.clone(),
                manifest: manifest(draft, amounts, self.key.as_ref()),
            }),
            Err(error) => {
                upload.abort().await;
                // The error is worth more than that of clearing up after it.
                let _left = self.discard(identity, name).await;
                Err(error)
            }
        }
    }

    /// Compresses and sends all of a source, encrypted if there is a key.
    async fn pour(&self, source: impl AsyncRead, upload: &mut Upload) -> Result<Amounts, Error> {
        let most = match self.volume {
            Some(_) => u64::MAX,
            None => PARTS * u64::try_from(PART).unwrap_or(u64::MAX),
        };
        let mut packer = Packer::new().map_err(Error::Source)?;
        let sealer = self.key.as_ref().map(Sealer::new);
        let mut sealer = sealer.transpose().map_err(Error::Source)?;
        let mut hasher = Sha256::new();
        let (mut bytes, mut stored_bytes) = (0, 0);
        let mut block = vec![0; BLOCK];
        tokio::pin!(source);
        loop {
            let length = source.read(&mut block).await.map_err(Error::Source)?;
            let last = length == 0;
            let packed = if last {
                packer.finish()
            } else {
                packer.pack(&block[..length])
            };
            let mut packed = packed.map_err(Error::Source)?;
            if let Some(sealer) = &mut sealer {
                packed = sealer.seal(&packed, last).map_err(Error::Source)?;
            }
            hasher.update(&packed);
            bytes += u64::try_from(length).unwrap_or(u64::MAX);
            stored_bytes += u64::try_from(packed.len()).unwrap_or(u64::MAX);
            if stored_bytes > most {
                return Err(Error::TooLarge { limit: most });
            }
            let pushed = upload.push(Bytes::from(packed)).await;
            pushed.map_err(|error| self.explain(&error))?;
            if last {
                break;
            }
        }
        let flushed = upload.flush().await;
        flushed.map_err(|error| self.explain(&error))?;
        Ok(Amounts {
            bytes,
            stored_bytes,
            sha256: hexadecimal(&hasher.finalize()),
        })
    }

    /// Puts the data in their place, if nobody finished a backup there meanwhile.
    async fn publish(&self, identity: &str, name: &str, upload: &mut Upload) -> Result<(), Error> {
        self.vacant(identity, name).await?;
        let completed = upload.complete().await;
        completed.map_err(|error| self.explain(&error))
    }

    /// # Errors
    /// That there is a backup of this name, or anything that is in the place of its manifest.
    async fn vacant(&self, identity: &str, name: &str) -> Result<(), Error> {
        if let Some(volume) = &self.volume {
            let present = volume.present().await;
            present.map_err(|error| self.label.explain_io(error))?;
        }
        match self.store.head(&self.manifest_path(identity, name)).await {
            Ok(_) => Err(Error::Exists(name.to_owned())),
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(self.explain(&error)),
        }
    }

    /// Removes data that are no backup. If they are one, it is another writer's.
    async fn discard(&self, identity: &str, name: &str) -> Result<(), Error> {
        self.vacant(identity, name).await?;
        self.remove_data(identity, name).await
    }
}

impl Written {
    /// What the manifest will say, but for the counts.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What has to be created before the data, and what else belongs to them.
    #[must_use = "it is said in the manifest"]
    pub fn with(mut self, extensions: Vec<String>, parts: Vec<Part>) -> Self {
        if !parts.is_empty() && self.manifest.parts.is_empty() {
            self.manifest.format += WITH_PARTS;
        }
        self.manifest.extensions = extensions;
        self.manifest.parts = parts;
        self
    }

    /// Makes a backup of the data, by writing the manifest.
    ///
    /// # Errors
    /// [`Error::Exists`] if somebody else finished one of that name meanwhile, which is left as it
    /// is, and what the destination says. Then the data are removed, if that can be done.
    pub async fn finish(self, counts: BTreeMap<String, u64>) -> Result<Manifest, Error> {
        let (destination, mut manifest) = (self.destination, self.manifest);
        manifest.counts = counts;
        let (identity, name) = (manifest.identity.as_str(), manifest.name.as_str());
        destination.vacant(identity, name).await?;
        let path = destination.manifest_path(identity, name);
        let put = destination.store.put(&path, manifest.text()?.into()).await;
        if let Err(error) = put {
            // Whether it came to be there is not known, so both go.
            let _left = destination.remove_one(identity, name).await;
            return Err(destination.explain(&error));
        }
        Ok(manifest)
    }

    /// Removes the data again.
    ///
    /// # Errors
    /// What the destination says. The data are no backup even so.
    pub async fn abandon(self) -> Result<(), Error> {
        let (identity, name) = (&self.manifest.identity, &self.manifest.name);
        self.destination.discard(identity, name).await
    }
}

fn manifest(draft: Draft, amounts: Amounts, key: Option<&Key>) -> Manifest {
    Manifest {
        format: match key {
            Some(_) => FORMAT_ENCRYPTED,
            None => FORMAT,
        },
        name: draft.name,
        engine: draft.engine,
        version: draft.version,
        identity: draft.identity,
        database: draft.database,
        taken_at: draft.taken_at,
        content: draft.content,
        encryption: key.map(Encryption::with),
        bytes: amounts.bytes,
        stored_bytes: amounts.stored_bytes,
        sha256: amounts.sha256,
        counts: BTreeMap::new(),
        extensions: Vec::new(),
        parts: Vec::new(),
    }
}
