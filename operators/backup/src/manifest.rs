//! What is known of a backup. The manifest lies beside the data and appears after them.

use std::collections::BTreeMap;

use age::x25519::Recipient;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Error, Key, Part, failure::line};

/// The format of what is not encrypted.
pub const FORMAT: u32 = 1;

/// The format of what is encrypted: a version that knows the other one only refuses it by its number,
/// and does not take it for spoilt.
pub const FORMAT_ENCRYPTED: u32 = 2;

/// What these become where others belong to a backup: who does not know of them must not take it for
/// the whole.
pub(crate) const WITH_PARTS: u32 = 2;

/// The only encryption that there is.
const AGE: &str = "age";

/// Longest name or identity, as a label of Kubernetes.
const LONGEST: usize = 63;

/// What is known of a backup. It is never encrypted: whoever can read the destination sees the names
/// of tables and how many rows they have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Of this and of the data: [`FORMAT`] or [`FORMAT_ENCRYPTED`], and 2 more with parts.
    pub format: u32,
    /// The backup's name, unique among those of its identity.
    pub name: String,
    /// Which server the data are of, such as "postgres".
    pub engine: String,
    /// The server's version.
    pub version: String,
    /// Whose data they are.
    pub identity: String,
    /// The database inside the server, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The time that the data are of.
    pub taken_at: Timestamp,
    /// What the bytes are, such as "pg_dump custom" or "rdb".
    pub content: String,
    /// How the data are encrypted, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// Bytes before compression.
    pub bytes: u64,
    /// Bytes as they are stored.
    pub stored_bytes: u64,
    /// Of the bytes as they are stored, in lower-case hexadecimal.
    pub sha256: String,
    /// How many rows or keys there are, by table or database.
    #[serde(default)]
    pub counts: BTreeMap<String, u64>,
    /// What has to be created before the data by somebody who may: they do not do it themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
    /// The backups that belong to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

/// How data are encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Encryption {
    /// "age", which is what the tool of that name makes and reads.
    pub format: String,
    /// The public half of the key, `age1…`.
    pub recipient: String,
}

impl Encryption {
    pub(crate) fn with(key: &Key) -> Self {
        Self {
            format: AGE.to_owned(),
            recipient: key.recipient(),
        }
    }

    /// The recipient as errors name it: a manifest may come from anywhere.
    pub(crate) fn shown(&self) -> String {
        line(&self.recipient)
    }

    fn is_known(&self) -> bool {
        self.format == AGE && self.recipient.parse::<Recipient>().is_ok()
    }
}

/// What is read before the rest, which another format may write differently.
#[derive(Deserialize)]
struct Outline {
    format: u64,
}

impl Manifest {
    /// Reads the manifest that lies where `name` of `identity` should be.
    ///
    /// # Errors
    /// That it is none, of a later format, or of another backup.
    pub(crate) fn parse(identity: &str, name: &str, text: &[u8]) -> Result<Self, Error> {
        let unreadable = |why: &str| Error::Unreadable {
            name: name.to_owned(),
            why: line(why),
        };
        let outline: Outline =
            serde_json::from_slice(text).map_err(|error| unreadable(&error.to_string()))?;
        if !(FORMAT..=FORMAT_ENCRYPTED + WITH_PARTS)
            .map(u64::from)
            .any(|known| known == outline.format)
        {
            return Err(Error::UnknownFormat {
                name: name.to_owned(),
                found: outline.format,
            });
        }
        let manifest: Self =
            serde_json::from_slice(text).map_err(|error| unreadable(&error.to_string()))?;
        if manifest.identity != identity {
            return Err(Error::Foreign {
                name: name.to_owned(),
                found: line(&manifest.identity),
            });
        }
        if manifest.name != name {
            return Err(unreadable(&format!("it is of {}", manifest.name)));
        }
        let format = match manifest.parts.is_empty() {
            true => manifest.format,
            false => manifest.format.saturating_sub(WITH_PARTS),
        };
        match (format, &manifest.encryption) {
            (FORMAT, None) => {}
            (FORMAT_ENCRYPTED, Some(encryption)) if encryption.is_known() => {}
            (FORMAT_ENCRYPTED, Some(_)) => return Err(unreadable("its encryption is not known")),
            _ => return Err(unreadable("its format and its encryption do not fit")),
        }
        let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if manifest.sha256.len() != 64 || !manifest.sha256.bytes().all(hexadecimal) {
            return Err(unreadable("its sha256 is none"));
        }
        Ok(manifest)
    }

