//! Whether what came between two commits touches certain paths.

use git2::{DiffOptions, Oid, Repository};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Request,
    fetch::{Fetch, Pace, receive, with_deadline},
};

/// A question about two commits of a repository.
#[derive(Clone, Serialize, Deserialize)]
pub struct Between {
    /// The repository.
    pub request: Request,
    /// Full id of the older commit.
    pub from: String,
    /// Full id of the newer one.
    pub to: String,
    /// Full ref at which the newer one was found.
    pub reference: Option<String>,
    /// Paths that count, in the words of <https://git-scm.com/docs/gitignore#_pattern_format>: the
    /// last that fits decides, and `!` takes out what others took in.
    pub patterns: Vec<String>,
    /// Most bytes to take from the server.
    pub max_bytes: u64,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Touched {
    /// The first path that counts.
    Yes(String),
    /// None of the paths that differ counts.
    No,
    /// The older commit is not there any more: a branch was rewritten.
    Unknown,
}

/// Compares the two commits, so that all that came between them counts, and what was taken back
/// does not.
///
/// # Errors
/// See [`Error`].
pub fn changes(between: &Between) -> Result<Touched, Error> {
    let patterns = patterns(&between.patterns)?;
    let what = between.clone();
    let deadline = between.request.deadline;
    let url = between.request.url.clone();
    with_deadline(&url, deadline, &mut |_| {}, move |pace| {
        compare(&what, &patterns, pace)
    })
}

/// Reads patterns.
///
/// # Errors
/// When one is none.
pub(crate) fn patterns(lines: &[String]) -> Result<Gitignore, Error> {
    let mut builder = GitignoreBuilder::new("");
    let wrong = |error: ignore::Error| Error::Pattern(error.to_string());
    // Only exceptions: from everything.
    if lines.first().is_none_or(|first| first.starts_with('!')) {
        builder.add_line(None, "*").map_err(wrong)?;
    }
    for line in lines {
        builder.add_line(None, line).map_err(wrong)?;
    }
    builder.build().map_err(wrong)
}

fn compare(between: &Between, patterns: &Gitignore, pace: &Pace) -> Result<Touched, Error> {
    let url = between.request.check()?;
    let git = |error: git2::Error| Error::of(url.as_str(), &error, false, false);
    let store = tempfile::tempdir().map_err(|source| Error::Io {
        what: "making a folder for the clone".to_owned(),
        source,
    })?;
    let repository = Repository::init_bare(store.path()).map_err(git)?;
    let mut trees = Vec::new();
    for (commit, reference) in [
        (&between.from, None),
        (&between.to, between.reference.as_ref()),
    ] {
        let fetch = Fetch {
            request: between.request.clone(),
            commit: commit.clone(),
            reference: reference.cloned(),
            path: None,
            max_bytes: between.max_bytes,
        };
        let missing = |_| fetch.missing();
        let id = Oid::from_str(commit).map_err(missing)?;
        match receive(&repository, &fetch, &url, id, pace) {
            Err(Error::CommitNotFound { .. }) if *commit == between.from => {
                return Ok(Touched::Unknown);
            }
            other => other?,
        }
        let commit = repository.find_commit(id).map_err(missing)?;
        trees.push(commit.tree().map_err(git)?);
    }
    let mut options = DiffOptions::new();
    options.skip_binary_check(true).ignore_submodules(false);
    let diff = repository
        .diff_tree_to_tree(trees.first(), trees.last(), Some(&mut options))
        .map_err(git)?;
    let paths = diff
        .deltas()
        .flat_map(|delta| [delta.old_file().path_bytes(), delta.new_file().path_bytes()])
        .flatten()
        .map(|path| String::from_utf8_lossy(path).into_owned());
    Ok(first(patterns, paths).map_or(Touched::No, Touched::Yes))
}

/// The first path that counts.
fn first(patterns: &Gitignore, mut paths: impl Iterator<Item = String>) -> Option<String> {
    paths.find(|path| {
        patterns
            .matched_path_or_any_parents(path, false)
            .is_ignore()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touched(lines: &[&str], path: &str) -> bool {
        let lines: Vec<String> = lines.iter().map(|it| (*it).to_owned()).collect();
        let patterns = patterns(&lines).expect("patterns");
        first(&patterns, [path.to_owned()].into_iter()).is_some()
    }

    #[test]
    fn the_last_pattern_that_fits_decides() {
        let cases: [(&[&str], &str, bool); 14] = [
            (&["apps/web/**"], "apps/web/index.js", true),
            (&["apps/web/**"], "apps/api/index.js", false),
            (&["apps/web/"], "apps/web/deep/er/x", true),
            (&["/go.mod"], "go.mod", true),
            (&["/go.mod"], "tools/go.mod", false),
            (&["*.go"], "cmd/main.go", true),
            (&["*.go", "!*_test.go"], "cmd/main_test.go", false),
            (&["*.go", "!*_test.go"], "cmd/main.go", true),
            (&["!docs/**"], "docs/index.md", false),
            (&["!docs/**"], "src/main.rs", true),
            (&["!*.md", "README.md"], "README.md", true),
            (&["packages/*/src/**"], "packages/ui/src/a.ts", true),
            (&["packages/*/src/**"], "packages/ui/test/a.ts", false),
            (&["# a comment", ""], "a", false),
        ];
        for (lines, path, expected) in cases {
            assert_eq!(touched(lines, path), expected, "{lines:?} {path}");
        }
        assert!(patterns(&["a{".to_owned()]).is_err());
    }
}
