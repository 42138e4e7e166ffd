//! Code on the cluster's git server.

use std::{fs, path::Path, process::Command};

use crate::Cluster;

/// User and password of a private repository.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// User.
    pub username: String,
    /// Password.
    pub password: String,
}

impl Credentials {
    /// Those that the git server of the tests wants for `/private/`.
    ///
    /// # Panics
    /// If the environment does not tell them.
    pub fn of_the_git_server() -> Self {
        let login = std::env::var("TRACKBED_E2E_GIT_LOGIN")
            .expect("TRACKBED_E2E_GIT_LOGIN is user:password; 'cargo xtask e2e' sets it");
        let (username, password) = login.split_once(':').expect("user:password");
        Self {
            username: username.to_owned(),
            password: password.to_owned(),
        }
    }
}

impl Cluster {
    /// URL of a repository for a Service.
    pub fn git_url(&self, name: &str) -> String {
        format!("http://git.trackbed-git/{name}.git")
    }

    /// Pushes files as the next commit of `main`, and gives the commit.
    ///
    /// # Panics
    /// If git fails.
    #[track_caller]
    pub fn publish(&self, name: &str, files: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, content) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
            fs::write(path, content).expect("a file");
        }
        self.push(name, folder.path(), "main")
    }

    /// Pushes a folder's content as the next commit of a branch, and gives the commit.
    ///
    /// # Panics
    /// If git fails.
    #[track_caller]
    pub fn push(&self, name: &str, folder: &Path, branch: &str) -> String {
        let remote = self.remote(name);
        let work = tempfile::tempdir().expect("a folder");
        git(
            work.path(),
            &["init", "--quiet", "--initial-branch", branch],
        );
        let fetched = Command::new("git")
            .current_dir(work.path())
            .args(["fetch", "--quiet", &remote, branch])
            .output()
            .expect("git starts");
        if fetched.status.success() {
            git(work.path(), &["reset", "--quiet", "--soft", "FETCH_HEAD"]);
        }
        let tree = format!("--work-tree={}", folder.display());
        git(work.path(), &[&tree, "add", "--all", "--force"]);
        let author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
        let commit = ["commit", "--quiet", "--allow-empty", "-m", "A change"];
        git(work.path(), &[&author[..], &[&tree], &commit].concat());
        git(
            work.path(),
            &[
                "push",
                "--quiet",
                &remote,
                &format!("HEAD:refs/heads/{branch}"),
            ],
        );
        git(work.path(), &["rev-parse", "HEAD"]).trim().to_owned()
    }

    fn remote(&self, name: &str) -> String {
        let login = match name.strip_prefix("private/") {
            Some(_) => {
                let Credentials { username, password } = Credentials::of_the_git_server();
                format!("{username}:{password}@")
            }
            None => String::new(),
        };
        format!("http://{login}{}:3000/{name}.git", self.node)
    }
}

#[track_caller]
fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("git starts");
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
