//! Keeps cached layers uncompressed that no image takes along: those of stages that only build.
//!
//! Kaniko compresses every layer that it puts into the cache. A build that finds it there decompresses
//! it twice, once to unpack it and once for the digest of what is in it. Layers of the image itself stay
//! as they are, for they are pushed from the cache.
//!
//! On a base image that is kept uncompressed itself (`bases`) Kaniko wants layers of Docker's older type,
//! and compresses others to make them such.
//!
//! What builds wrote there is not trusted: links are not followed, nothing grows beyond the room that
//! there is, and a layer whose content is not what its image says is left alone.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use rustix::fs::{Mode, OFlags, open};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Says of a layer that an image has it, though not every image of later.
const OF_AN_IMAGE: &str = "of-an-image";
/// What is being written.
const PART: &str = "part";
/// No manifest and no configuration of an image is longer.
const MOST_OF_JSON: u64 = 4 << 20;

/// What became of a cache's layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uncompressed {
    /// How many are uncompressed now that were not.
    pub layers: u64,
    /// Bytes that the cache grew by.
    pub bytes: u64,
}

/// Uncompresses the layers in `cache` that the image in `layout` does not have, for as long as the cache
/// grows by no more than `room` bytes. A layer that was taken for one of those and is the image's after
/// all goes: it is compressed again by the next build that makes it.
///
/// # Errors
/// When the image or the folder of the cache cannot be read. A layer that cannot be is left as it is.
pub(crate) fn uncompress(
    cache: &Path,
    layout: &Path,
    room: u64,
    wanted: Type,
) -> io::Result<Uncompressed> {
    let own: BTreeSet<String> = Image::read(layout)?.contents.into_iter().collect();
    let mut done = Uncompressed::default();
    for entry in fs::read_dir(cache)? {
        let folder = entry?.path();
        if let Ok(Some(bytes)) = look_at(&folder, &own, room - done.bytes, wanted) {
            done.layers += 1;
            done.bytes += bytes;
        }
    }
    Ok(done)
}

/// Bytes that a layer takes more than before, if it was uncompressed.
fn look_at(
    folder: &Path,
    own: &BTreeSet<String>,
    room: u64,
    wanted: Type,
) -> io::Result<Option<u64>> {
    let image = Image::read(folder)?;
    let [content] = &image.contents[..] else {
        return Ok(None);
    };
    let is = image.layer_type();
    let format = Format::of(is);
    if own.contains(content) {
        match format {
            Format::Plain => fs::remove_dir_all(folder)?,
            _ if of_an_image(folder)? => {}
            _ => File::create_new(folder.join(OF_AN_IMAGE)).map(drop)?,
        }
        return Ok(None);
    }
    let wanted = wanted.name(is);
    match format {
        Format::Plain if is != wanted => {
            let size = image.manifest["layers"][0]["size"].as_u64();
            image.say(wanted, size.unwrap_or_default(), content)?;
            Ok(None)
        }
        Format::Plain => Ok(None),
        _ if of_an_image(folder)? => Ok(None),
        format => replace(&image, content, format, room, wanted),
    }
}

fn of_an_image(folder: &Path) -> io::Result<bool> {
    match folder.join(OF_AN_IMAGE).symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => found.map(|_| true),
    }
}

/// Types of layers that are not compressed:
/// <https://github.com/opencontainers/image-spec/blob/main/media-types.md>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// That of the layer as it was.
    Own,
    /// Docker's older one.
    Docker,
}

impl Type {
    fn name(self, was: &str) -> &'static str {
        if self == Self::Docker || was.starts_with("application/vnd.docker.") {
            "application/vnd.docker.image.rootfs.diff.tar"
        } else {
            "application/vnd.oci.image.layer.v1.tar"
        }
    }
}

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Plain,
    Gzip,
    Zstd,
}

impl Format {
    /// By the type of a layer.
    pub(crate) fn of(media_type: &str) -> Self {
        if media_type.ends_with("+zstd") {
            Self::Zstd
        } else if media_type.ends_with("+gzip") || media_type.ends_with(".gzip") {
            Self::Gzip
        } else {
            Self::Plain
        }
    }

    /// Writes what is in a layer to a new file: how many bytes, and their digest. No more than `most`
    /// bytes and one.
    pub(crate) fn write(self, layer: impl Read, most: u64, to: &Path) -> io::Result<(u64, String)> {
        match self {
            Self::Plain => write(layer, most, to),
            Self::Gzip => write(MultiGzDecoder::new(layer), most, to),
            Self::Zstd => write(zstd::Decoder::new(layer)?, most, to),
        }
    }
}

