//! Why a server does not start.

/// An error of the supervisor, in words without credentials.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The volume holds the data of another Database.
    #[error(
        "the volume holds the data of another Database ({found}): nothing was touched. Give this Database another name, or remove the claim if its data are not wanted"
    )]
    DataBelongsToAnother {
        /// Its identity, or that it has none.
        found: String,
    },
    /// There were data, and the volume is empty.
    #[error(
        "this Database had data and the volume is empty: nothing is initialised over the loss. Restore the volume, or delete the Secret with the credentials to begin anew on purpose"
    )]
    DataMissing,
    /// The data are of another major version.
    #[error(
        "the volume holds data of version {found}, and this is version {wanted}: set version back to {found}"
    )]
    MajorVersionMismatch {
        /// Of the data.
        found: String,
        /// Of the server.
        wanted: String,
    },
    /// The server needs more room than there is.
    #[error(
        "the volume of {} MiB is full, and the server cannot go on: raise storage.size. Nothing is lost ({how})",
        size >> 20
    )]
    StorageFull {
        /// Bytes of the volume.
        size: u64,
        /// What happened.
        how: String,
    },
    /// A credential has characters that cannot be.
    #[error("{0} of the credentials must be one line of text")]
    Credential(String),
    /// A program of the server failed.
    #[error("{program} ended with {outcome}: {words}")]
    Program {
        /// Which.
        program: String,
        /// How.
        outcome: String,
        /// Its last words.
        words: String,
    },
    /// The server does not answer.
    #[error("{0}")]
    NoAnswer(String),
    /// The disk or the system.
    #[error("{what}: {source}")]
    Io {
        /// What was done.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    pub(crate) fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io {
            what: what.into(),
            source,
        }
    }

    /// The reason as it stands in conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::DataBelongsToAnother { .. } => "DataBelongsToAnother",
            Self::DataMissing => "DataMissing",
            Self::MajorVersionMismatch { .. } => "MajorVersionMismatch",
            Self::StorageFull { .. } => "StorageFull",
            Self::Credential(_) => "CredentialsMissing",
            Self::Program { .. } | Self::NoAnswer(_) | Self::Io { .. } => "DatabaseNotReady",
        }
    }
}
