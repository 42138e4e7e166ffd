//! What the errors of stores mean.

use std::{error::Error as StdError, io};

use object_store::Error as StoreError;

use crate::Error;

/// Longest text of a reason, in characters.
const LONGEST: usize = 200;

/// Codes of S3 for credentials, where the status does not say it.
const CREDENTIALS: &[&str] = &["<Code>ExpiredToken<", "<Code>InvalidToken<"];

/// Codes of S3 servers, and a status, for no room. Amazon's has room always; others' have disks.
const FULL: &[&str] = &[
    "507 Insufficient Storage",
    "<Code>XMinioStorageFull<",
    "<Code>QuotaExceeded<",
    "<Code>XMinioAdminBucketQuotaExceeded<",
];

/// Which destination, as errors name it, and what they must never repeat.
#[derive(Clone, Default)]
pub(crate) struct Label {
    /// "the folder /backups".
    pub(crate) place: String,
    /// Keys of a bucket. Some servers repeat them in what they answer.
    pub(crate) hidden: Vec<String>,
}

impl Label {
    /// What an error of the store means, except where it matters that an object is not there.
    pub(crate) fn explain(&self, error: &StoreError) -> Error {
        let place = self.place.clone();
        let why = self.words(error);
        let text = innermost(error).to_string();
        let says = |codes: &[&str]| codes.iter().any(|code| text.contains(code));
        match (error, io_kind(error)) {
            (_, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) => {
                Error::Full { place, why }
            }
            (StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. }, _)
            | (_, Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)) => {
                Error::Refused { place, why }
            }
            _ if says(CREDENTIALS) => Error::Refused { place, why },
            _ if says(FULL) => Error::Full { place, why },
            _ => Error::NotReachable { place, why },
        }
    }

    /// What an error of the volume means.
    pub(crate) fn explain_io(&self, source: io::Error) -> Error {
        let store = "volume";
        let source = Box::new(source);
        self.explain(&StoreError::Generic { store, source })
    }

    /// The innermost reason in one line, of XML only the code and the message, without keys.
    fn words(&self, error: &StoreError) -> String {
        let text = innermost(error).to_string();
        let mut words = match text.split_once('<') {
            Some((before, _)) => {
                let parts = [element(&text, "Code"), element(&text, "Message")];
                let parts: Vec<&str> = parts.into_iter().flatten().collect();
                format!("{} {}", before.trim(), parts.join(", "))
            }
            None => text,
        };
        for key in &self.hidden {
            words = words.replace(key.as_str(), "…");
        }
        line(words.trim().trim_end_matches(':'))
    }
}

/// Whether an object is not there, rather than the whole bucket.
pub(crate) fn is_absent(error: &StoreError) -> bool {
    let bucket = || innermost(error).to_string().contains("NoSuchBucket");
    matches!(error, StoreError::NotFound { .. }) && !bucket()
}

/// A text of others in one line, of a length that fits into a message.
pub(crate) fn line(text: &str) -> String {
    let line = text.replace(char::is_control, " ");
    line.chars().take(LONGEST).collect()
}

fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once('<').map(|(inside, _)| inside)
}

pub(crate) fn innermost<'a>(error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    let mut inner = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner
}

fn io_kind(error: &StoreError) -> Option<io::ErrorKind> {
    let mut at: Option<&dyn StdError> = Some(error);
    while let Some(error) = at {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        at = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label() -> Label {
        Label {
            place: "the bucket b".to_owned(),
            hidden: vec!["AKIAKEY".to_owned()],
        }
    }

    fn generic(text: &str) -> StoreError {
        StoreError::Generic {
            store: "S3",
            source: text.into(),
        }
    }

    #[test]
    fn every_failure_has_its_reason() {
        let text = || {
            "Server returned non-2xx status code: 403 Forbidden: <?xml?><Error><Code>InvalidAccessKeyId</Code><Message>No such key: AKIAKEY</Message></Error>".into()
        };
        let path = String::new;
        let io = |kind| StoreError::Generic {
            store: "LocalFileSystem",
            source: Box::new(io::Error::from(kind)),
        };
        let denied = StoreError::PermissionDenied {
            path: path(),
            source: text(),
        };
        let unknown = StoreError::Unauthenticated {
            path: path(),
            source: text(),
        };
        let bucket = StoreError::NotFound {
            path: path(),
            source: "404 Not Found: <Code>NoSuchBucket</Code>".into(),
        };
        for (error, reason) in [
            (denied, "BackupRefused"),
            (unknown, "BackupRefused"),
            (
                generic("400 Bad Request: <Code>ExpiredToken</Code>"),
                "BackupRefused",
            ),
            (io(io::ErrorKind::PermissionDenied), "BackupRefused"),
            (io(io::ErrorKind::StorageFull), "DestinationFull"),
            (io(io::ErrorKind::QuotaExceeded), "DestinationFull"),
            (
                generic("507 Insufficient Storage: <Code>X</Code>"),
                "DestinationFull",
            ),
            (generic("connection refused"), "DestinationUnreachable"),
            (io(io::ErrorKind::NotADirectory), "DestinationUnreachable"),
            (bucket, "DestinationUnreachable"),
        ] {
            assert_eq!(label().explain(&error).reason(), reason, "{error}");
        }
    }

    #[test]
    fn answers_are_repeated_in_one_line_and_without_keys() {
        let error = generic(
            "status code: 403 Forbidden: <Error><Code>AccessDenied</Code><Message>No such\nkey: AKIAKEY</Message><StringToSign>long</StringToSign></Error>",
        );
        let words = label().words(&error);
        assert_eq!(
            words,
            "status code: 403 Forbidden: AccessDenied, No such key: …"
        );
        assert_eq!(label().words(&generic("timed out")), "timed out");
        assert_eq!(label().words(&generic(&"x".repeat(900))).len(), LONGEST);
    }

    #[test]
    fn a_bucket_that_is_not_there_is_no_absent_backup() {
        let absent = |text: &str| {
            is_absent(&StoreError::NotFound {
                path: String::new(),
                source: text.into(),
            })
        };
        assert!(absent("404: <Code>NoSuchKey</Code>"));
        assert!(!absent("404: <Code>NoSuchBucket</Code>"));
        assert!(!is_absent(&generic("no")));
    }
}