/// Puts an uncompressed layer in the place of a compressed one. At every moment the folder has an image
/// that is whole: its index changes last.
///
/// The layer is on the disk before that: one that a node lost with its power would fail every build that
/// finds it, until somebody empties the cache.
fn replace(
    image: &Image,
    content: &str,
    format: Format,
    room: u64,
    wanted: &str,
) -> io::Result<Option<u64>> {
    let compressed = image.blob(image.layer_digest())?;
    let before = compressed.symlink_metadata()?.len();
    let part = image.folder.join(PART);
    let most = room.saturating_add(before);
    let written = format.write(read(&compressed)?, most, &part);
    let (bytes, digest) = written.inspect_err(|_| drop(fs::remove_file(&part)))?;
    if bytes > most || digest != content {
        fs::remove_file(&part)?;
        return Ok(None);
    }
    File::open(&part)?.sync_data()?;
    fs::rename(&part, image.blob(content)?)?;
    image.say(wanted, bytes, content)?;
    fs::remove_file(compressed)?;
    Ok(Some(bytes.saturating_sub(before)))
}

/// Writes to a new file, which stops after `most` bytes and one: how many there are, and their digest.
fn write(source: impl Read, most: u64, to: &Path) -> io::Result<(u64, String)> {
    let _none = fs::remove_file(to);
    let mut file = File::create_new(to)?;
    let mut source = source.take(most.saturating_add(1));
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    let mut buffer = vec![0; 1 << 18];
    loop {
        let length = source.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        file.write_all(&buffer[..length])?;
        hasher.update(&buffer[..length]);
        bytes += length as u64;
    }
    let digest = hasher.finalize();
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((bytes, format!("sha256:{digits}")))
}

/// Opens a file for reading and does not leave a trace of that: the times at which Kaniko read layers
/// say which of them are of use.
pub(crate) fn read(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOATIME;
    Ok(open(path, flags, Mode::empty())?.into())
}

/// An image layout with one image: <https://github.com/opencontainers/image-spec>.
struct Image {
    folder: PathBuf,
    index: Value,
    /// Digest of the manifest.
    digest: String,
    manifest: Value,
    /// Digests of what is in the layers, uncompressed.
    contents: Vec<String>,
}

impl Image {
    fn read(folder: &Path) -> io::Result<Self> {
        let blobs = folder.join("blobs");
        for part in [folder, &blobs, &blobs.join("sha256")] {
            if !part.symlink_metadata()?.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
        }
        let index = value(&folder.join("index.json"))?;
        let digest = text(&index["manifests"][0]["digest"]).to_owned();
        let manifest = value(&blob(folder, &digest)?)?;
        let config = value(&blob(folder, text(&manifest["config"]["digest"]))?)?;
        let contents = config["rootfs"]["diff_ids"].as_array();
        let contents = contents.into_iter().flatten().map(text).map(str::to_owned);
        Ok(Self {
            folder: folder.to_owned(),
            contents: contents.collect(),
            index,
            digest,
            manifest,
        })
    }

    /// Of the first layer, the only one in a cache.
    fn layer_type(&self) -> &str {
        text(&self.manifest["layers"][0]["mediaType"])
    }

    fn layer_digest(&self) -> &str {
        text(&self.manifest["layers"][0]["digest"])
    }

    fn blob(&self, digest: &str) -> io::Result<PathBuf> {
        blob(&self.folder, digest)
    }

    /// Says which layer the image has.
    fn say(&self, media_type: &str, size: u64, digest: &str) -> io::Result<()> {
        let part = self.folder.join(PART);
        let put = |value: &Value| {
            let written = write(&serde_json::to_vec(value)?[..], u64::MAX, &part)?;
            File::open(&part)?.sync_data().map(|()| written)
        };
        let mut manifest = self.manifest.clone();
        manifest["layers"] = json!([{"mediaType": media_type, "size": size, "digest": digest}]);
        let (size, digest) = put(&manifest)?;
        fs::rename(&part, self.blob(&digest)?)?;
        let mut index = self.index.clone();
        index["manifests"][0]["size"] = size.into();
        index["manifests"][0]["digest"] = digest.into();
        put(&index)?;
        fs::rename(&part, self.folder.join("index.json"))?;
        fs::remove_file(self.blob(&self.digest)?)
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn value(path: &Path) -> io::Result<Value> {
    let mut json = Vec::new();
    read(path)?.take(MOST_OF_JSON).read_to_end(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

fn blob(folder: &Path, digest: &str) -> io::Result<PathBuf> {
    if is_digest(digest) {
        Ok(folder.join("blobs").join(digest.replace(':', "/")))
    } else {
        Err(io::Error::other(format!("{digest} is no digest")))
    }
}

/// Whether this is a digest, and as the name of a file nothing else.
pub(crate) fn is_digest(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    digits.len() == 64 && digits.bytes().all(|it| it.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
