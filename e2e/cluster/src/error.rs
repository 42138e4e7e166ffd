use std::{io, path::PathBuf, process::ExitStatus};

/// Why the cluster, or a tool of it, could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program ended with something other than success.
    #[error("`{command}` failed ({status}){}", indent(output))]
    Command {
        /// The command line, as a person would type it.
        command: String,
        /// How the program ended.
        status: ExitStatus,
        /// The last lines that it printed.
        output: String,
    },
    /// The operating system refused something.
    #[error("{action}: {source}")]
    Io {
        /// What was being done, with the path or address in it.
        action: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A file of the cluster's own does not read as what it should be.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The parser's answer.
        #[source]
        source: serde_json::Error,
    },
    /// A certificate could not be made.
    #[error("making the cluster's certificates: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A password could not be hashed.
    #[error("hashing the registry's password: {0}")]
    Password(#[from] bcrypt::BcryptError),
    /// An image could not be made or read.
    #[error(transparent)]
    Image(#[from] images::Error),
    /// This machine, or the way the command was called, cannot work.
    #[error("{0}")]
    Refused(String),
    /// Something did not become ready in its time.
    #[error("{what} did not become ready within {seconds} s: {last}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long, in seconds.
        seconds: u64,
        /// What was seen last.
        last: String,
    },
}

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Says what was being done when an [`io::Error`] came.
pub(crate) trait Doing<T> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io {
            action: action(),
            source,
        })
    }
}

fn indent(output: &str) -> String {
    output
        .lines()
        .map(|line| format!("\n    {line}"))
        .collect::<String>()
}
