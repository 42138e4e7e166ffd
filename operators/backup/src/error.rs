//! What can go wrong with a backup, in sentences without credentials.

use std::io;

/// Why a backup could not be written, found, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that could lead elsewhere, or that a bucket or a folder would not take.
    #[error(
        "{what} {name:?} cannot be: a backup's name is at most 63 lower-case letters, digits and '-', and an identity at most 63 letters, digits, '-' and '_', each with a letter or digit at both ends"
    )]
    InvalidName {
        /// Of what.
        what: &'static str,
        /// The beginning of it.
        name: String,
    },
    /// What is said of the destination is wrong.
    #[error("the destination cannot be used as it is described: {0}")]
    Misconfigured(String),
    /// There is a backup of this name.
    #[error(
        "there is a backup {0} already, and it was left as it is: take this one under another name, or remove the other first"
    )]
    Exists(String),
    /// There is no such backup.
    #[error(
        "there is no backup {name} at the destination ({what}): look at which ones are listed, and whether it was removed there by somebody or by a rule of the bucket"
    )]
    Missing {
        /// Of the backup.
        name: String,
        /// What of it is not there.
        what: &'static str,
    },
    /// The backup is of another database.
    #[error(
        "the backup {name} is of another Database ({found}): it was not read. Name a backup of this Database, or say on purpose that the other's data are wanted"
    )]
    Foreign {
        /// Of the backup.
        name: String,
        /// The identity in its manifest.
        found: String,
    },
    /// The data are shorter than they were.
    #[error(
        "the data of the backup {name} are {found} bytes long and were {expected}: use another backup, and look at what happened to the destination"
    )]
    Truncated {
        /// Of the backup.
        name: String,
        /// Bytes that the manifest tells of.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// The data are not those that were written.
    #[error(
        "the data of the backup {name} are not those that were written ({why}): use another backup, and look at who or what can write to the destination"
    )]
    Tampered {
        /// Of the backup.
        name: String,
        /// How that was seen.
        why: String,
    },
    /// The data are encrypted, and nobody gave a key.
    #[error(
        "the backup {name} is encrypted and no key is given: give the line AGE-SECRET-KEY-1… that belongs to {recipient}"
    )]
    Sealed {
        /// Of the backup.
        name: String,
        /// The public half of the key.
        recipient: String,
    },
    /// The data are encrypted with a key that is not among those that are given.
    #[error(
        "the backup {name} is encrypted and no key that is given fits: add the line AGE-SECRET-KEY-1… that belongs to {recipient} below the others"
    )]
    WrongKey {
        /// Of the backup.
        name: String,
        /// The public half of the key.
        recipient: String,
    },
    /// The manifest is none.
    #[error(
        "the manifest of the backup {name} cannot be read ({why}): use another backup, and look at who or what can write to the destination"
    )]
    Unreadable {
        /// Of the backup.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The manifest is of a format of another time.
    #[error(
        "the backup {name} is in format {found}, which this version of Trackbed does not know: read it with the version that wrote it, or a later one"
    )]
    UnknownFormat {
        /// Of the backup.
        name: String,
        /// The format.
        found: u64,
    },
    /// The destination does not let us in.
    #[error(
        "{place} refuses the access ({why}): look at the credentials and what they allow (to list, read, write and delete), or on a volume at who owns the folder"
    )]
    Refused {
        /// Which destination.
        place: String,
        /// Its words.
        why: String,
    },
    /// The destination does not answer, or not with sense.
    #[error(
        "{place} cannot be used ({why}): look at whether it is there and can be reached from here, and at its address, region and certificates"
    )]
    NotReachable {
        /// Which destination.
        place: String,
        /// What happened.
        why: String,
    },
    /// There is no room.
    #[error(
        "{place} is full ({why}): make it larger, or keep fewer backups. What was written of this one is removed"
    )]
    Full {
        /// Which destination.
        place: String,
        /// Its words.
        why: String,
    },
    /// A bucket takes no object of that size.
    #[error(
        "the backup is larger than {} GiB compressed, which is the most that goes into one object of a bucket: keep its backups on a volume",
        limit >> 30
    )]
    TooLarge {
        /// Most bytes.
        limit: u64,
    },
    /// The database's side failed, not the destination's.
    #[error("what was to be backed up could not be read to its end: {0}")]
    Source(#[source] io::Error),
}

impl Error {
    /// The reason as it stands in conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidName { .. } => "InvalidBackupName",
            Self::Misconfigured(_) => "DestinationInvalid",
            Self::Exists(_) => "BackupExists",
            Self::Missing { .. } => "BackupMissing",
            Self::Foreign { .. } => "BackupForeign",
            Self::Truncated { .. } => "BackupTruncated",
            Self::Tampered { .. } => "BackupTampered",
            Self::Sealed { .. } | Self::WrongKey { .. } => "BackupKeyMissing",
            Self::Unreadable { .. } | Self::UnknownFormat { .. } => "BackupUnreadable",
            Self::Refused { .. } => "BackupRefused",
            Self::NotReachable { .. } => "DestinationUnreachable",
            Self::Full { .. } => "DestinationFull",
            Self::TooLarge { .. } => "BackupTooLarge",
            Self::Source(_) => "BackupFailed",
        }
    }

    /// The same, with the name of the database whose part of a backup it is about.
    #[must_use = "it is another error"]
    pub fn of(mut self, database: &str) -> Self {
        if let Self::Missing { name, .. }
        | Self::Foreign { name, .. }
        | Self::Truncated { name, .. }
        | Self::Tampered { name, .. }
        | Self::Sealed { name, .. }
        | Self::WrongKey { name, .. }
        | Self::Unreadable { name, .. }
        | Self::UnknownFormat { name, .. } = &mut self
        {
            *name += &format!(" of the database {database}");
        }
        self
    }

    /// That the data of a backup are not those that were written.
    pub(crate) fn tampered(name: impl Into<String>, why: &str) -> Self {
        Self::Tampered {
            name: name.into(),
            why: why.to_owned(),
        }
    }

    /// The error inside one of [`Reading`](crate::Reading), which can only speak in those of I/O.
    pub fn within(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}
