use std::{io, path::PathBuf, process::ExitStatus};

/// Why an image could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused something.
    #[error("{action}: {source}")]
    Io {
        /// What was being done, with the path in it.
        action: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A document of a layout does not read as what it should be.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The parser's answer.
        #[source]
        source: serde_json::Error,
    },
    /// A folder is no image layout that this crate can read.
    #[error("{}: {problem}", path.display())]
    Layout {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Something cannot be put into an image as it is.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The path in the image, or on this machine.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
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
    /// This machine cannot make the image.
    #[error("{0}")]
    Refused(String),
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
