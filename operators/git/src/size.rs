//! How much a commit would write, looked at before it does: what is small in a pack may be huge
//! when it is unpacked, and a few trees may name each other to billions of files.

use git2::{ObjectType, Repository, Tree, TreeWalkMode, TreeWalkResult};

use crate::{Error, fetch::Pace, lfs::Refusal};

/// libgit2 holds a file in memory while it writes it, and the step that fetches has 512 MiB.
const FILE: u64 = 256 << 20;
/// The largest repositories that are known have about half as many.
const FILES: usize = 1_000_000;
/// No file can be written at a longer path.
const PATH: usize = 4096;

/// Refuses a commit whose files are too many, or take more than `limit` bytes together with those
/// that were written before.
pub(crate) fn refuse(
    repository: &Repository,
    tree: &Tree<'_>,
    limit: u64,
    pace: &Pace,
) -> Result<(), Refusal> {
    let odb = repository.odb()?;
    let mut files = 0;
    let mut refused = None;
    let walked = tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
        pace.beat();
        refused = match entry.kind() {
            Some(ObjectType::Blob) => {
                files += 1;
                match odb.read_header(entry.id()) {
                    Ok((size, _)) => {
                        let bytes = size as u64;
                        let written = pace.write(bytes);
                        let name = || format!("{folder}{}", entry.name().unwrap_or_default());
                        judge(files, bytes, written, limit, name)
                    }
                    Err(error) => Some(Refusal::Git(error)),
                }
            }
            _ if folder.len() > PATH => Some(Refusal::Own(Error::TooMuch(format!(
                "the commit has folders at paths of more than {PATH} characters"
            )))),
            _ => None,
        };
        match refused {
            Some(_) => TreeWalkResult::Abort,
            None => TreeWalkResult::Ok,
        }
    });
    match refused {
        Some(refusal) => Err(refusal),
        None => Ok(walked?),
    }
}

fn judge(
    files: usize,
    bytes: u64,
    written: u64,
    limit: u64,
    name: impl Fn() -> String,
) -> Option<Refusal> {
    let error = if bytes > FILE {
        Error::TooMuch(format!(
            "the file {} has {} MiB, and files of at most {} MiB are fetched: keep it elsewhere, and get it in build.command",
            name(),
            bytes >> 20,
            FILE >> 20
        ))
    } else if written > limit {
        Error::TooLarge { limit }
    } else if files > FILES {
        Error::TooMuch(format!("the commit has more than {FILES} files"))
    } else {
        return None;
    };
    Some(Refusal::Own(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository, and what is said of a tree in it.
    fn said(limit: u64, make: impl Fn(&Repository) -> git2::Oid) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let repository = Repository::init_bare(folder.path()).expect("a repository");
        let tree = make(&repository);
        let tree = repository.find_tree(tree).expect("a tree");
        let error = match refuse(&repository, &tree, limit, &Pace::new()) {
            Ok(()) => return "fits".to_owned(),
            Err(refusal) => refusal.map(|error| panic!("{error}")),
        };
        assert_eq!(error.reason(), "RepositoryTooLarge");
        error.to_string()
    }

    /// A tree that has `child` under some names.
    fn tree(repository: &Repository, names: &[&str], child: git2::Oid, mode: i32) -> git2::Oid {
        let mut builder = repository.treebuilder(None).expect("a tree");
        for name in names {
            builder.insert(name, child, mode).expect("an entry");
        }
        builder.write().expect("a tree")
    }

    #[test]
    fn what_is_small_in_the_pack_is_measured_unpacked() {
        let zeros = |repository: &Repository| {
            let blob = repository.blob(&vec![0; 1 << 20]).expect("a file");
            tree(repository, &["a", "b", "c"], blob, 0o100_644)
        };
        assert_eq!(said(3 << 20, zeros), "fits");
        let error = said((3 << 20) - 1, zeros);
        assert!(
            error.starts_with("the commit needs more than 2 MiB"),
            "{error}"
        );
    }

    #[test]
    fn trees_that_name_each_other_end() {
        let error = said(1 << 40, |repository| {
            let names: Vec<String> = (0..10).map(|at| at.to_string()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let blob = repository.blob(b"x").expect("a file");
            let leaf = tree(repository, &names, blob, 0o100_644);
            (0..9).fold(leaf, |below, _| tree(repository, &names, below, 0o040_000))
        });
        assert_eq!(error, "the commit has more than 1000000 files");
    }

    #[test]
    fn folders_end_somewhere() {
        let error = said(1 << 20, |repository| {
            let blob = repository.blob(b"x").expect("a file");
            let leaf = tree(repository, &["a"], blob, 0o100_644);
            (0..3000).fold(leaf, |below, _| tree(repository, &["a"], below, 0o040_000))
        });
        assert_eq!(
            error,
            "the commit has folders at paths of more than 4096 characters"
        );
    }

    #[test]
    fn one_file_has_a_limit_of_its_own() {
        let error = said(1 << 40, |repository| {
            let odb = repository.odb().expect("objects");
            let length = 257 << 20;
            let mut writer = odb.writer(length, ObjectType::Blob).expect("a file");
            let chunk = vec![0; 1 << 20];
            for _ in 0..257 {
                std::io::Write::write_all(&mut writer, &chunk).expect("bytes");
            }
            let blob = writer.finalize().expect("a file");
            tree(repository, &["model.bin"], blob, 0o100_644)
        });
        assert!(
            error.starts_with("the file model.bin has 257 MiB, and files of at most 256 MiB"),
            "{error}"
        );
    }
}
