//! Runs programs in a root file system on disk, as a container would.

use std::{path::PathBuf, process::Command};

use crate::{Result, command::check, oci::Settings};

/// Mounts what a root file system needs, in a mount namespace that ends with the program.
/// The arguments: the root, pairs of folders to bind, `--`, and what `chroot` gets.
const ENTER: &str = r#"
set -eu
root=$1
shift
ip link set lo up 2>/dev/null || true
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do
    mount --bind "$1" "$root$2"
    shift 2
done
shift
exec chroot "$@"
"#;

/// A root file system, and how programs run in it.
///
/// Programs get a mount and process namespace of their own, so that nothing of them is
/// left, and no environment but the one that is given. Needs root.
#[derive(Debug, Clone)]
#[must_use = "nothing happens before `run`"]
pub struct Sandbox {
    root: PathBuf,
    user: Option<String>,
    workdir: String,
    env: Vec<(String, String)>,
    binds: Vec<(PathBuf, String)>,
    network: bool,
}

impl Sandbox {
    /// The root file system in `root`, whose programs run as root.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Sandbox {
            root: root.into(),
            user: None,
            workdir: "/".to_owned(),
            env: Vec::new(),
            binds: Vec::new(),
            network: false,
        }
    }

    /// The root file system in `root` with the environment, working folder and user of
    /// an image; a user that is given by name alone is looked up in the root.
    pub fn of_image(root: impl Into<PathBuf>, settings: &Settings) -> Self {
        let mut sandbox = Sandbox::new(root);
        if !settings.user.is_empty() {
            sandbox.user = Some(settings.user.clone());
        }
        if !settings.working_dir.is_empty() {
            sandbox.workdir.clone_from(&settings.working_dir);
        }
        for line in &settings.env {
            if let Some((name, value)) = line.split_once('=') {
                sandbox.env.push((name.to_owned(), value.to_owned()));
            }
        }
        sandbox
    }

    /// Runs as this `user` or `user:group`.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Starts programs here; in `/` where the root has no shell.
    pub fn workdir(mut self, path: impl Into<String>) -> Self {
        self.workdir = path.into();
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Shows the folder `host` as `path`, which must be a folder of the root.
    pub fn bind(mut self, host: impl Into<PathBuf>, path: impl Into<String>) -> Self {
        self.binds.push((host.into(), path.into()));
        self
    }

    /// Lets programs use the machine's network; otherwise they have a loopback of their own.
    pub fn with_network(mut self) -> Self {
        self.network = true;
        self
    }

    /// Runs a program and gives what it printed to its output.
    ///
    /// # Errors
    /// When it cannot be started or ends without success.
    pub fn run<W: AsRef<str>>(&self, words: impl IntoIterator<Item = W>) -> Result<String> {
        let mut command = self.enter();
        for word in words {
            command.arg(word.as_ref());
        }
        check(&mut command)
    }

    /// Runs a shell script and gives what it printed to its output.
    ///
    /// # Errors
    /// When it cannot be started or ends without success.
    pub fn script(&self, script: &str) -> Result<String> {
        self.run(["/bin/sh", "-c", script])
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--fork", "--kill-child"])
            .args(["--propagation", "private"]);
        if !self.network {
            command.arg("--net");
        }
        command.args(["sh", "-c", ENTER, "sandbox"]).arg(&self.root);
        for (host, path) in &self.binds {
            command.arg(host).arg(path);
        }
        command.arg("--");
        if let Some(user) = &self.user {
            let group = if user.contains(':') { "" } else { ":" };
            command.arg(format!("--userspec={user}{group}"));
        }
        command.arg(&self.root);
        if self.workdir != "/" && self.root.join("bin/sh").exists() {
            // The shell of the root changes the folder: `chroot` itself only knows `/`.
            command.args(["/bin/sh", "-c", "cd \"$0\" && exec \"$@\""]);
            command.arg(&self.workdir);
        }
        command.env_clear();
        // For the tools outside; a root has its own or the same.
        command.env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        command.env("HOME", "/root");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}
