//! Names of files as a digest, for layers that must know them.

use std::{fs, io, path::Path};

use sha2::{Digest, Sha256};
use trackbed_detect::Copied;

use crate::tree::inside;

/// Hexadecimal digits of a digest that are enough to tell one set of names from another.
const DIGITS: usize = 16;

/// A digest of the names of what is copied from the build's context; `None` if that is no folder.
pub(crate) fn digest(context: &Path, copied: &Copied) -> Option<String> {
    let whole = [".".to_owned()];
    let paths = match copied {
        Copied::Anything => &whole[..],
        Copied::Paths(paths) => paths,
    };
    let mut names = Vec::new();
    let mut folders = 0;
    for path in paths {
        let folder = inside(context, Path::new(path.trim_start_matches('/')));
        let Some(folder) = folder.filter(|it| it.is_dir()) else {
            continue;
        };
        folders += 1;
        // One that cannot be read fails the build where it is copied.
        let _ = collect(&folder, &folder, &mut names);
    }
    if folders == 0 {
        return None;
    }
    names.sort_unstable();
    let mut hash = Sha256::new();
    for name in names {
        hash.update(name.as_bytes());
        // No name has it.
        hash.update([0]);
    }
    let text = hash
        .finalize()
        .into_iter()
        .map(|byte| format!("{byte:02x}"));
    Some(text.collect::<String>().chars().take(DIGITS).collect())
}

/// All names below a folder. Links are names and not followed.
fn collect(root: &Path, folder: &Path, names: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.strip_prefix(root).unwrap_or(&path);
        names.push(name.to_string_lossy().into_owned());
        if path.symlink_metadata()?.is_dir() {
            collect(root, &path, names)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_make_the_difference_and_contents_do_not() {
        let context = tempfile::tempdir().expect("a folder");
        let put = |path: &str, text: &str| {
            let path = context.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        let of = |paths: &[&str]| {
            let paths = paths.iter().map(|it| (*it).to_owned()).collect();
            digest(context.path(), &Copied::Paths(paths))
        };
        put("package.json", "{}");
        put("src/a.js", "1");
        let (src, all) = (of(&["src"]), of(&["."]));
        assert_eq!(src.as_ref().map(String::len), Some(DIGITS));
        assert_ne!(src, all);
        put("src/a.js", "2");
        assert_eq!(of(&["/src/"]), src, "the content is Kaniko's business");
        put("other.txt", "1");
        assert_eq!(of(&["src"]), src, "what is not copied does not count");
        assert_ne!(of(&["."]), all);
        fs::rename(
            context.path().join("src/a.js"),
            context.path().join("src/b.js"),
        )
        .expect("a name");
        assert_ne!(of(&["src", "package.json"]), src);
        assert_eq!(digest(context.path(), &Copied::Anything), of(&["."]));
        for files in [&["package.json"][..], &["nowhere"], &["../.."]] {
            assert_eq!(of(files), None, "{files:?}");
        }
    }
}