    /// The text that is stored. People look at it, too.
    ///
    /// # Errors
    /// None that is known of, and an empty manifest must not be one.
    pub(crate) fn text(&self) -> Result<Vec<u8>, Error> {
        let text = serde_json::to_vec_pretty(self);
        let mut text = text.map_err(|error| Error::Source(error.into()))?;
        text.push(b'\n');
        Ok(text)
    }
}

/// Whether a backup may have this name. It becomes part of a path.
///
/// # Errors
/// That it is not `[a-z0-9]([-a-z0-9]*[a-z0-9])?`, or longer than 63 characters.
pub fn check_name(name: &str) -> Result<(), Error> {
    let inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    check("the backup's name", name, inner)
}

/// Whether data may have this identity. It becomes part of a path.
///
/// # Errors
/// That it is not `[A-Za-z0-9]([-_A-Za-z0-9]*[A-Za-z0-9])?`, or longer than 63 characters. A database's
/// part of it may follow, after a dot.
pub fn check_identity(identity: &str) -> Result<(), Error> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    match identity.split_once('.') {
        Some((whole, database)) => check("the identity", whole, inner)
            .and_then(|()| check("the database", database, inner)),
        None => check("the identity", identity, inner),
    }
}

fn check(what: &'static str, name: &str, inner: fn(u8) -> bool) -> Result<(), Error> {
    let end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    let good = bytes.len() <= LONGEST
        && end(bytes.first())
        && end(bytes.last())
        && bytes.iter().copied().all(inner);
    if good {
        return Ok(());
    }
    Err(Error::InvalidName {
        what,
        name: name.chars().take(LONGEST + 1).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            name: "daily".to_owned(),
            engine: "postgres".to_owned(),
            version: "17".to_owned(),
            identity: "ours".to_owned(),
            database: Some("shop".to_owned()),
            taken_at: "2026-03-01T02:00:00Z".parse().expect("a time"),
            content: "pg_dump custom".to_owned(),
            encryption: None,
            bytes: 10,
            stored_bytes: 5,
            sha256: "a".repeat(64),
            counts: BTreeMap::from([("public.orders".to_owned(), 3)]),
            extensions: Vec::new(),
            parts: Vec::new(),
        }
    }

    #[test]
    fn a_manifest_is_json_and_reads_back() {
        let text = manifest().text().expect("JSON");
        let value: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(value["storedBytes"], 5);
        assert_eq!(value["takenAt"], "2026-03-01T02:00:00Z");
        assert_eq!(value["counts"]["public.orders"], 3);
        let read = Manifest::parse("ours", "daily", &text).expect("a manifest");
        assert_eq!(read, manifest());
    }

    #[test]
    fn what_is_no_manifest_of_this_backup_is_refused() {
        let reason = |text: &[u8]| match Manifest::parse("ours", "daily", text) {
            Ok(_) => "read",
            Err(error) => error.reason(),
        };
        let with = |change: fn(&mut Manifest)| {
            let mut manifest = manifest();
            change(&mut manifest);
            reason(&manifest.text().expect("JSON"))
        };
        assert_eq!(reason(b"\xff\x00"), "BackupUnreadable");
        assert_eq!(reason(b"{}"), "BackupUnreadable");
        assert_eq!(reason(br#"{"format": 1}"#), "BackupUnreadable");
        assert_eq!(with(|it| it.name = "weekly".to_owned()), "BackupUnreadable");
        assert_eq!(with(|it| it.sha256 = "A".repeat(64)), "BackupUnreadable");
        assert_eq!(with(|it| it.sha256 = String::new()), "BackupUnreadable");
        assert_eq!(
            with(|it| it.identity = "theirs".to_owned()),
            "BackupForeign"
        );
        assert_eq!(with(|_| ()), "read");
        let later = Manifest::parse("ours", "daily", br#"{"format": 5, "name": []}"#);
        assert!(
            matches!(later, Err(Error::UnknownFormat { found: 5, .. })),
            "{later:?}"
        );
    }

    #[test]
    fn encryption_is_told_by_a_format_of_its_own() {
        let recipient = age::x25519::Identity::generate().to_public().to_string();
        let encryption = |format: &str, recipient: &str| Encryption {
            format: format.to_owned(),
            recipient: recipient.to_owned(),
        };
        let read = |format, encryption| {
            let manifest = Manifest {
                format,
                encryption,
                ..manifest()
            };
            let text = manifest.text().expect("JSON");
            Manifest::parse("ours", "daily", &text).map_err(|error| error.reason())
        };
        let age = Some(encryption("age", &recipient));
        let found = read(FORMAT_ENCRYPTED, age.clone()).expect("a manifest");
        assert_eq!(found.encryption, age);
        for (format, encryption) in [
            (FORMAT, age),
            (FORMAT_ENCRYPTED, None),
            (FORMAT_ENCRYPTED, Some(encryption("pgp", &recipient))),
            (FORMAT_ENCRYPTED, Some(encryption("age", "age1somebody"))),
        ] {
            assert_eq!(read(format, encryption), Err("BackupUnreadable"));
        }
        // What was written before there was encryption has no word of it, as what is plain has now.
        let text = manifest().text().expect("JSON");
        assert!(!String::from_utf8_lossy(&text).contains("encryption"));
    }

    #[test]
    fn parts_are_told_by_a_format_of_their_own() {
        let read = |format, parts: &[Part]| {
            let manifest = Manifest {
                format,
                parts: parts.to_vec(),
                ..manifest()
            };
            let text = manifest.text().expect("JSON");
            let read = Manifest::parse("ours", "daily", &text);
            read.map(|it| it.parts.len()).map_err(|it| it.reason())
        };
        let part = Part::of(&manifest(), "web");
        assert_eq!(part.database, "shop");
        let no = Err("BackupUnreadable");
        assert_eq!(read(FORMAT, &[]), Ok(0));
        assert_eq!(
            read(FORMAT + WITH_PARTS, std::slice::from_ref(&part)),
            Ok(1)
        );
        assert_eq!(read(FORMAT, &[part]), no, "others would not read it all");
        assert_eq!(read(FORMAT + WITH_PARTS, &[]), no);
    }

    #[test]
    fn fields_of_a_later_version_are_passed_over() {
        let mut value = serde_json::to_value(manifest()).expect("JSON");
        value["later"] = true.into();
        let text = serde_json::to_vec(&value).expect("JSON");
        assert!(Manifest::parse("ours", "daily", &text).is_ok());
    }

    #[test]
    fn names_lead_nowhere_else() {
        let longest = "a".repeat(63);
        for good in ["a", "0", "daily-20260301-020000", &longest] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        let longer = "a".repeat(64);
        for bad in [
            "", ".", "..", "../x", "a/b", "a..b", "-a", "a-", "A", "a b", "a\n", "a\0", "ä", "a#1",
            "%2e", &longer,
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        for good in [
            "aB3xY9",
            "9b1d4a7e-0000-4000-8000-000000000000",
            "a_b",
            "a.b_c",
        ] {
            assert!(check_identity(good).is_ok(), "{good}");
        }
        for bad in [
            "", "..", "a/b", "_a", "a.", ".a", "a..b", "a.b.c", "a./b", &longer,
        ] {
            assert!(check_identity(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bad_name_is_told_by_its_beginning() {
        let error = check_name(&"\n".repeat(9000)).expect_err("refused");
        assert!(error.to_string().len() < 500, "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}
