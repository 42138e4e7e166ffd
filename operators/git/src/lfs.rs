//! Files that are kept by Git LFS: what is in the repository is a pointer to them.

use git2::{ObjectType, Repository, Tree, TreeWalkMode, TreeWalkResult};

use crate::Error;

/// First words of a pointer (<https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>).
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";
/// A pointer is smaller than this, by the same document.
const POINTER_MAX: usize = 1024;
/// Files that the error names.
const NAMED: usize = 3;

/// Our own refusal, or libgit2's words.
pub(crate) enum Refusal {
    /// Ours.
    Own(Error),
    /// libgit2's.
    Git(git2::Error),
}

impl Refusal {
    /// As an error of ours.
    pub(crate) fn map(self, git: impl Fn(&git2::Error) -> Error) -> Error {
        match self {
            Self::Own(error) => error,
            Self::Git(error) => git(&error),
        }
    }
}

impl From<git2::Error> for Refusal {
    fn from(error: git2::Error) -> Self {
        Self::Git(error)
    }
}

/// Refuses pointers under `path`: an application would be built with them in the place of its files.
pub(crate) fn refuse(
    repository: &Repository,
    tree: &Tree<'_>,
    path: Option<&str>,
) -> Result<(), Refusal> {
    let under = match path {
        None | Some(".") => String::new(),
        Some(path) => format!("{}/", path.trim_end_matches('/')),
    };
    // Without a line in some .gitattributes there are none, and few repositories have one.
    let mut used = false;
    let mut small = Vec::new();
    let odb = repository.odb()?;
    tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
        let name = entry.name().unwrap_or_default();
        if name == ".gitattributes" {
            let blob = repository.find_blob(entry.id());
            used |= blob.is_ok_and(|blob| {
                let text = blob.content();
                text.windows(10).any(|words| words == b"filter=lfs")
            });
        }
        let place = format!("{folder}{name}");
        if entry.kind() == Some(ObjectType::Blob) && place.starts_with(&under) {
            small.push((place, entry.id()));
        }
        TreeWalkResult::Ok
    })?;
    if !used {
        return Ok(());
    }
    let pointers: Vec<String> = small
        .into_iter()
        .filter(|(_, id)| {
            odb.read_header(*id)
                .is_ok_and(|(size, _)| size < POINTER_MAX)
        })
        .filter(|(_, id)| {
            repository
                .find_blob(*id)
                .is_ok_and(|it| it.content().starts_with(POINTER))
        })
        .map(|(place, _)| place)
        .collect();
    if pointers.is_empty() {
        return Ok(());
    }
    let mut names = pointers[..pointers.len().min(NAMED)].join(", ");
    if pointers.len() > NAMED {
        names += &format!(" and {} more", pointers.len() - NAMED);
    }
    Err(Refusal::Own(Error::Lfs(names)))
}
