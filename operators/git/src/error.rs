//! What can go wrong with a repository, in sentences without credentials.

use git2::{ErrorClass, ErrorCode};

/// Why a repository could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host says that there is none.
    #[error("{0} does not exist, or its host hides it without credentials")]
    RepositoryNotFound(String),
    /// The host wants credentials and none are given.
    #[error("{url} wants credentials: name a Secret of type {kind} in source.git.secretRef")]
    CredentialsNeeded {
        /// The repository.
        url: String,
        /// Type of the Secret that would do.
        kind: &'static str,
    },
    /// The host refused the credentials.
    #[error(
        "the host of {0} refused the credentials: mend the Secret that source.git.secretRef names"
    )]
    CredentialsRefused(String),
    /// The credentials are not of a kind that the URL takes.
    #[error("{0}")]
    WrongCredentials(&'static str),
    /// The key of the Secret is no key.
    #[error("the key ssh-privatekey of the repository's Secret cannot be used: {0}")]
    KeyInvalid(String),
    /// The ssh host is not, or may not be, the one that it should be.
    #[error("{0}")]
    HostKey(String),
    /// The host sends somewhere else.
    #[error(
        "the host of {0} redirects to another address, where credentials are not taken along: write the address that it redirects to (often the same with .git at its end, or https instead of http)"
    )]
    Redirected(String),
    /// The repository has no such branch or tag.
    #[error("the repository has no {wanted}{}", close(near))]
    RefNotFound {
        /// The ref, in full.
        wanted: String,
        /// Refs with similar names, or all if there are few.
        near: Vec<String>,
    },
    /// A pattern of paths is none.
    #[error(
        "source.git.watchPaths: {0}: write patterns as .gitignore takes them, like 'apps/web/**'"
    )]
    Pattern(String),
    /// The repository has no commit at all.
    #[error("the repository is empty: push a first commit")]
    Empty,
    /// The server does not hand out the commit.
    #[error("{url} has no commit {commit}, or its server does not hand it out")]
    CommitNotFound {
        /// The repository.
        url: String,
        /// The commit.
        commit: String,
    },
    /// The host does not answer.
    #[error("the host of {url} cannot be reached: {message}")]
    Unreachable {
        /// The repository.
        url: String,
        /// libgit2's words.
        message: String,
    },
    /// The host did not answer in time.
    #[error("the host of {url} did not send the repository within {seconds} s")]
    Timeout {
        /// The repository.
        url: String,
        /// The deadline.
        seconds: u64,
    },
    /// The URL is not one that is fetched from.
    #[error(
        "{0} is no https://, http:// or ssh:// URL without password and query: check it, host and port too"
    )]
    InvalidUrl(String),
    /// More was sent than is allowed.
    #[error("the commit needs more than {}: remove large files, or ask the platform's administrators for a higher build.repositoryLimit", size(*limit))]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// A file, or the number of files, is more than can be written.
    #[error("{0}")]
    TooMuch(String),
    /// A submodule cannot be fetched.
    #[error("submodule {path}: {source}")]
    Submodule {
        /// Its folder.
        path: String,
        /// Why not.
        source: Box<Error>,
    },
    /// What the commit says of its submodules cannot be used.
    #[error("{0}")]
    Submodules(String),
    /// The commit has files that are kept by Git LFS.
    #[error(
        "the files {0} are kept by Git LFS, which is not supported: put them into the repository itself, or fetch them in build.command"
    )]
    Lfs(String),
    /// The disk.
    #[error("{what}: {source}")]
    Io {
        /// What was done.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// Anything else that libgit2 says.
    #[error("{url}: {message}")]
    Git {
        /// The repository.
        url: String,
        /// libgit2's words.
        message: String,
    },
}

fn close(near: &[String]) -> String {
    if near.is_empty() {
        return String::new();
    }
    format!("; it has {}", near.join(", "))
}

fn size(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{bytes} bytes"),
        mib => format!("{mib} MiB"),
    }
}

impl Error {
    /// The reason as it stands in conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::RepositoryNotFound(_) => "RepositoryNotFound",
            Self::CredentialsNeeded { .. } | Self::CredentialsRefused(_) => "AuthenticationFailed",
            Self::WrongCredentials(_) | Self::KeyInvalid(_) => "SecretInvalid",
            Self::HostKey(_) => "HostKeyMismatch",
            Self::Redirected(_) => "RedirectRefused",
            Self::RefNotFound { .. } | Self::Empty => "RefNotFound",
            Self::Pattern(_) => "InvalidBuildPlan",
            Self::CommitNotFound { .. } => "CommitNotFound",
            Self::Timeout { .. } => "SourceTimeout",
            Self::InvalidUrl(_) => "InvalidUrl",
            Self::TooLarge { .. } | Self::TooMuch(_) => "RepositoryTooLarge",
            Self::Submodule { source, .. } => source.reason(),
            Self::Submodules(_) => "SubmoduleInvalid",
            Self::Lfs(_) => "LfsNotSupported",
            Self::Unreachable { .. } | Self::Io { .. } | Self::Git { .. } => "HostUnreachable",
        }
    }

    /// Whether another way of asking could do better.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(
            self,
            Self::Git { .. }
                | Self::Io { .. }
                | Self::CommitNotFound { .. }
                | Self::RefNotFound { .. }
        )
    }

    /// What libgit2 means. `asked`: the host asked for credentials; `given`: there were some.
    pub(crate) fn of(url: &str, error: &git2::Error, asked: bool, given: bool) -> Self {
        let message = error.message().to_owned();
        let url = url.to_owned();
        let status = |code: &str| message.contains(&format!("status code: {code}"));
        if message.contains("redirect") {
            return Self::Redirected(url);
        }
        if error.class() == ErrorClass::Ssh && message.contains("authenticat")
            || error.code() == ErrorCode::Auth
            || status("401")
            || status("403")
        {
            let missing = Self::CredentialsNeeded {
                url: url.clone(),
                kind: "kubernetes.io/basic-auth",
            };
            return if given {
                Self::CredentialsRefused(url)
            } else {
                missing
            };
        }
        // Forges answer over ssh in words of their own.
        let lower = message.to_lowercase();
        let absent = ["not found", "does not exist", "cannot find repository"];
        let ssh =
            error.class() == ErrorClass::Ssh || url.starts_with("ssh:") || !url.contains("://");
        if status("404")
            || status("410")
            || absent.iter().any(|it| lower.contains(it)) && (asked || ssh)
        {
            return Self::RepositoryNotFound(url);
        }
        // A server's refusal of what was asked for, where libgit2 expects something else.
        let refused = ["unexpected packet type", "not our ref"];
        if refused.iter().any(|it| lower.contains(it)) {
            return Self::Git { url, message };
        }
        match error.class() {
            ErrorClass::Net
            | ErrorClass::Ssl
            | ErrorClass::Os
            | ErrorClass::Http
            | ErrorClass::Ssh => Self::Unreachable { url, message },
            _ => Self::Git { url, message },
        }
    }
}
