use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, BufWriter, Read, Write},
    path::{Component, Path, PathBuf},
};

use flate2::{Compression, GzBuilder, write::GzEncoder};
use tar::{EntryType, Header};

use super::{Digest, digest::Hashing};
use crate::{Error, Result, error::Doing};

/// Images are made once and kept on the machine: little effort for most of the gain.
const EFFORT: u32 = 4;

/// What a layer holds: paths without the leading slash, in the order of the archive.
pub(super) type Entries = BTreeMap<PathBuf, Entry>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Folder,
    Bytes(Vec<u8>),
    Host {
        path: PathBuf,
        /// Of a file with several names, which stay one file.
        inode: Option<(u64, u64)>,
    },
    Symlink(PathBuf),
    Whiteout,
}

impl Entry {
    pub(super) fn whiteout() -> Self {
        Entry::root(0, Content::Whiteout)
    }

    pub(super) fn root(mode: u32, content: Content) -> Self {
        Entry {
            mode,
            owner: (0, 0),
            content,
        }
    }
}

/// The key of an image's path; refuses what would leave the image or is its root.
pub(super) fn key(path: &Path) -> Result<PathBuf> {
    let mut key = PathBuf::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => key.push(name),
            Component::ParentDir | Component::Prefix(_) => {
                return Err(problem(path, "no path in an image"));
            }
        }
    }
    if key.as_os_str().is_empty() {
        return Err(problem(path, "no path in an image"));
    }
    Ok(key)
}

/// Adds the folders that entries are in, for images that have nothing below them.
pub(super) fn add_parents(entries: &mut Entries) {
    let missing: Vec<PathBuf> = entries
        .keys()
        .flat_map(|path| path.ancestors().skip(1))
        .filter(|path| !path.as_os_str().is_empty() && !entries.contains_key(*path))
        .map(Path::to_owned)
        .collect();
    for path in missing {
        entries.insert(path, Entry::root(0o755, Content::Folder));
    }
}

/// A layer's blob: its digest and size, and the digest of what it unpacks to.
pub(super) struct Written {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) diff_id: Digest,
}

/// Writes `entries` as a compressed archive to `path`.
pub(super) fn write(entries: &Entries, path: &Path) -> Result<Written> {
    let writing = || format!("writing {}", path.display());
    let file = BufWriter::with_capacity(256 * 1024, File::create(path).doing(writing)?);
    let compressed = GzBuilder::new()
        .mtime(0)
        .write(Hashing::new(file), Compression::new(EFFORT));
    let plain = BufWriter::with_capacity(256 * 1024, Hashing::new(compressed));
    let mut archive = tar::Builder::new(plain);
    let mut inodes = HashMap::new();
    for (path, entry) in entries {
        append(&mut archive, path, entry, &mut inodes)?;
    }
    let plain = archive
        .into_inner()
        .and_then(|plain| plain.into_inner().map_err(io::IntoInnerError::into_error))
        .doing(writing)?;
    let (compressed, diff_id, _): (GzEncoder<_>, _, _) = plain.finish();
    let (mut file, digest, size) = compressed.finish().doing(writing)?.finish();
    file.flush().doing(writing)?;
    Ok(Written {
        digest,
        size,
        diff_id,
    })
}

fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    path: &Path,
    entry: &Entry,
    inodes: &mut HashMap<(u64, u64), PathBuf>,
) -> Result<()> {
    let adding = || format!("adding /{} to the layer", path.display());
    let mut header = Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_uid(entry.owner.0.into());
    header.set_gid(entry.owner.1.into());
    header.set_mtime(0);
    header.set_size(0);
    match &entry.content {
        Content::Folder => {
            header.set_entry_type(EntryType::Directory);
            archive.append_data(&mut header, path, io::empty())
        }
        Content::Bytes(content) => {
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, path, content.as_slice())
        }
        Content::Symlink(target) => {
            header.set_entry_type(EntryType::Symlink);
            archive.append_link(&mut header, path, target)
        }
        Content::Whiteout => {
            let name = path.file_name().unwrap_or_default();
            let mut mark = std::ffi::OsString::from(".wh.");
            mark.push(name);
            archive.append_data(&mut header, path.with_file_name(mark), io::empty())
        }
        Content::Host { path: host, inode } => {
            if let Some(first) = inode.and_then(|inode| inodes.get(&inode)) {
                header.set_entry_type(EntryType::Link);
                archive.append_link(&mut header, path, first)
            } else {
                if let Some(inode) = inode {
                    inodes.insert(*inode, path.to_owned());
                }
                append_host(archive, &mut header, path, host)
            }
        }
    }
    .doing(adding)
}

fn append_host<W: Write>(
    archive: &mut tar::Builder<W>,
    header: &mut Header,
    path: &Path,
    host: &Path,
) -> io::Result<()> {
    let name =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", host.display()));
    let file = File::open(host).map_err(name)?;
    let size = file.metadata().map_err(name)?.len();
    header.set_size(size);
    let mut content = file.take(size);
    archive
        .append_data(header, path, &mut content)
        .map_err(name)?;
    if content.limit() != 0 {
        return Err(name(io::Error::other("became shorter while it was read")));
    }
    Ok(())
}

fn problem(path: &Path, problem: &str) -> Error {
    Error::Content {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}
