//! The closed set of reasons. A reason is a condition's `reason`, an Event's `reason` and a metric
//! label at once, and stands in `docs/failures.md` with its way out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident retryable = $retryable:literal),+ $(,)?) => {
        /// Why something failed or waits.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Reason { $($(#[doc = $doc])+ $name),+ }

        impl Reason {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [Reason] = &[$(Reason::$name),+];

            /// The reason as it stands in conditions, Events and metrics.
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$name => stringify!($name)),+ }
            }

            /// Whether the same thing tried again may succeed without anybody changing anything.
            pub fn retryable(self) -> bool {
                match self { $(Reason::$name => $retryable),+ }
            }

            /// What it means, one sentence or two.
            pub fn explanation(self) -> &'static str {
                match self { $(Reason::$name => concat!($($doc, " "),+).trim_ascii()),+ }
            }
        }

        impl std::str::FromStr for Reason {
            type Err = UnknownReason;
            fn from_str(text: &str) -> Result<Self, UnknownReason> {
                match text { $(stringify!($name) => Ok(Reason::$name),)+ _ => Err(UnknownReason) }
            }
        }
    };
}

/// The text is no reason that this version knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownReason;

impl std::fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("unknown reason")
    }
}

impl std::error::Error for UnknownReason {}

reasons! {
    // Source
    /// The repository's host says that there is no such repository (or hides it without credentials).
    RepositoryNotFound retryable = false,
    /// The host refused the credentials, or asks for some and none are given.
    AuthenticationFailed retryable = false,
    /// The repository has no such branch or tag.
    RefNotFound retryable = false,
    /// The repository has no such commit, or the server does not hand it out.
    CommitNotFound retryable = false,
    /// The repository's host cannot be reached.
    HostUnreachable retryable = true,
    /// The URL is not one that Trackbed fetches from.
    InvalidUrl retryable = false,
    /// The repository is larger than the operator's limit.
    RepositoryTooLarge retryable = false,
    /// The image or its tag does not exist in the registry.
    ImageNotFound retryable = false,

    // Build
    /// The folder of `source.git.path` is not in the commit.
    PathNotFound retryable = false,
    /// The file of `build.dockerfile` is not in the commit.
    DockerfileNotFound retryable = false,
    /// There is no Dockerfile, and no language is recognised.
    NoLanguageDetected retryable = false,
    /// What is given as a command, or the files that say how to build, cannot be used.
    InvalidBuildPlan retryable = false,
    /// A line of the Dockerfile failed.
    BuildFailed retryable = false,
    /// A base image of the Dockerfile cannot be pulled.
    BaseImageUnavailable retryable = false,
    /// The build was killed for want of memory.
    OutOfMemory retryable = false,
    /// The build did not end within its timeout.
    BuildTimeout retryable = false,
    /// The build's pod was evicted or its node went away.
    Evicted retryable = true,
    /// The build was cancelled.
    Cancelled retryable = false,
    /// A newer commit took over.
    Superseded retryable = false,
    /// The registry refused the push credentials.
    RegistryUnauthorized retryable = false,
    /// The registry cannot be reached or answers with an error of its own.
    RegistryUnavailable retryable = true,
    /// The registry refused the image.
    PushRejected retryable = false,
    /// The Job of the build vanished or cannot be run.
    BuildJobFailed retryable = true,

    // Release
    /// A Secret, ConfigMap, Database or Service that the configuration refers to does not exist yet.
    ReferenceMissing retryable = true,
    /// The application ends or crashes right after its start.
    CrashLoop retryable = false,
    /// The application was killed for want of memory.
    AppOutOfMemory retryable = false,
    /// The release's image cannot be pulled.
    ImagePullFailed retryable = true,
    /// The application runs, but does not answer on its port or health check.
    NotListening retryable = false,
    /// A quota or policy of the namespace refuses the pods.
    QuotaExceeded retryable = true,
    /// No node has room for the pods.
    Unschedulable retryable = true,
    /// The container cannot be started as configured.
    ContainerConfigError retryable = false,
    /// The pods were not available within the rollout's timeout.
    RolloutTimeout retryable = false,

    // Database
    /// The volume holds the data of another database.
    DataBelongsToAnother retryable = false,
    /// There were data, and the volume is empty now.
    DataMissing retryable = false,
    /// The volume holds data of another major version.
    MajorVersionMismatch retryable = false,
    /// The database server does not start.
    DatabaseNotReady retryable = true,
    /// The volume cannot be provided.
    VolumePending retryable = true,
    /// Stored credentials are missing while data exist.
    CredentialsMissing retryable = false,
    /// The storage class cannot grow the volume.
    StorageCannotGrow retryable = false,

    // Project and general
    /// A namespace of that name exists and does not belong to this Project.
    NamespaceConflict retryable = false,
    /// The object stands in a namespace that belongs to no Project.
    NamespaceNotManaged retryable = false,
    /// An object of that name exists and belongs to somebody else.
    NameConflict retryable = false,
    /// A Secret that the operator needs is missing or has not the keys it must have.
    SecretInvalid retryable = true,
    /// The API server refused what Trackbed derived from the spec.
    Rejected retryable = false,
    /// Namespaces or data are kept, and deletion waits for a person.
    DeletionBlocked retryable = false,
    /// A bug of Trackbed. The operator's log has more.
    InternalError retryable = true,
    /// The API server or another service does not answer at the moment.
    Transient retryable = true,
}

/// Reasons of conditions that report no failure.
pub mod progress {
    /// Everything is as the spec asks for.
    pub const READY: &str = "Ready";
    /// Work is under way.
    pub const PROGRESSING: &str = "Progressing";
    /// The object is suspended on purpose.
    pub const SUSPENDED: &str = "Suspended";
    /// Waits for something that the message names.
    pub const WAITING: &str = "Waiting";
    /// The object is being deleted.
    pub const TERMINATING: &str = "Terminating";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_reads_back_and_explains_itself() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(*reason));
            assert!(
                reason.explanation().ends_with('.') || reason.explanation().ends_with(')'),
                "{reason:?}"
            );
        }
    }
}
