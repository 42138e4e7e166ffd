use std::{
    fs::{self, File},
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::bufread::GzDecoder;
use serde::de::DeserializeOwned;

use super::{
    Descriptor, Digest, ImageConfig, Index, Manifest,
    spec::{LAYER, LAYER_PLAIN},
};
use crate::{Error, Result, error::Doing};

/// A layout on disk with one image in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
    image: Descriptor,
}

impl Layout {
    /// Opens the layout in `root`.
    ///
    /// # Errors
    /// When there is none, or it does not hold exactly one image.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        let index: Index = read(&root.join("index.json"))?;
        match <[Descriptor; 1]>::try_from(index.manifests) {
            Ok([image]) => Ok(Layout { root, image }),
            Err(images) => Err(Error::Layout {
                path: root,
                problem: format!("holds {} images, not one", images.len()),
            }),
        }
    }

    /// The digest of the image.
    pub fn digest(&self) -> &Digest {
        &self.image.digest
    }

    /// The file of a blob.
    ///
    /// # Errors
    /// When the digest is no SHA-256.
    pub fn blob(&self, digest: &Digest) -> Result<PathBuf> {
        let name = digest.hex().ok_or_else(|| Error::Layout {
            path: self.root.clone(),
            problem: format!("names a blob `{digest}`, which is no SHA-256"),
        })?;
        Ok(self.root.join("blobs/sha256").join(name))
    }

    /// What the image consists of.
    ///
    /// # Errors
    /// When its blob is missing or no manifest.
    pub fn manifest(&self) -> Result<Manifest> {
        read(&self.blob(&self.image.digest)?)
    }

    /// Its configuration.
    ///
    /// # Errors
    /// When its blob is missing or no configuration.
    pub fn config(&self) -> Result<ImageConfig> {
        read(&self.blob(&self.manifest()?.config.digest)?)
    }

    /// The bytes that a pull of the image moves.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub fn size(&self) -> Result<u64> {
        let manifest = self.manifest()?;
        let layers: u64 = manifest.layers.iter().map(|layer| layer.size).sum();
        Ok(self.image.size + manifest.config.size + layers)
    }

    /// Unpacks the image's file system into `target`, with owners and modes, so that it
    /// can be entered. Needs root unless everything in it is the user's own.
    ///
    /// # Errors
    /// When a layer cannot be read, or is of a kind that this crate does not write.
    pub fn unpack(&self, target: &Path) -> Result<()> {
        fs::create_dir_all(target).doing(|| format!("creating {}", target.display()))?;
        for layer in self.manifest()?.layers {
            let path = self.blob(&layer.digest)?;
            let file = File::open(&path).doing(|| format!("reading {}", path.display()))?;
            let file = BufReader::with_capacity(256 * 1024, file);
            match layer.media_type.as_str() {
                LAYER => unpack(GzDecoder::new(file), target)?,
                LAYER_PLAIN => unpack(file, target)?,
                other => {
                    return Err(Error::Layout {
                        path: self.root.clone(),
                        problem: format!("has a layer of kind {other}"),
                    });
                }
            }
        }
        Ok(())
    }
}

fn unpack(layer: impl Read, target: &Path) -> Result<()> {
    let mut archive = tar::Archive::new(layer);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(true);
    archive.set_preserve_mtime(true);
    let unpacking = || format!("unpacking into {}", target.display());
    for entry in archive.entries().doing(unpacking)? {
        let mut entry = entry.doing(unpacking)?;
        let path = entry.path().doing(unpacking)?.into_owned();
        let full = target.join(&path);
        let name = path.file_name().map(|name| name.to_string_lossy());
        if let Some(gone) = name.as_deref().and_then(|name| name.strip_prefix(".wh.")) {
            remove(&full.with_file_name(gone)).doing(unpacking)?;
            continue;
        }
        let is_folder = fs::symlink_metadata(&full).is_ok_and(|found| found.is_dir());
        if is_folder != entry.header().entry_type().is_dir() {
            remove(&full).doing(unpacking)?;
        }
        entry
            .unpack_in(target)
            .doing(|| format!("unpacking {}", full.display()))?;
    }
    Ok(())
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let content = fs::read(path).doing(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&content).map_err(|source| Error::Json {
        path: path.to_owned(),
        source,
    })
}
