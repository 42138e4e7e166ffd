//! What can go wrong with a repository, in sentences without credentials.

use git2::{ErrorClass, ErrorCode};

/// Why a repository could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host says that there is none.
    #[error("{0} does not exist, or its host hides it without credentials")]
    RepositoryNotFound(String),
    /// The host wants credentials and none are given.
    #[error(
        "{0} wants credentials: name a Secret of type kubernetes.io/basic-auth in source.git.secretRef"
    )]
    CredentialsNeeded(String),
    /// The host refused the credentials.
    #[error(
        "the host of {0} refused the credentials: mend the Secret that source.git.secretRef names"
    )]
    CredentialsRefused(String),
    /// The repository has no such branch or tag.
    #[error("the repository has no {wanted}{}", close(near))]
    RefNotFound {
        /// The ref, in full.
        wanted: String,
        /// Refs with similar names, or all if there are few.
        near: Vec<String>,
    },
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
    #[error("the host of {url} did not answer within {seconds} s")]
    Timeout {
        /// The repository.
        url: String,
        /// The deadline.
        seconds: u64,
    },
    /// The URL is not one that is fetched from.
    #[error("{0} is no http:// or https:// URL without credentials")]
    InvalidUrl(String),
    /// More was sent than is allowed.
    #[error("the commit is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The commit has submodules.
    #[error(
        "the commit has submodules ({0}), which are not supported: put their content into the repository"
    )]
    Submodules(String),
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

impl Error {
    /// The reason as it stands in conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::RepositoryNotFound(_) => "RepositoryNotFound",
            Self::CredentialsNeeded(_) | Self::CredentialsRefused(_) => "AuthenticationFailed",
            Self::RefNotFound { .. } | Self::Empty => "RefNotFound",
            Self::CommitNotFound { .. } => "CommitNotFound",
            Self::Unreachable { .. } | Self::Timeout { .. } => "HostUnreachable",
            Self::InvalidUrl(_) => "InvalidUrl",
            Self::TooLarge { .. } => "RepositoryTooLarge",
            Self::Submodules(_) => "InvalidBuildPlan",
            Self::Io { .. } | Self::Git { .. } => "HostUnreachable",
        }
    }

    /// What libgit2 means. `asked`: the host asked for credentials; `given`: there were some.
    pub(crate) fn of(url: &str, error: &git2::Error, asked: bool, given: bool) -> Self {
        let message = error.message().to_owned();
        let url = url.to_owned();
        let status = |code: &str| message.contains(&format!("status code: {code}"));
        if error.code() == ErrorCode::Auth || status("401") || status("403") {
            return if given {
                Self::CredentialsRefused(url)
            } else {
                Self::CredentialsNeeded(url)
            };
        }
        if status("404") || status("410") || message.contains("not found") && asked {
            return Self::RepositoryNotFound(url);
        }
        match error.class() {
            ErrorClass::Net | ErrorClass::Ssl | ErrorClass::Os | ErrorClass::Http => {
                Self::Unreachable { url, message }
            }
            _ => Self::Git { url, message },
        }
    }
}
