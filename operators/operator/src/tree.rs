//! A folder of a repository, as detection sees it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::Read,
    path::{Component, Path, PathBuf},
};

use trackbed_detect::{Root, Tree};

/// How deep, and how many files, detection lists.
const LIST_MAX: (usize, usize) = (3, 20_000);
/// How many files, and how many bytes in all, detection reads.
const READ_MAX: (usize, usize) = (300, 16 << 20);

/// A listing and the content of what is looked at.
type Listing = (BTreeSet<String>, BTreeMap<String, String>);

/// The application's folder, and the repository around it. The folder must have been checked by
/// [`inside`].
pub(crate) fn tree(source: &Path, folder: &Path) -> Tree {
    let (files, content) = list(folder);
    let path = folder.strip_prefix(source).unwrap_or(Path::new(""));
    let root = (!path.as_os_str().is_empty()).then(|| {
        let (files, content) = list(source);
        Root {
            path: path.to_string_lossy().into_owned(),
            files,
            content,
        }
    });
    Tree {
        files,
        content,
        root,
    }
}

/// A path under a root, with no link anywhere on the way.
pub(crate) fn inside(root: &Path, path: &Path) -> Option<PathBuf> {
    let mut found = root.to_owned();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(name) => {
                found.push(name);
                if fs::symlink_metadata(&found).ok()?.is_symlink() {
                    return None;
                }
            }
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(found)
}

/// Lists a folder, level by level, so that what is near its top is seen however much is below.
/// Links are not followed: a repository could point them at our credentials.
fn list(root: &Path) -> Listing {
    let (mut files, mut content) = Listing::default();
    let mut bytes = 0;
    let mut level = vec![root.to_owned()];
    for _ in 0..=LIST_MAX.0 {
        let mut below = Vec::new();
        for entry in level
            .iter()
            .flat_map(|it| fs::read_dir(it).into_iter().flatten().flatten())
        {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() && !Tree::skipped(&entry.file_name().to_string_lossy()) {
                below.push(path);
            } else if kind.is_file() && files.len() < LIST_MAX.1 {
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
                let room = content.len() < READ_MAX.0 && bytes < READ_MAX.1;
                if room
                    && Tree::wanted(&name)
                    && let Some(text) = read(&path)
                {
                    bytes += text.len();
                    content.insert(name.clone().into_owned(), text);
                }
                files.insert(name.into_owned());
            }
        }
        below.sort_unstable();
        level = below;
    }
    (files, content)
}

/// The beginning of a file, as text.
fn read(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    let most = u64::try_from(Tree::CONTENT_MAX).unwrap_or(u64::MAX);
    File::open(path)
        .ok()?
        .take(most)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_neither_followed_nor_read() {
        let outside = tempfile::tempdir().expect("a folder");
        fs::write(outside.path().join("package.json"), "secret").expect("a file");
        let source = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink(outside.path(), source.path().join("link")).expect("a link");
        let secret = outside.path().join("package.json");
        std::os::unix::fs::symlink(secret, source.path().join("package.json")).expect("a link");
        let tree = tree(source.path(), source.path());
        assert_eq!(tree, Tree::default());
        assert_eq!(inside(source.path(), Path::new("link")), None);
    }

    #[test]
    fn a_folder_sees_the_root_above_it() {
        let source = tempfile::tempdir().expect("a folder");
        let folder = source.path().join("apps/web");
        fs::create_dir_all(folder.join("node_modules/x")).expect("folders");
        fs::write(folder.join("package.json"), "{}").expect("a file");
        fs::write(folder.join("node_modules/x/package.json"), "{}").expect("a file");
        fs::write(source.path().join("yarn.lock"), "# v1").expect("a file");
        let tree = tree(source.path(), &folder);
        assert_eq!(tree.files, BTreeSet::from(["package.json".to_owned()]));
        let root = tree.root.expect("a root");
        assert_eq!(root.path, "apps/web");
        let expected = ["apps/web/package.json", "yarn.lock"].map(str::to_owned);
        assert_eq!(root.files, BTreeSet::from(expected));
        assert_eq!(root.content["yarn.lock"], "# v1");
    }
}
