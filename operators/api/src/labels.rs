//! Labels and annotations that Trackbed writes.

/// On every object that Trackbed writes (recommended label of Kubernetes).
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`].
pub const MANAGER: &str = "trackbed";
/// On namespaces and everything in them: the Project's name.
pub const PROJECT: &str = "trackbed.dev/project";
/// On namespaces: the environment's name.
pub const ENVIRONMENT: &str = "trackbed.dev/environment";
/// On everything that belongs to a Service: its name.
pub const SERVICE: &str = "trackbed.dev/service";
/// On everything that belongs to a Database: its name.
pub const DATABASE: &str = "trackbed.dev/database";
/// On Jobs, their pods and cache claims: the Build's name.
pub const BUILD: &str = "trackbed.dev/build";
/// On a Service's workload and its pods: the Deployment whose release they run.
pub const RELEASE: &str = "trackbed.dev/release";
/// On pods and NetworkPolicies: what the pod is for (`app`, `pre-deploy`, `cron`, `build`,
/// `database`).
pub const ROLE: &str = "trackbed.dev/role";

/// Annotation on children: hash of what was last applied, so that nothing is sent when nothing
/// changed, and a field that was dropped is noticed.
pub const APPLIED: &str = "trackbed.dev/applied";
/// Annotation on a workload: the place of its release in the Service's order,
/// `<sequence>.<revision>`. The commit fence compares it.
pub const ORDER: &str = "trackbed.dev/order";
/// Annotation on a retained Secret: the random identity that its data carries.
pub const IDENTITY: &str = "trackbed.dev/identity";
/// Annotation that a person sets on an object to have it looked at now.
pub const RECONCILE_AT: &str = "trackbed.dev/reconcile-at";

/// Field manager of a controller.
pub fn field_manager(controller: &str) -> String {
    format!("trackbed.dev/{controller}")
}
