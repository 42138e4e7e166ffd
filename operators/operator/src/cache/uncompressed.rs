//! Keeps cached layers uncompressed that no image takes along: those of stages that only build.
//!
//! Kaniko compresses every layer that it puts into the cache. A build that finds it there decompresses
//! it twice, once to unpack it and once for the digest of what is in it. Layers of the image itself stay
//! as they are, for they are pushed from the cache.
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
pub(crate) fn uncompress(cache: &Path, layout: &Path, room: u64) -> io::Result<Uncompressed> {
    let own: BTreeSet<String> = Image::read(layout)?.contents.into_iter().collect();
    let mut done = Uncompressed::default();
    for entry in fs::read_dir(cache)? {
        let folder = entry?.path();
        if let Ok(Some(bytes)) = look_at(&folder, &own, room - done.bytes) {
            done.layers += 1;
            done.bytes += bytes;
        }
    }
    Ok(done)
}

/// Bytes that a layer takes more than before, if it was uncompressed.
fn look_at(folder: &Path, own: &BTreeSet<String>, room: u64) -> io::Result<Option<u64>> {
    let image = Image::read(folder)?;
    let [content] = &image.contents[..] else {
        return Ok(None);
    };
    let format = Format::of(image.layer_type());
    if own.contains(content) {
        match format {
            Some(_) if of_an_image(folder)? => {}
            Some(_) => File::create_new(folder.join(OF_AN_IMAGE)).map(drop)?,
            None => fs::remove_dir_all(folder)?,
        }
        return Ok(None);
    }
    match format {
        Some(format) if !of_an_image(folder)? => replace(&image, content, &format, room),
        _ => Ok(None),
    }
}

fn of_an_image(folder: &Path) -> io::Result<bool> {
    match folder.join(OF_AN_IMAGE).symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => found.map(|_| true),
    }
}

/// How a layer is compressed, and what its type is without that.
#[derive(Debug, PartialEq, Eq)]
enum Format<'a> {
    Gzip(&'a str),
    Zstd(&'a str),
}

impl<'a> Format<'a> {
    /// <https://github.com/opencontainers/image-spec/blob/main/media-types.md>, and Docker's older ones.
    fn of(media_type: &'a str) -> Option<Self> {
        let gzip = || media_type.strip_suffix("+gzip");
        let older = || media_type.strip_suffix(".gzip");
        let zstd = media_type.strip_suffix("+zstd").map(Format::Zstd);
        zstd.or_else(|| gzip().or_else(older).map(Format::Gzip))
    }
}

/// Puts an uncompressed layer in the place of a compressed one. At every moment the folder has an image
/// that is whole: its index changes last.
fn replace(image: &Image, content: &str, format: &Format, room: u64) -> io::Result<Option<u64>> {
    let compressed = image.blob(image.layer_digest())?;
    let before = compressed.symlink_metadata()?.len();
    let part = image.folder.join(PART);
    let source = read(&compressed)?;
    let most = room.saturating_add(before);
    let written = match format {
        Format::Gzip(_) => write(MultiGzDecoder::new(source), most, &part),
        Format::Zstd(_) => zstd::Decoder::new(source).and_then(|source| write(source, most, &part)),
    };
    let (bytes, digest) = written.inspect_err(|_| drop(fs::remove_file(&part)))?;
    if bytes > most || digest != content {
        fs::remove_file(&part)?;
        return Ok(None);
    }
    fs::rename(&part, image.blob(content)?)?;
    let (Format::Gzip(media_type) | Format::Zstd(media_type)) = format;
    let mut manifest = image.manifest.clone();
    manifest["layers"] = json!([{"mediaType": media_type, "size": bytes, "digest": content}]);
    let manifest = serde_json::to_vec(&manifest)?;
    let (size, digest) = write(&manifest[..], u64::MAX, &part)?;
    fs::rename(&part, image.blob(&digest)?)?;
    let mut index = image.index.clone();
    index["manifests"][0]["size"] = size.into();
    index["manifests"][0]["digest"] = digest.into();
    write(&serde_json::to_vec(&index)?[..], u64::MAX, &part)?;
    fs::rename(&part, image.folder.join("index.json"))?;
    fs::remove_file(compressed)?;
    fs::remove_file(image.blob(&image.digest)?)?;
    Ok(Some(bytes.saturating_sub(before)))
}

/// Writes to a new file, which stops after `most` bytes and one: how many there are, and their digest.
///
/// They are on the disk then. A file that a node lost with its power would fail every build that finds
/// it, until somebody empties the cache.
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
    file.sync_data()?;
    let digest = hasher.finalize();
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((bytes, format!("sha256:{digits}")))
}

/// Opens a file for reading and does not leave a trace of that: the times at which Kaniko read layers
/// say which of them are of use.
fn read(path: &Path) -> io::Result<File> {
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
    let digits = digest.strip_prefix("sha256:").unwrap_or_default();
    if digits.len() == 64 && digits.bytes().all(|it| it.is_ascii_hexdigit()) {
        Ok(folder.join("blobs/sha256").join(digits))
    } else {
        Err(io::Error::other(format!("{digest} is no digest")))
    }
}

#[cfg(test)]
mod tests;
