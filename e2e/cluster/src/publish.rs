use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Credentials, Error, Login, Name, Paths, Result, command::CommandExt, error::Doing,
    paths::create_dir,
};

/// A folder to be put on the cluster's git server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The folder. A git repository is pushed as it is: its HEAD, with its history.
    pub folder: PathBuf,
    /// Name of the repository there.
    pub name: String,
    /// The branch.
    pub branch: String,
    /// Whether reading it takes a user and password.
    pub private: bool,
    /// Whether content that is there already makes a new commit all the same.
    pub always: bool,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The URL that a Service names.
    pub url: String,
    /// The commit that the branch is at now.
    pub commit: String,
    /// Whether it was there before.
    pub unchanged: bool,
    /// Who may read it, where not everybody may.
    pub login: Option<Login>,
}

/// Puts a folder's content on the git server of cluster `cluster`.
///
/// # Errors
/// When the folder or the names are no good, or git fails.
pub fn publish(cluster: Name, what: &Publish) -> Result<Published> {
    check_name(&what.name, "repository")?;
    check_name(&what.branch, "branch")?;
    if !what.folder.is_dir() {
        return Err(Error::Refused(format!(
            "{} is no folder",
            what.folder.display()
        )));
    }
    let paths = Paths::of(cluster);
    let login = what
        .private
        .then(|| Credentials::read(&paths))
        .transpose()?
        .map(|credentials| credentials.git);
    let path = format!(
        "{}{}.git",
        if what.private { "private/" } else { "" },
        what.name
    );
    let repository = paths.repositories().join(&path);
    prepare(&repository, &what.branch)?;
    let branch = format!("refs/heads/{}", what.branch);
    let before = git(&repository)
        .args(["rev-parse", "--verify", "--quiet", &branch])
        .check()
        .map(|commit| commit.trim().to_owned())
        .ok();
    let commit = if what.folder.join(".git").exists() {
        push(&repository, &what.folder, &branch)?
    } else {
        commit(&repository, what, &branch, before.as_deref())?
    };
    Ok(Published {
        url: format!("http://git.trackbed-git/{path}"),
        unchanged: before.as_ref() == Some(&commit),
        commit,
        login,
    })
}

/// Names become paths and arguments: none may climb or look like a flag.
fn check_name(name: &str, what: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let good = !name.is_empty()
        && name.chars().all(allowed)
        && name
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with(['-', '.']))
        && !name.contains("..")
        && !name.ends_with(".git");
    if good {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "`{name}` is no name for a {what}: use letters, digits, `-`, `_` and `.`"
    )))
}

fn git(repository: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .arg("--git-dir")
        .arg(repository)
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE");
    command
}

fn prepare(repository: &Path, branch: &str) -> Result<()> {
    if repository.join("HEAD").exists() {
        return Ok(());
    }
    create_dir(repository)?;
    Command::new("git")
        .args(["init", "--quiet", "--bare", "--initial-branch", branch])
        .arg(repository)
        .check()?;
    // A private repository's single commits are asked for by their name.
    git(repository)
        .args(["config", "uploadpack.allowAnySHA1InWant", "true"])
        .check()?;
    Ok(())
}

fn push(repository: &Path, folder: &Path, branch: &str) -> Result<String> {
    Command::new("git")
        .args(["-c", "safe.directory=*", "push", "--quiet", "--force"])
        .arg(repository)
        .arg(format!("HEAD:{branch}"))
        .current_dir(folder)
        .check()?;
    let commit = git(repository).args(["rev-parse", branch]).check()?;
    Ok(commit.trim().to_owned())
}

fn commit(repository: &Path, what: &Publish, branch: &str, before: Option<&str>) -> Result<String> {
    // Nothing is written to the folder itself.
    let index = repository.join(format!("index-{}", std::process::id()));
    let folder =
        fs::canonicalize(&what.folder).doing(|| format!("reading {}", what.folder.display()))?;
    let tree = git(repository)
        .arg("--work-tree")
        .arg(&folder)
        .args(["add", "--all", "."])
        .current_dir(&folder)
        .env("GIT_INDEX_FILE", &index)
        .check()
        .and_then(|_| {
            git(repository)
                .arg("write-tree")
                .env("GIT_INDEX_FILE", &index)
                .check()
        });
    let _ = fs::remove_file(&index);
    let tree = tree?.trim().to_owned();
    if let Some(before) = before
        && !what.always
        && git(repository)
            .args(["rev-parse", &format!("{before}^{{tree}}")])
            .check()?
            .trim()
            == tree
    {
        return Ok(before.to_owned());
    }
    let mut command = git(repository);
    command
        .args([
            "-c",
            "user.name=trackbed",
            "-c",
            "user.email=trackbed@localhost",
        ])
        .args([
            "commit-tree",
            &tree,
            "-m",
            &format!("Publish {}", what.name),
        ]);
    if let Some(before) = before {
        command.args(["-p", before]);
    }
    let commit = command.check()?.trim().to_owned();
    git(repository)
        .args(["update-ref", branch, &commit])
        .check()?;
    Ok(commit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(folder: &Path, always: bool) -> Publish {
        Publish {
            folder: folder.to_owned(),
            name: "web".to_owned(),
            branch: "main".to_owned(),
            private: false,
            always,
        }
    }

    #[test]
    fn the_same_content_is_the_same_commit_unless_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let repository = folder.path().join("web.git");
        let source = folder.path().join("source");
        fs::create_dir(&source).unwrap();
        fs::write(source.join("a"), "one").unwrap();
        prepare(&repository, "main").unwrap();
        let put = |before: Option<&str>, always| {
            commit(
                &repository,
                &sample(&source, always),
                "refs/heads/main",
                before,
            )
            .unwrap()
        };
        let first = put(None, false);
        assert_eq!(put(Some(&first), false), first);
        let second = put(Some(&first), true);
        assert_ne!(second, first);
        let history = git(&repository)
            .args(["log", "--format=%H", "main"])
            .check()
            .unwrap();
        assert_eq!(history, format!("{second}\n{first}\n"));
    }

    #[test]
    fn the_folder_stays_as_it_is_and_what_is_ignored_stays_out() {
        let folder = tempfile::tempdir().unwrap();
        let repository = folder.path().join("web.git");
        let source = folder.path().join("source");
        fs::create_dir(&source).unwrap();
        fs::write(source.join(".gitignore"), "*.log\n").unwrap();
        fs::write(source.join("x.log"), "noise").unwrap();
        prepare(&repository, "main").unwrap();
        commit(
            &repository,
            &sample(&source, false),
            "refs/heads/main",
            None,
        )
        .unwrap();
        let files = git(&repository)
            .args(["ls-tree", "--name-only", "main"])
            .check()
            .unwrap();
        assert_eq!(files, ".gitignore\n");
        assert_eq!(fs::read_dir(&source).unwrap().count(), 2);
    }

    #[test]
    fn names_that_climb_or_look_like_flags_are_refused() {
        for name in [
            "", "-x", "../x", "a/../b", ".git", "a b", "x.git", "/x", "a\n",
        ] {
            assert!(check_name(name, "branch").is_err(), "{name:?}");
        }
        for name in ["web", "a/b", "release-1.2", "under_score"] {
            assert!(check_name(name, "branch").is_ok(), "{name:?}");
        }
    }
}
