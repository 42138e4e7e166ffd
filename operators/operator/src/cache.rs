//! Keeps a Service's layer cache within its limit: what no build has used for the longest goes first.
//!
//! What builds wrote there is not trusted: links are removed and never followed.

mod uncompressed;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use bytesize::ByteSize;
use clap::Args;

use crate::bases::store::Store;
use uncompressed::Type;
pub(crate) use uncompressed::{Format, is_digest, read};

/// What is to be kept within a limit.
#[derive(Args, Clone, Debug)]
// The step that hands an image over has these beside its own.
#[group(id = "cache")]
pub(crate) struct Options {
    /// Folder of the build's layer cache, to be kept within --cache-max
    #[arg(long, value_name = "DIR", requires = "cache_max")]
    cache_dir: Option<PathBuf>,
    /// Most that the layer cache may take; what was not used for the longest goes first
    #[arg(long, value_name = "SIZE")]
    cache_max: Option<ByteSize>,
}

/// Trims a cache. Nothing of an image depends on it: what goes wrong here is only told.
pub(crate) fn trim(options: &Options) {
    let _room = room(options);
}

/// Trims a cache after a build, and has what the next one finds there ready for it.
pub(crate) fn after(options: &Options, layout: &Path) {
    let (Some(folder), Some(room)) = (&options.cache_dir, room(options)) else {
        return;
    };
    let bases = Store::new(folder).settle().unwrap_or_else(|error| {
        println!("base images: {error}");
        false
    });
    let wanted = if bases { Type::Docker } else { Type::Own };
    match uncompressed::uncompress(folder, layout, room, wanted) {
        Ok(done) if done.layers == 0 => {}
        Ok(done) => {
            let (layers, bytes) = (done.layers, ByteSize(done.bytes));
            println!("layer cache: {layers} layers uncompressed, {bytes} more");
        }
        Err(error) => println!("layer cache: {error}"),
    }
}

/// Trims a cache: how many bytes there is room for.
fn room(options: &Options) -> Option<u64> {
    let (folder, max) = (options.cache_dir.as_ref()?, options.cache_max?.as_u64());
    match prune(folder, max) {
        Ok(pruned) => {
            let (kept, removed) = (ByteSize(pruned.kept), ByteSize(pruned.removed));
            println!("layer cache: {kept} kept, {removed} removed");
            Some(max.saturating_sub(pruned.kept))
        }
        Err(error) => {
            println!("layer cache: {error}");
            None
        }
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
    used: SystemTime,
}

/// When a layer was written, or a build looked whether it is there and found it. File systems tell that
/// once a day, or never: then the newest are kept.
fn used(layer: &Path) -> io::Result<SystemTime> {
    let written = layer.symlink_metadata()?.modified()?;
    let index = layer.join("index.json").symlink_metadata();
    let read = index.and_then(|it| it.accessed()).unwrap_or(written);
    Ok(written.max(read))
}

/// Removes the layers that were not used for the longest until no more than `max` bytes are left.
///
/// # Errors
/// When the folder cannot be read. What cannot be removed is kept.
pub(crate) fn prune(folder: &Path, max: u64) -> io::Result<Pruned> {
    let mut layers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        layers.push(Layer {
            bytes: size(&path).unwrap_or(0),
            used: used(&path).unwrap_or(SystemTime::UNIX_EPOCH),
            path,
        });
    }
    // The last first; names decide between those of one moment.
    layers.sort_by(|one, other| (other.used, &other.path).cmp(&(one.used, &one.path)));
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
    use std::{
        fs::{File, FileTimes},
        os::unix::fs::symlink,
        time::Duration,
    };

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
    fn a_layer_that_a_build_found_is_kept_before_a_newer_one() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, second) in [("layers:a", 1), ("layers:b", 2), ("layers:c", 3)] {
            layer(folder.path(), name, 100, second);
        }
        let index = File::create(folder.path().join("layers:a/index.json")).expect("a file");
        let second = |it| SystemTime::UNIX_EPOCH + Duration::from_secs(it);
        let times = FileTimes::new().set_accessed(second(9));
        index.set_times(times).expect("a time");
        let written = File::open(folder.path().join("layers:a")).expect("a folder");
        written.set_modified(second(1)).expect("a time");
        prune(folder.path(), 200).expect("it is there");
        assert_eq!(names(folder.path()), ["layers:a", "layers:c"]);
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
