use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::{Name, Result, error::Doing};

/// Where caches of this machine's user are: `$XDG_CACHE_HOME/trackbed` or `~/.cache/trackbed`.
pub fn cache() -> PathBuf {
    env::var_os("XDG_CACHE_HOME")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(|| PathBuf::from("/var/cache"))
        .join("trackbed")
}

/// The repository that this program was built from.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The folders of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    root: PathBuf,
}

impl Paths {
    /// The folders of cluster `name`; none of them is made yet.
    pub fn of(name: Name) -> Self {
        Paths {
            root: cache().join("clusters").join(name.as_str()),
        }
    }

    /// Everything of this cluster.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What outlives `down`: etcd, registries, repositories, volumes, images.
    pub fn data(&self, part: &str) -> PathBuf {
        self.root.join("data").join(part)
    }

    /// Logs, one file a part.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The log of one part.
    pub fn log(&self, part: &str) -> PathBuf {
        self.logs().join(format!("{part}.log"))
    }

    /// What only this boot needs: configuration files and the daemon's identity.
    pub fn run(&self, file: &str) -> PathBuf {
        self.root.join("run").join(file)
    }

    /// Certificates and keys.
    pub fn pki(&self, file: &str) -> PathBuf {
        self.root.join("pki").join(file)
    }

    /// The administrator's kubeconfig, which works from the host.
    pub fn kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig")
    }

    /// The API server's audit log: a JSON line for each request of the operator's.
    pub fn audit_log(&self) -> PathBuf {
        self.logs().join("audit.log")
    }

    /// Users and passwords of the registry, the git server and the forge.
    pub fn credentials(&self) -> PathBuf {
        self.root.join("credentials.json")
    }

    /// Bare repositories of the git server.
    pub fn repositories(&self) -> PathBuf {
        self.data("git")
    }

    /// The key that the forge shows to ssh clients.
    pub(crate) fn forge_host_key(&self) -> PathBuf {
        self.data("forge").join("host-key")
    }

    /// The line of a `known_hosts` file about the forge.
    pub fn forge_known_hosts(&self) -> PathBuf {
        self.data("forge").join("known-hosts")
    }

    /// Makes the folders.
    pub(crate) fn create(&self) -> Result<()> {
        for folder in [
            self.logs(),
            self.root.join("run"),
            self.root.join("pki"),
            self.root.join("data"),
        ] {
            create_dir(&folder)?;
        }
        Ok(())
    }
}

pub(crate) fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).doing(|| format!("creating {}", path.display()))
}

/// Writes `path` so that nobody ever sees half of it.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    if let Some(folder) = path.parent() {
        create_dir(folder)?;
    }
    let draft = path.with_added_extension("new");
    fs::write(&draft, content)
        .and_then(|()| fs::rename(&draft, path))
        .doing(|| format!("writing {}", path.display()))
}

/// Like [`write`], for the user alone.
pub(crate) fn write_secret(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    write(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .doing(|| format!("protecting {}", path.display()))
}
