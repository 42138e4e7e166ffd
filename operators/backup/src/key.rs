//! What backups are encrypted with.

use std::fmt;

use age::x25519::{Identity, Recipient};

use crate::Error;

/// Keys of the tool `age`. What is written is encrypted for the first one; each of them reads what
/// was encrypted for it.
///
/// Whoever can read the destination learns nothing of the data without a key. Whoever can write to it
/// can still put other data there, encrypted or plain: a key does not say who wrote.
#[derive(Clone)]
pub struct Key {
    first: Identity,
    others: Vec<Identity>,
}

impl Key {
    /// Reads keys as `age-keygen` writes them: lines of `AGE-SECRET-KEY-1…`, among empty ones and
    /// comments that begin with `#`. A key is replaced by a new line above it: older backups stay
    /// readable as long as the old line is there.
    ///
    /// # Errors
    /// [`Error::Misconfigured`] without any key, and for a line that is none. The line is not
    /// repeated.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut keys = Vec::new();
        for (place, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            keys.push(line.parse().map_err(|_| wrong(place + 1, line))?);
        }
        let mut keys = keys.into_iter();
        let first = keys.next().ok_or_else(|| {
            Error::Misconfigured(
                "the key of backups is empty: write a line AGE-SECRET-KEY-1… into it, as age-keygen makes it"
                    .to_owned(),
            )
        })?;
        Ok(Self {
            first,
            others: keys.collect(),
        })
    }

    /// The public half of the first key, `age1…`: what backups are encrypted for.
    pub fn recipient(&self) -> String {
        self.first.to_public().to_string()
    }

    pub(crate) fn public(&self) -> Recipient {
        self.first.to_public()
    }

    /// Whether one of the keys is that of a recipient.
    pub(crate) fn fits(&self, recipient: &str) -> bool {
        self.all().any(|it| it.to_public().to_string() == recipient)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Identity> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// What is wrong with a line.
fn wrong(number: usize, line: &str) -> Error {
    let what = match line.parse::<Recipient>() {
        Ok(_) => "is the public half of a key",
        Err(_) => "is no key",
    };
    Error::Misconfigured(format!(
        "line {number} of the key of backups {what}: write AGE-SECRET-KEY-1… there, as age-keygen makes it without -pq"
    ))
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.recipient())
    }
}

#[cfg(test)]
mod tests {
    use age::secrecy::ExposeSecret;

    use super::*;

    fn made() -> (String, String) {
        let identity = Identity::generate();
        let secret = identity.to_string().expose_secret().to_owned();
        (secret, identity.to_public().to_string())
    }

    fn refused(text: &str) -> String {
        let error = Key::parse(text).expect_err("refused");
        assert_eq!(error.reason(), "DestinationInvalid");
        error.to_string()
    }

    #[test]
    fn a_file_of_keys_is_read_and_its_first_one_counts() {
        let ((new, recipient), (old, older)) = (made(), made());
        let text = format!("# public key: {recipient}\r\n\n {new}\r\n# the old one\n{old}");
        let key = Key::parse(&text).expect("keys");
        assert_eq!(key.recipient(), recipient);
        let all = key.all().map(|it| it.to_public().to_string());
        assert_eq!(all.collect::<Vec<_>>(), [recipient, older]);
        assert!(Key::parse(&new).is_ok());
    }

    #[test]
    fn what_is_no_key_is_told_by_its_line_and_not_repeated() {
        let (secret, recipient) = made();
        for empty in ["", "\n", "# nothing\n"] {
            assert!(refused(empty).contains("AGE-SECRET-KEY-1"), "{empty:?}");
        }
        let short = &secret[..secret.len() - 1];
        let quantum = secret.replace("KEY-1", "KEY-PQ-1");
        for bad in [short, &quantum, "hunter2", "key: hunter2"] {
            let message = refused(&format!("# one\n{secret}\n{bad}\n"));
            assert!(message.contains("line 3 "), "{message}");
            assert!(message.contains("AGE-SECRET-KEY-1…"), "{message}");
            assert!(!message.contains(&secret[..20]), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
        let message = refused(&recipient);
        assert!(message.contains("public half"), "{message}");
        assert!(!message.contains(&recipient), "{message}");
    }

    #[test]
    fn keys_are_never_shown() {
        let ((new, recipient), (old, _)) = (made(), made());
        let key = Key::parse(&format!("{new}\n{old}")).expect("keys");
        assert_eq!(format!("{key:?}"), format!("Key({recipient})"));
    }
}
