//! Rights, declared next to the code that needs them. The chart's roles are generated from them.

use k8s_openapi::api::rbac::v1::PolicyRule;

/// Where a right is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// In the whole cluster: what is watched, and cluster-scoped kinds.
    Cluster,
    /// In the namespaces of environments only, given by a RoleBinding that the Project makes.
    Environment,
    /// In the operator's own namespace.
    Operator,
}

/// One right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// Where.
    pub scope: Scope,
    /// API group, empty for the core group.
    pub group: &'static str,
    /// Plural name, `pods/log` for subresources.
    pub resources: &'static [&'static str],
    /// Verbs.
    pub verbs: &'static [&'static str],
    /// Only objects of these names. Empty: all.
    pub names: &'static [&'static str],
}

/// To keep a cache.
pub const WATCH: &[&str] = &["list", "watch"];
/// To apply and delete children.
pub const WRITE: &[&str] = &["create", "patch", "delete"];

impl Right {
    /// A right on all objects of some kinds.
    pub const fn new(
        scope: Scope,
        group: &'static str,
        resources: &'static [&'static str],
        verbs: &'static [&'static str],
    ) -> Self {
        Self {
            scope,
            group,
            resources,
            verbs,
            names: &[],
        }
    }

    /// As it stands in a role.
    pub fn to_rule(self) -> PolicyRule {
        let list = |items: &[&str]| {
            items
                .iter()
                .map(|item| (*item).to_owned())
                .collect::<Vec<_>>()
        };
        PolicyRule {
            api_groups: Some(vec![self.group.to_owned()]),
            resources: Some(list(self.resources)),
            verbs: list(self.verbs),
            resource_names: (!self.names.is_empty()).then(|| list(self.names)),
            non_resource_urls: None,
        }
    }
}

/// Rights that every controller has.
pub const COMMON: &[Right] = &[Right::new(
    Scope::Cluster,
    "events.k8s.io",
    &["events"],
    &["create", "patch"],
)];
