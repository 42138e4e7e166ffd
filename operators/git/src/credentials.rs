//! What proves who asks.

use serde::{Deserialize, Serialize};

use crate::{
    Error,
    url::{Scheme, Url},
};

/// What proves who asks. Its debug text says nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Credentials {
    /// User and password (or token) for http and https.
    Basic {
        /// User. Hosts that take tokens accept any.
        username: String,
        /// Password or token.
        password: String,
    },
    /// Key for ssh.
    Ssh {
        /// Private key, in OpenSSH's or PEM form.
        private_key: String,
        /// Passphrase of the key.
        passphrase: Option<String>,
        /// Keys of hosts, as lines of a `known_hosts` file (sshd(8)). Another host is not spoken to.
        known_hosts: String,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Credentials {
    /// Reads the keys of a Secret: `username` and `password` (`kubernetes.io/basic-auth`), a `token`
    /// alone, or `ssh-privatekey` (`kubernetes.io/ssh-auth`) with `known_hosts` and perhaps
    /// `passphrase`. `get` gives the text of a key.
    ///
    /// # Errors
    /// What the Secret lacks, to stand behind its name.
    pub fn from_keys(get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let get = |key: &str| get(key).filter(|text| !text.trim().is_empty());
        if let Some(private_key) = get("ssh-privatekey") {
            let known_hosts = get("known_hosts").ok_or_else(|| {
                "has no key known_hosts: add the lines that 'ssh-keyscan HOST' prints, after comparing them with what the host publishes".to_owned()
            })?;
            return Ok(Self::Ssh {
                private_key,
                passphrase: get("passphrase"),
                known_hosts,
            });
        }
        let password = get("password").or_else(|| get("token")).ok_or_else(|| {
            "has no key password: it must be of type kubernetes.io/basic-auth (username and password or token), or kubernetes.io/ssh-auth (ssh-privatekey and known_hosts)".to_owned()
        })?;
        Ok(Self::Basic {
            // Forges that take a token for a password do not look at the user.
            username: get("username").unwrap_or_else(|| "token".to_owned()),
            password: password.trim_end_matches(['\r', '\n']).to_owned(),
        })
    }

    /// The lines by which hosts are known, of credentials for ssh.
    pub(crate) fn known_hosts(&self) -> Option<&str> {
        match self {
            Self::Basic { .. } => None,
            Self::Ssh { known_hosts, .. } => Some(known_hosts),
        }
    }

    /// Refuses credentials of the wrong kind before anything is sent.
    ///
    /// # Errors
    /// [`Error::WrongCredentials`], and [`Error::CredentialsNeeded`] where there are none for ssh.
    pub fn check(given: Option<&Self>, url: &Url) -> Result<(), Error> {
        match (url.scheme, given) {
            (Scheme::Ssh, None) => Err(Error::CredentialsNeeded {
                url: url.as_str().to_owned(),
                kind: "kubernetes.io/ssh-auth",
            }),
            (Scheme::Ssh, Some(Self::Basic { .. })) => Err(Error::WrongCredentials(
                "an ssh repository needs a Secret of type kubernetes.io/ssh-auth, with the keys ssh-privatekey and known_hosts",
            )),
            (Scheme::Http | Scheme::Https, Some(Self::Ssh { .. })) => Err(Error::WrongCredentials(
                "an http:// or https:// repository needs a Secret of type kubernetes.io/basic-auth, with the keys username and password",
            )),
            _ => Ok(()),
        }
    }
}
