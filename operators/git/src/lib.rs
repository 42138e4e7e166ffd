//! What a git repository says, and one commit of it. Everything here blocks.
//!
//! libgit2 speaks http and https, never runs a program, and takes nothing of a user's text for an
//! option. With credentials no redirect is followed, so they go to the host that they were given for
//! and nowhere else.

mod error;
mod fetch;
mod remote;

use std::time::{Duration, Instant};

use git2::{Cred, CredentialType, RemoteCallbacks, RemoteRedirect};

pub use error::Error;
pub use fetch::{Commit, Fetch, fetch};
pub use remote::{Remote, Resolved, ls_remote};

/// User and password (or token) for a host.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User. Hosts that take tokens accept any.
    pub username: String,
    /// Password or token.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// A repository and how to reach it.
#[derive(Clone, Debug)]
pub struct Request {
    /// `http://` or `https://` URL without credentials.
    pub url: String,
    /// Credentials, if it wants some.
    pub credentials: Option<Credentials>,
    /// Longest time for all of it.
    pub deadline: Duration,
}

impl Request {
    /// Refuses what is not http or https, and credentials inside the URL.
    fn check(&self) -> Result<(), Error> {
        let rest = self
            .url
            .strip_prefix("https://")
            .or_else(|| self.url.strip_prefix("http://"))
            .ok_or_else(|| Error::InvalidUrl(self.url.clone()))?;
        let host = rest.split('/').next().unwrap_or_default();
        if host.is_empty() || host.contains('@') {
            // The URL may hold a password: it is not repeated.
            return Err(Error::InvalidUrl("it".to_owned()));
        }
        Ok(())
    }

    /// Hosts redirect from http to https and from old names to new ones. With credentials no
    /// redirect is followed: libgit2 would hand them to wherever it leads.
    fn redirects(&self) -> RemoteRedirect {
        match self.credentials {
            Some(_) => RemoteRedirect::None,
            None => RemoteRedirect::Initial,
        }
    }

    /// Callbacks that answer with the credentials, once: a server that asks again refused them.
    fn callbacks<'a>(&'a self, asked: &'a mut bool) -> RemoteCallbacks<'a> {
        let mut callbacks = RemoteCallbacks::new();
        callbacks.credentials(move |_url, _user, allowed| {
            let first = !std::mem::replace(asked, true);
            match &self.credentials {
                Some(given) if first && allowed.contains(CredentialType::USER_PASS_PLAINTEXT) => {
                    Cred::userpass_plaintext(&given.username, &given.password)
                }
                Some(_) => Err(git2::Error::new(
                    git2::ErrorCode::Auth,
                    git2::ErrorClass::Http,
                    "the credentials were refused",
                )),
                None => Err(git2::Error::new(
                    git2::ErrorCode::Auth,
                    git2::ErrorClass::Http,
                    "credentials are needed",
                )),
            }
        });
        callbacks
    }
}

/// Runs `work` on a thread of its own and leaves it behind if it does not end: libgit2 has no way to
/// interrupt a connection that hangs. The kernel ends it later.
fn bounded<T: Send + 'static>(
    url: &str,
    deadline: Duration,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (send, receive) = std::sync::mpsc::sync_channel(1);
    let begun = Instant::now();
    let thread = std::thread::Builder::new()
        .name("git".to_owned())
        .spawn(move || {
            // Nobody waits any more after the deadline.
            let _late = send.send(work());
        });
    if let Err(source) = thread {
        return Err(Error::Io {
            what: "starting a thread".to_owned(),
            source,
        });
    }
    match receive.recv_timeout(deadline.saturating_sub(begun.elapsed())) {
        Ok(result) => result,
        Err(_) => Err(Error::Timeout {
            url: url.to_owned(),
            seconds: deadline.as_secs(),
        }),
    }
}
