//! Keeps a Service's layer cache within its limit: the oldest layers go first.
//!
//! What builds wrote there is not trusted: links are removed and never followed.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use bytesize::ByteSize;
use clap::Args;

/// What is to be kept within a limit.
#[derive(Args, Clone, Debug)]
// The step that hands an image over has these beside its own.
#[group(id = "cache")]
pub(crate) struct Options {
    /// Folder of the build's layer cache, to be kept within --cache-max
    #[arg(long, value_name = "DIR", requires = "cache_max")]
    cache_dir: Option<PathBuf>,
    /// Most that the layer cache may take; its oldest layers go first
    #[arg(long, value_name = "SIZE")]
    cache_max: Option<ByteSize>,
}

/// Trims a cache. Nothing of an image depends on it: what goes wrong here is only told.
pub(crate) fn trim(options: &Options) {
    let (Some(folder), Some(max)) = (&options.cache_dir, options.cache_max) else {
        return;
    };
    match prune(folder, max.as_u64()) {
        Ok(pruned) => {
            let (kept, removed) = (ByteSize(pruned.kept), ByteSize(pruned.removed));
            println!("layer cache: {kept} kept, {removed} removed");
        }
        Err(error) => println!("layer cache: {error}"),
    }
}

/// What became of a cache, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pruned {
    /// Still there.
    pub kept: u64,
    /// Removed.
    pub removed: u64,
}

/// An entry of the cache: each layer is a folder of its own.
struct Layer {
    path: PathBuf,
    bytes: u64,
    written: SystemTime,
}

/// Removes the oldest layers until no more than `max` bytes are left.
///
/// # Errors
/// When the folder cannot be read. What cannot be removed is kept.
pub(crate) fn prune(folder: &Path, max: u64) -> io::Result<Pruned> {
    let mut layers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let metadata = path.symlink_metadata()?;
        layers.push(Layer {
            bytes: size(&path).unwrap_or(0),
            written: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            path,
        });
    }
    // The newest first; names decide between those of one moment.
    layers.sort_by(|one, other| (other.written, &other.path).cmp(&(one.written, &one.path)));
    let mut pruned = Pruned::default();
    for layer in layers {
        if pruned.kept + layer.bytes <= max {
            pruned.kept += layer.bytes;
        } else if remove(&layer.path).is_ok() {
            pruned.removed += layer.bytes;
        } else {
            pruned.kept += layer.bytes;
        }
    }
    Ok(pruned)
}

fn remove(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

/// Bytes of a file, or of all in a folder, without following links.
fn size(path: &Path) -> io::Result<u64> {
    let metadata = path.symlink_metadata()?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        bytes += size(&entry?.path())?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, os::unix::fs::symlink, time::Duration};

    fn layer(folder: &Path, name: &str, bytes: usize, second: u64) {
        let path = folder.join(name);
        fs::create_dir_all(path.join("blobs")).expect("a folder");
        fs::write(path.join("blobs/layer"), vec![0; bytes]).expect("a file");
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let opened = File::open(path).expect("a folder");
        opened.set_modified(written).expect("a time");
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let mut names: Vec<_> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_oldest_layers_go_first() {
        let folder = tempfile::tempdir().expect("a folder");
        layer(folder.path(), "layers:a", 100, 1);
        layer(folder.path(), "layers:b", 100, 3);
        layer(folder.path(), "layers:c", 100, 2);
        let pruned = prune(folder.path(), 1000).expect("it is there");
        assert_eq!((pruned.kept, pruned.removed), (300, 0));
        let pruned = prune(folder.path(), 250).expect("it is there");
        assert_eq!((pruned.kept, pruned.removed), (200, 100));
        assert_eq!(names(folder.path()), ["layers:b", "layers:c"]);
    }

    #[test]
    fn links_lead_nowhere() {
        let outside = tempfile::tempdir().expect("a folder");
        layer(outside.path(), "precious", 100, 1);
        let folder = tempfile::tempdir().expect("a folder");
        symlink(outside.path(), folder.path().join("layers:x")).expect("a link");
        layer(folder.path(), "layers:y", 10, 5);
        symlink(outside.path(), folder.path().join("layers:y/out")).expect("a link");
        prune(folder.path(), 0).expect("it is there");
        assert_eq!(names(folder.path()), Vec::<String>::new());
        assert_eq!(names(outside.path()), ["precious"]);
    }
}
