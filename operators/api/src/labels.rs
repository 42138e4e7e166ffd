//! Labels and annotations that Trackbed writes.

/// On every object that Trackbed writes (recommended label of Kubernetes).
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`].
pub const MANAGER: &str = "trackbed";
/// On namespaces and everything in them: the Project's name.
pub const PROJECT: &str = "trackbed.dev/project";
/// On namespaces: the environment's name.
pub const ENVIRONMENT: &str = "trackbed.dev/environment";
/// On namespaces that are previews, and on the copies in them: the environment that they are of.
pub const PREVIEW: &str = "trackbed.dev/preview-of";
/// Beginning of the annotations of a Service that tell of open pull requests
/// ([`crate::preview::PullRequest`]); the name of the preview follows.
pub const PULL_REQUEST: &str = "preview.trackbed.dev/";
/// On everything that belongs to a Service: its name.
pub const SERVICE: &str = "trackbed.dev/service";
/// On everything that belongs to a Database: its name.
pub const DATABASE: &str = "trackbed.dev/database";
/// On Jobs, their pods and cache claims: the Build's name.
pub const BUILD: &str = "trackbed.dev/build";
/// On a Service's workload and its pods: the Deployment whose release they run.
pub const RELEASE: &str = "trackbed.dev/release";
/// On Jobs and pods of Services and Builds: what they are for, one of [`role`].
pub const ROLE: &str = "trackbed.dev/role";

/// Values of [`ROLE`].
pub mod role {
    /// Runs an application all the time.
    pub const APP: &str = "app";
    /// Runs the command before a release.
    pub const PRE_DEPLOY: &str = "pre-deploy";
    /// Runs an application at certain times.
    pub const CRON: &str = "cron";
    /// Builds an image.
    pub const BUILD: &str = "build";
    /// Takes a backup.
    pub const BACKUP: &str = "backup";
    /// Restores one.
    pub const RESTORE: &str = "restore";
    /// Runs the SQL that several servers begin with.
    pub const BEGIN: &str = "begin";
    /// Makes the databases that are listed, and their owners, in one of several servers.
    pub const DATABASES: &str = "databases";
    /// Looks for a newer image of a database server.
    pub const UPDATE: &str = "update";
}

/// Annotation on children: hash of what was last applied, so that nothing is sent when nothing
/// changed, and a field that was dropped is noticed.
pub const APPLIED: &str = "trackbed.dev/applied";
/// Annotation on a workload: the place of its release in the Service's order,
/// `<sequence>.<revision>`. The commit fence compares it.
pub const ORDER: &str = "trackbed.dev/order";
/// Annotation on a release: why it was made, where neither its commit nor its spec tells.
pub const CAUSE: &str = "trackbed.dev/cause";
/// Annotation on a retained Secret: the random identity that its data carries.
pub const IDENTITY: &str = "trackbed.dev/identity";
/// Annotation that a person sets on an object to have it looked at now.
pub const RECONCILE_AT: &str = "trackbed.dev/reconcile-at";

/// Annotation that a person sets on a Database, with its name as the value: `deletionPolicy: Delete`
/// takes effect with it alone.
pub const CONFIRM_DELETION: &str = "trackbed.dev/confirm-deletion";

/// Field manager of a controller.
pub fn field_manager(controller: &str) -> String {
    format!("trackbed.dev/{controller}")
}
