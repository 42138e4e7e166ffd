//! The refs of a repository, as `git ls-remote` tells them.

use std::{collections::BTreeMap, path::Path};

use git2::{Direction, RemoteRedirect, Repository};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Request,
    request::{Way, Witness},
    url::Url,
};

/// Refs that an error names at most.
const NAMED: usize = 8;

/// What a repository says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    /// The full ref that HEAD names.
    pub head: Option<String>,
    /// Commits by full ref. An annotated tag names its commit, not itself.
    pub refs: BTreeMap<String, String>,
}

/// What a process that asks a repository gives back.
pub type Answer = Result<Remote, Refusal>;

/// An [`Error`] that went from one process to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// [`Error::reason`].
    pub reason: String,
    /// The error in words.
    pub message: String,
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        Self {
            reason: error.reason().to_owned(),
            message: error.to_string(),
        }
    }
}

/// A commit, and the ref at which it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Full id.
    pub commit: String,
    /// Full ref.
    pub reference: String,
}

/// Asks a repository for its refs. Blocks for as long as the server does: the caller bounds it, best
/// in a process of its own, which can be ended.
///
/// # Errors
/// Everything but a missing ref.
pub fn ls_remote(request: &Request) -> Result<Remote, Error> {
    let url = request.check()?;
    let witness = Witness::default();
    let store = tempfile::tempdir().map_err(|source| Error::Io {
        what: "making a folder for settings".to_owned(),
        source,
    })?;
    let way = request.way(&url, &witness)?;
    let found = refs(request, &url, store.path(), &witness, way);
    found.map_err(|error| request.error(&error, &witness))
}

fn refs(
    request: &Request,
    url: &Url,
    store: &Path,
    witness: &Witness,
    way: Way,
) -> Result<Remote, git2::Error> {
    // Only a repository has settings, and one of them is whether redirects are followed.
    let repository = Repository::init_bare(store)?;
    let follow = matches!(request.redirects(), RemoteRedirect::Initial);
    repository
        .config()?
        .set_bool("http.followRedirects", follow)?;
    let mut remote = repository.remote_anonymous(&way.url)?;
    let callbacks = request.callbacks(url, witness);
    let connection = remote.connect_auth(Direction::Fetch, Some(callbacks), Some(way.proxy))?;
    let mut found = Remote::default();
    let mut head = None;
    for entry in connection.list()? {
        let name = entry.name();
        if name == "HEAD" {
            head = entry.symref_target().map(str::to_owned);
            continue;
        }
        // Forges keep every pull request as a ref, and those may be many.
        if !name.starts_with("refs/heads/") && !name.starts_with("refs/tags/") {
            continue;
        }
        // A tag object is followed by the commit that it names.
        let name = name.strip_suffix("^{}").unwrap_or(name);
        found.refs.insert(name.to_owned(), entry.oid().to_string());
    }
    // Old servers do not say what HEAD names; libgit2 guesses by its commit.
    let guess = || {
        let branch = connection.default_branch().ok()?;
        branch.as_str().ok().map(str::to_owned)
    };
    found.head = head.or_else(guess);
    Ok(found)
}

impl Remote {
    /// The commit of a full ref, or of HEAD.
    ///
    /// # Errors
    /// That it is not there; the error names what is.
    pub fn resolve(&self, reference: Option<&str>) -> Result<Resolved, Error> {
        let wanted = match reference.or(self.head.as_deref()) {
            Some(wanted) => wanted,
            None if self.refs.is_empty() => return Err(Error::Empty),
            None => "HEAD",
        };
        match self.refs.get(wanted) {
            Some(commit) => Ok(Resolved {
                commit: commit.clone(),
                reference: wanted.to_owned(),
            }),
            None if self.refs.is_empty() => Err(Error::Empty),
            None => Err(Error::RefNotFound {
                wanted: wanted.to_owned(),
                near: self.near(wanted),
            }),
        }
    }

    /// Refs of the same kind: those that share a part of the name first.
    fn near(&self, wanted: &str) -> Vec<String> {
        let kind = wanted.rsplit_once('/').map_or("", |_| {
            if wanted.starts_with("refs/tags/") {
                "refs/tags/"
            } else {
                "refs/heads/"
            }
        });
        let word = wanted.rsplit('/').next().unwrap_or(wanted);
        let mut names: Vec<_> = self
            .refs
            .keys()
            .filter_map(|name| name.strip_prefix(kind))
            .map(|name| {
                (
                    !name.contains(word) && !word.contains(name),
                    name.to_owned(),
                )
            })
            .collect();
        names.sort();
        names
            .into_iter()
            .take(NAMED)
            .map(|(_, name)| name)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote() -> Remote {
        let refs = ["refs/heads/main", "refs/heads/feature/cart", "refs/tags/v1"];
        Remote {
            head: Some("refs/heads/main".to_owned()),
            refs: refs
                .iter()
                .enumerate()
                .map(|(at, name)| ((*name).to_owned(), format!("{at:040}")))
                .collect(),
        }
    }

    #[test]
    fn head_is_what_is_followed_by_default() {
        let resolved = remote().resolve(None).expect("a commit");
        assert_eq!(resolved.reference, "refs/heads/main");
        assert_eq!(resolved.commit, format!("{:040}", 0));
    }

    #[test]
    fn a_name_is_taken_whole() {
        let error = remote()
            .resolve(Some("refs/heads/cart"))
            .expect_err("no such branch");
        assert_eq!(
            error.to_string(),
            "the repository has no refs/heads/cart; it has feature/cart, main"
        );
        assert_eq!(error.reason(), "RefNotFound");
    }

    #[test]
    fn an_empty_repository_says_so() {
        let error = Remote::default().resolve(None).expect_err("nothing there");
        assert!(matches!(error, Error::Empty));
    }
}
