//! Which repository, as whom, and for how long.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use git2::{
    CertificateCheckStatus, Cred, CredentialType, ProxyOptions, RemoteCallbacks, RemoteRedirect,
};
use serde::{Deserialize, Serialize};

use crate::{
    Credentials, Error,
    guard::Guard,
    known_hosts::{Verdict, judge, kinds},
    url::{Scheme, Url},
};

/// A repository and how to reach it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// URL without password, see [`Url::parse`].
    pub url: String,
    /// Credentials, if it wants some.
    pub credentials: Option<Credentials>,
    /// Longest time for all of it.
    pub deadline: Duration,
}

/// What the callbacks saw, for the error that libgit2 makes of it.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The host asked for credentials.
    asked: bool,
    /// The key was not one that it could use, the host was not the right one, or not reached.
    refused: Option<Error>,
}

/// How libgit2 gets to a repository, to be kept as long as it is there.
pub(crate) struct Way {
    /// The URL that it asks.
    pub(crate) url: String,
    /// The proxy that it asks.
    pub(crate) proxy: ProxyOptions<'static>,
    _guard: Option<Guard>,
}

/// Shared with callbacks, which outlive a borrow.
pub(crate) type Witness = Arc<Mutex<Seen>>;

impl Request {
    /// Reads the URL and looks whether the credentials suit it.
    pub(crate) fn check(&self) -> Result<Url, Error> {
        let url = Url::parse(&self.url)?;
        Credentials::check(self.credentials.as_ref(), &url)?;
        Ok(url)
    }

    /// Hosts redirect from http to https and from old names to new ones. With credentials none is
    /// followed to another place: libgit2 would hand them to wherever it leads.
    pub(crate) fn redirects(&self) -> RemoteRedirect {
        match self.credentials {
            Some(_) => RemoteRedirect::None,
            None => RemoteRedirect::Initial,
        }
    }

    /// How libgit2 gets there: by the proxy that the process's variables (`HTTPS_PROXY`,
    /// `NO_PROXY`, …) name, or with credentials through a guard.
    pub(crate) fn way(&self, url: &Url, witness: &Witness) -> Result<Way, Error> {
        let mut proxy = ProxyOptions::new();
        if !matches!(self.credentials, Some(Credentials::Basic { .. })) {
            proxy.auto();
            return Ok(Way {
                url: self.url.clone(),
                proxy,
                _guard: None,
            });
        }
        let seen = witness.clone();
        let guard = Guard::open(url, move |why| {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.refused.get_or_insert(why);
        });
        let guard = guard.map_err(|source| Error::Io {
            what: "opening the way to the repository".to_owned(),
            source,
        })?;
        let address = match url.scheme {
            Scheme::Http => format!("{}/{}", guard.origin(), url.path()),
            Scheme::Https | Scheme::Ssh => {
                proxy.url(&guard.origin());
                self.url.clone()
            }
        };
        Ok(Way {
            url: address,
            proxy,
            _guard: Some(guard),
        })
    }

    /// Callbacks that answer with the credentials, once: a server that asks again refused them.
    pub(crate) fn callbacks(&self, url: &Url, witness: &Witness) -> RemoteCallbacks<'static> {
        let mut callbacks = RemoteCallbacks::new();
        let (given, place, seen) = (self.credentials.clone(), url.clone(), witness.clone());
        callbacks.credentials(move |_url, user, allowed| {
            // Over ssh the user is asked for first.
            if allowed.contains(CredentialType::USERNAME) {
                return Cred::username(place.user.as_deref().unwrap_or("git"));
            }
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let first = !std::mem::replace(&mut seen.asked, true);
            match &given {
                Some(Credentials::Basic { username, password })
                    if first && allowed.contains(CredentialType::USER_PASS_PLAINTEXT) =>
                {
                    Cred::userpass_plaintext(username, password)
                }
                Some(Credentials::Ssh {
                    private_key,
                    passphrase,
                    ..
                }) if first && allowed.contains(CredentialType::SSH_MEMORY) => {
                    let user = user.or(place.user.as_deref()).unwrap_or("git");
                    Cred::ssh_key_from_memory(user, None, private_key, passphrase.as_deref())
                }
                Some(_) => Err(denied("the credentials were refused")),
                None => Err(denied("credentials are needed")),
            }
        });
        let (given, place, seen) = (self.credentials.clone(), url.clone(), witness.clone());
        callbacks.certificate_check(move |certificate, _host| {
            let Some(host_key) = certificate.as_hostkey() else {
                return Ok(CertificateCheckStatus::CertificatePassthrough);
            };
            let lines = given.as_ref().and_then(Credentials::known_hosts);
            let lines = lines.unwrap_or_default();
            let kind = host_key
                .hostkey_type()
                .map_or("unknown", |kind| kind.name());
            let key = host_key.hostkey().unwrap_or_default();
            match complaint(&place, kind, &judge(lines, &place.host, place.port, key)) {
                None => Ok(CertificateCheckStatus::CertificateOk),
                Some(words) => {
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.refused = Some(Error::HostKey(words));
                    Err(denied("the host's key is not the one that it should be"))
                }
            }
        });
        callbacks
    }

    /// What an error of libgit2 means, with what the callbacks saw.
    pub(crate) fn error(&self, error: &git2::Error, witness: &Witness) -> Error {
        let mut seen = witness.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(refused) = seen.refused.take() {
            return refused;
        }
        if let Some(lines) = self.credentials.as_ref().and_then(Credentials::known_hosts)
            && error
                .message()
                .contains("Unable to exchange encryption keys")
            && let Ok(url) = Url::parse(&self.url)
        {
            let kinds = kinds(lines, &url.host, url.port);
            if !kinds.is_empty() {
                return Error::HostKey(format!(
                    "{} shows no host key of a kind that known_hosts has ({}): add the lines that 'ssh-keyscan' prints, after comparing them with what the host publishes",
                    place(&url),
                    kinds.join(", ")
                ));
            }
        }
        // Its words for a key that is none, or whose passphrase is wrong.
        let key = [
            "Unable to extract public key",
            "Unable to open private key",
            "Wrong passphrase",
        ];
        if key.iter().any(|words| error.message().contains(words)) {
            return Error::KeyInvalid(
                "it must be an unencrypted private key in OpenSSH or PEM form, or come with its passphrase in the key passphrase".to_owned(),
            );
        }
        Error::of(&self.url, error, seen.asked, self.credentials.is_some())
    }
}

fn denied(words: &str) -> git2::Error {
    git2::Error::new(git2::ErrorCode::Auth, git2::ErrorClass::Callback, words)
}

/// A host as `known_hosts` names it.
fn place(url: &Url) -> String {
    match url.port {
        22 => url.host.clone(),
        port => format!("[{}]:{port}", url.host),
    }
}

fn complaint(url: &Url, kind: &str, verdict: &Verdict) -> Option<String> {
    let host = place(url);
    match verdict {
        Verdict::Known => None,
        Verdict::Unknown => Some(format!(
            "the key known_hosts of the repository's Secret has no line for {host}: add those that 'ssh-keyscan' prints, after comparing them with what the host publishes"
        )),
        Verdict::Revoked => Some(format!(
            "the key that {host} shows is marked as revoked in known_hosts"
        )),
        Verdict::Changed(kinds) => Some(format!(
            "{host} shows a host key ({kind}) that is not among those of known_hosts ({}): either known_hosts lacks a line of that kind, or this is another host than it should be",
            kinds.join(", ")
        )),
    }
}
