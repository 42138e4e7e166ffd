//! What can go wrong between a plan and the API server, in three classes.

use trackbed_api::reason::Reason;

/// Who has to do something about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nobody: it passes. Tried again with back-off.
    Transient,
    /// The user: nothing more happens until something is changed.
    User,
    /// Trackbed's developers.
    Bug,
}

/// An error of a reconcile.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused a request, or could not be reached.
    #[error("{what}: {}", words(source))]
    Api {
        /// What was being done, like `apply Service shop/web`.
        what: String,
        /// The client's error.
        #[source]
        source: kube::Error,
    },
    /// An object of the wanted name belongs to somebody else.
    #[error(
        "{kind} {name} exists and is not Trackbed's: rename or remove it, or rename this object"
    )]
    NameConflict {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
    },
    /// What the object asks for cannot be done.
    #[error("{message}")]
    Refused {
        /// The reason for status.
        reason: Reason,
        /// A sentence that says what to do.
        message: String,
    },
    /// Something passes by itself.
    #[error("{0}")]
    Transient(String),
    /// An object cannot be written as JSON.
    #[error("serialise {what}: {source}")]
    Serialise {
        /// Which object.
        what: String,
        /// The serialiser's error.
        #[source]
        source: serde_json::Error,
    },
    /// A reconcile did not end within its deadline.
    #[error("the reconcile did not end within {0} s")]
    Deadline(u64),
    /// A reconcile panicked.
    #[error("the reconcile panicked: {0}")]
    Panic(String),
}

impl Error {
    /// An error of the API client.
    pub fn api(what: impl Into<String>, source: kube::Error) -> Self {
        Self::Api {
            what: what.into(),
            source,
        }
    }

    /// Something the user has to change.
    pub fn refused(reason: Reason, message: impl Into<String>) -> Self {
        Self::Refused {
            reason,
            message: message.into(),
        }
    }

    /// Who has to act.
    pub fn class(&self) -> Class {
        match self {
            Self::Api { source, .. } => api_class(source),
            Self::NameConflict { .. } | Self::Refused { .. } => Class::User,
            Self::Transient(_) | Self::Deadline(_) => Class::Transient,
            Self::Serialise { .. } | Self::Panic(_) => Class::Bug,
        }
    }

    /// The reason that stands in status, Events and metrics.
    pub fn reason(&self) -> Reason {
        match self {
            Self::NameConflict { .. } => Reason::NameConflict,
            Self::Refused { reason, .. } => *reason,
            Self::Api { source, .. } => match api_class(source) {
                Class::Transient => Reason::Transient,
                Class::User if quota(source) => Reason::QuotaExceeded,
                Class::User => Reason::Rejected,
                Class::Bug => Reason::InternalError,
            },
            Self::Transient(_) | Self::Deadline(_) => Reason::Transient,
            Self::Serialise { .. } | Self::Panic(_) => Reason::InternalError,
        }
    }
}

/// Whether a request was refused by a ResourceQuota. The API server answers 403 for that too.
pub fn quota(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403 && status.message.contains("exceeded quota"))
}

/// Whether the namespace is on its way out, where nothing can be created any more.
pub fn terminating(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403 && status.message.contains("being terminated"))
}

/// Whether the object is not there.
pub fn not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// The API server's sentence, without the structure around it that people do not need.
fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}

fn api_class(error: &kube::Error) -> Class {
    match error {
        kube::Error::Api(status) => match status.code {
            // 404: the namespace or owner has just gone, which a later event tells.
            404 | 408 | 409 | 410 | 425 | 429 | 500..=599 => Class::Transient,
            400 | 413 | 422 => Class::User,
            403 if quota(error) => Class::User,
            403 if terminating(error) => Class::Transient,
            _ => Class::Bug,
        },
        kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_) => {
            Class::Transient
        }
        _ => Class::Bug,
    }
}
