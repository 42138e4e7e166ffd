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
    /// There were data on the primary's volume, it is empty, and no other server takes over.
    #[error(
        "the volume of this server, which was the primary, is empty, and no other server takes over: the data may be on the volumes of the others. docs/redis.md says how one of them is made the primary; or restore the volume"
    )]
    NobodyTakesOver,
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
    /// Another pod works on the volume.
    #[error(
        "another pod still works on the volume: this one starts when that has ended. 'kubectl get pods' shows it, if it was not deleted by force"
    )]
    InUse,
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
    /// The SQL that a database is to begin with is not there, or does not run.
    #[error("the database does not begin: {0}. Correct the ConfigMap of init: it is tried again")]
    Init(String),
    /// What several servers are to show each other is taken by none of them.
    #[error(
        "the certificate is of no use between servers: {0}. It has to be signed by ca.crt of its Secret, for the address of the Database"
    )]
    Certificate(String),
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
    /// There are data where a backup was to be restored.
    #[error(
        "the {0} holds data already, and a backup is restored into an empty one alone: nothing was touched. Create another Database with this restore"
    )]
    DataPresent(&'static str),
    /// The backup is of a server that this one cannot read.
    #[error(
        "the backup {name} is of {found}, which {wanted} does not read: restore it into a Database of {instead}"
    )]
    Unsuited {
        /// Of the backup.
        name: String,
        /// What it is of.
        found: String,
        /// What it was to be for.
        wanted: String,
        /// What reads it.
        instead: &'static str,
    },
    /// An image has a server of another major version.
    #[error("the image has version {found} of the server, where {wanted} is wanted")]
    OtherVersion {
        /// Of the image.
        found: String,
        /// What was wanted.
        wanted: String,
    },
    /// What was loaded is not what was counted when the backup was taken.
    #[error("the backup {name} did not come back whole: {how}")]
    Differs {
        /// Of the backup.
        name: String,
        /// Which table, and its rows.
        how: String,
    },
    /// A backup needs an extension that the server cannot have.
    #[error(
        "the backup {name} needs the extension {extension}, and the server cannot have it: {why}"
    )]
    Unextended {
        /// Of the backup.
        name: String,
        /// Which one.
        extension: String,
        /// In the server's words.
        why: String,
    },
    /// Something about a backup or its destination.
    #[error(transparent)]
    Backup(#[from] trackbed_backup::Error),
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

    /// The same, with the name of the database that it is about.
    pub(crate) fn of(mut self, database: &str) -> Self {
        if let Self::Differs { name, .. } | Self::Unextended { name, .. } = &mut self {
            *name += &format!(" of the database {database}");
        }
        match self {
            Self::Backup(error) => Self::Backup(error.of(database)),
            other => other,
        }
    }

    /// Whether the same thing tried again would end like this again.
    pub fn is_lasting(&self) -> bool {
        use trackbed_backup::Error as Backup;
        match self {
            Self::DataBelongsToAnother { .. }
            | Self::DataMissing
            | Self::NobodyTakesOver
            | Self::DataPresent(_)
            | Self::MajorVersionMismatch { .. }
            | Self::Unsuited { .. }
            | Self::OtherVersion { .. }
            | Self::Differs { .. } => true,
            Self::Backup(error) => !matches!(
                error,
                Backup::NotReachable { .. } | Backup::Full { .. } | Backup::Source(_)
            ),
            Self::StorageFull { .. }
            | Self::Certificate(_)
            | Self::Credential(_)
            | Self::Init(_)
            | Self::Unextended { .. }
            | Self::Program { .. }
            | Self::NoAnswer(_)
            | Self::InUse
            | Self::Io { .. } => false,
        }
    }

    /// The reason as it stands in conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::DataBelongsToAnother { .. } => "DataBelongsToAnother",
            Self::DataMissing | Self::NobodyTakesOver => "DataMissing",
            Self::MajorVersionMismatch { .. } => "MajorVersionMismatch",
            Self::StorageFull { .. } => "StorageFull",
            Self::Certificate(_) => "SecretInvalid",
            Self::Credential(_) => "CredentialsMissing",
            Self::Init(_) => "InitFailed",
            Self::DataPresent(_) | Self::Unextended { .. } => "RestoreFailed",
            Self::Unsuited { .. } => "BackupUnreadable",
            Self::OtherVersion { .. } => "UpdateFailed",
            Self::Differs { .. } => "BackupTampered",
            Self::Backup(error) => error.reason(),
            Self::Program { .. } | Self::NoAnswer(_) | Self::InUse | Self::Io { .. } => {
                "DatabaseNotReady"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again() {
        let place = || "the bucket b".to_owned();
        let why = || "no answer".to_owned();
        let backup = |error| Error::Backup(error).is_lasting();
        assert!(!backup(trackbed_backup::Error::NotReachable {
            place: place(),
            why: why()
        }));
        assert!(backup(trackbed_backup::Error::Refused {
            place: place(),
            why: why()
        }));
        assert!(backup(trackbed_backup::Error::Truncated {
            name: "daily".to_owned(),
            expected: 2,
            found: 1
        }));
        assert!(Error::DataPresent("volume").is_lasting());
        assert!(!Error::NoAnswer(why()).is_lasting());
    }
}
