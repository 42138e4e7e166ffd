/// Why a task failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Something about the cluster.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// Something about an image.
    #[error(transparent)]
    Image(#[from] images::Error),
    /// A file or program of this machine.
    #[error("{action}: {source}")]
    Io {
        action: String,
        source: std::io::Error,
    },
    /// What the user sees in full.
    #[error("{0}")]
    Failed(String),
}

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Says what was being done when an [`std::io::Error`] came.
pub(crate) trait Doing<T> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io {
            action: action(),
            source,
        })
    }
}
