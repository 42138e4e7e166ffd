use std::{
    fs::{self, Metadata},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

use super::layer::{Content, Entries, Entry};
use crate::{Error, Result, error::Doing};

/// Adds everything below `root`, under the paths that it has there.
pub(super) fn add(root: &Path, entries: &mut Entries) -> Result<()> {
    walk(root, Path::new(""), &mut |path, metadata| {
        entries.insert(path.to_owned(), entry(root, path, metadata)?);
        Ok(true)
    })
}

/// Adds what differs below `root` from what is below `before`, with marks for what is gone.
pub(super) fn add_changes(before: &Path, root: &Path, entries: &mut Entries) -> Result<()> {
    let mut changed = Vec::new();
    walk(root, Path::new(""), &mut |path, metadata| {
        if !same(&before.join(path), &root.join(path), metadata)? {
            changed.push(path.to_owned());
        }
        Ok(true)
    })?;
    let mut gone = Vec::new();
    walk(before, Path::new(""), &mut |path, metadata| {
        let now = stat(&root.join(path))?;
        let is_gone = now.is_none();
        if is_gone {
            gone.push(path.to_owned());
        }
        // What is below a folder that is gone, or no folder any more, goes with it.
        Ok(metadata.is_dir() && now.is_some_and(|now| now.is_dir()))
    })?;
    // Folders of what changed come with it, as they are now.
    let parents = gone.iter().flat_map(|path| path.ancestors().skip(1));
    for path in changed
        .iter()
        .flat_map(|path| path.ancestors())
        .chain(parents)
    {
        if path.as_os_str().is_empty() || entries.contains_key(path) {
            continue;
        }
        let full = root.join(path);
        let metadata =
            fs::symlink_metadata(&full).doing(|| format!("reading {}", full.display()))?;
        entries.insert(path.to_owned(), entry(root, path, &metadata)?);
    }
    for path in gone {
        entries.insert(path, Entry::whiteout());
    }
    Ok(())
}

fn walk(
    root: &Path,
    folder: &Path,
    visit: &mut impl FnMut(&Path, &Metadata) -> Result<bool>,
) -> Result<()> {
    let full = root.join(folder);
    let read = || format!("reading {}", full.display());
    for child in fs::read_dir(&full).doing(read)? {
        let child = child.doing(read)?;
        let metadata = child.metadata().doing(read)?;
        let kind = metadata.file_type();
        if kind.is_block_device() || kind.is_char_device() || kind.is_fifo() || kind.is_socket() {
            // Whoever runs the image makes the devices; a socket or pipe is nobody's content.
            continue;
        }
        let path = folder.join(child.file_name());
        if visit(&path, &metadata)? && kind.is_dir() {
            walk(root, &path, visit)?;
        }
    }
    Ok(())
}

fn entry(root: &Path, path: &Path, metadata: &Metadata) -> Result<Entry> {
    let full = root.join(path);
    let content = if metadata.is_dir() {
        Content::Folder
    } else if metadata.is_symlink() {
        let target = fs::read_link(&full).doing(|| format!("reading {}", full.display()))?;
        Content::Symlink(target)
    } else if metadata.is_file() {
        Content::Host {
            inode: (metadata.nlink() > 1).then(|| (metadata.dev(), metadata.ino())),
            path: full,
        }
    } else {
        return Err(Error::Content {
            path: full,
            problem: "neither file, folder nor symbolic link".to_owned(),
        });
    };
    Ok(Entry {
        mode: metadata.mode() & 0o7777,
        owner: (metadata.uid(), metadata.gid()),
        content,
    })
}

fn stat(path: &Path) -> Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error).doing(|| format!("reading {}", path.display())),
    }
}

fn same(before: &Path, after: &Path, now: &Metadata) -> Result<bool> {
    let Some(was) = stat(before)? else {
        return Ok(false);
    };
    let read = || format!("reading {}", after.display());
    if (was.mode(), was.uid(), was.gid()) != (now.mode(), now.uid(), now.gid()) {
        return Ok(false);
    }
    if now.is_symlink() {
        return Ok(fs::read_link(before).doing(read)? == fs::read_link(after).doing(read)?);
    }
    if !now.is_file() {
        return Ok(true);
    }
    if was.len() != now.len() {
        return Ok(false);
    }
    // Times say too little: two writes within one tick of the clock have the same.
    Ok(fs::read(before).doing(read)? == fs::read(after).doing(read)?)
}
