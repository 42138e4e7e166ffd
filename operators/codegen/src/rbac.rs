//! The operator's roles, from the rights that each controller declares next to its code.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::rbac::v1::PolicyRule;
use trackbed_kit::rbac::{COMMON, Right, Scope};

use crate::{Error, HEADER};

/// What the process needs besides its controllers: the Lease by which one of several leads.
const PROCESS: &[Right] = &[
    // A name cannot be asked for before the object exists.
    Right::new(
        Scope::Operator,
        "coordination.k8s.io",
        &["leases"],
        &["create"],
    ),
    Right {
        scope: Scope::Operator,
        group: "coordination.k8s.io",
        resources: &["leases"],
        verbs: &["get", "update"],
        // One for all controllers, or, where the chart splits them, one for each.
        names: &[
            "trackbed",
            "trackbed-project",
            "trackbed-service",
            "trackbed-build",
            "trackbed-deployment",
            "trackbed-database",
        ],
    },
];

/// All rights, by who needs them.
pub const RIGHTS: &[(&str, &[Right])] = &[
    ("process", PROCESS),
    ("common", COMMON),
    ("project", trackbed_project::RIGHTS),
    ("service", trackbed_service::RIGHTS),
    ("build", trackbed_build::RIGHTS),
    ("deployment", trackbed_deployment::RIGHTS),
    ("database", trackbed_database::RIGHTS),
];

/// Verbs in the order in which people read them.
const VERBS: &[&str] = &[
    "get", "list", "watch", "create", "update", "patch", "delete", "bind",
];

const ROLES: &[Role] = &[
    Role {
        scope: Scope::Cluster,
        kind: "ClusterRole",
        name: "trackbed",
        namespaced: false,
        comment: "What is watched, and cluster-scoped kinds.",
    },
    Role {
        scope: Scope::Environment,
        kind: "ClusterRole",
        name: trackbed_api::names::OPERATOR_ROLE,
        namespaced: false,
        comment: "Inside environments only: each Project binds it in its namespaces.",
    },
    Role {
        scope: Scope::Operator,
        kind: "Role",
        name: "trackbed",
        namespaced: true,
        comment: "In the operator's own namespace.",
    },
];

struct Role {
    scope: Scope,
    kind: &'static str,
    name: &'static str,
    namespaced: bool,
    comment: &'static str,
}

/// The chart's roles.
///
/// # Errors
/// If a rule cannot be serialised.
pub fn template() -> Result<String, Error> {
    let mut text = HEADER.to_owned();
    for role in ROLES {
        let rules = rules(role.scope);
        let yaml = serde_saphyr::to_string(&rules).map_err(|source| Error::Yaml {
            what: format!("{} {}", role.kind, role.name),
            source,
        })?;
        let namespace = match role.namespaced {
            true => "  namespace: {{ .Release.Namespace }}\n",
            false => "",
        };
        text += &format!(
            "---\n# {}\napiVersion: rbac.authorization.k8s.io/v1\nkind: {}\nmetadata:\n  name: {}\n{namespace}  labels:\n    {{{{- include \"trackbed.labels\" . | nindent 4 }}}}\nrules:\n{}",
            role.comment,
            role.kind,
            role.name,
            indent(&yaml)
        );
    }
    Ok(text)
}

/// The rules of a scope: of every resource the verbs that anybody needs, resources with the same
/// verbs together.
pub fn rules(scope: Scope) -> Vec<PolicyRule> {
    type Key = (&'static str, &'static str, Vec<&'static str>);
    let mut verbs: BTreeMap<Key, BTreeSet<usize>> = BTreeMap::new();
    let rights = RIGHTS.iter().flat_map(|(_, rights)| rights.iter());
    for right in rights.filter(|right| right.scope == scope) {
        for resource in right.resources {
            let mut names = right.names.to_vec();
            names.sort_unstable();
            verbs
                .entry((right.group, resource, names))
                .or_default()
                .extend(right.verbs.iter().map(|verb| place(verb)));
        }
    }
    let mut merged: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for ((group, resource, names), verbs) in verbs {
        let key = (group, names, verbs);
        merged.entry(key).or_default().push(resource.to_owned());
    }
    let owned = |items: Vec<&str>| items.into_iter().map(str::to_owned).collect::<Vec<_>>();
    merged
        .into_iter()
        .map(|((group, names, verbs), resources)| PolicyRule {
            api_groups: Some(vec![group.to_owned()]),
            resources: Some(resources),
            resource_names: (!names.is_empty()).then(|| owned(names)),
            verbs: owned(
                verbs
                    .into_iter()
                    .filter_map(|at| VERBS.get(at).copied())
                    .collect(),
            ),
            non_resource_urls: None,
        })
        .collect()
}

/// A verb's place in [`VERBS`]; a test holds that every verb has one.
fn place(verb: &str) -> usize {
    VERBS
        .iter()
        .position(|known| *known == verb)
        .unwrap_or(VERBS.len())
}

fn indent(yaml: &str) -> String {
    yaml.lines().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = (&'static str, &'static Right)> {
        RIGHTS
            .iter()
            .flat_map(|(who, rights)| rights.iter().map(move |right| (*who, right)))
    }

    #[test]
    fn no_right_is_for_everything() {
        for (who, right) in all() {
            for item in right
                .resources
                .iter()
                .chain(right.verbs)
                .chain([&right.group])
            {
                assert!(!item.contains('*'), "{who} asks for {right:?}");
            }
            for verb in right.verbs {
                assert!(VERBS.contains(verb), "{who} asks for the verb {verb}");
            }
        }
    }

    #[test]
    fn secrets_are_read_by_name_and_never_in_the_whole_cluster() {
        for (who, right) in all().filter(|(_, right)| right.resources.contains(&"secrets")) {
            assert_ne!(right.scope, Scope::Cluster, "{who} asks for {right:?}");
            for verb in ["list", "watch"] {
                assert!(!right.verbs.contains(&verb), "{who} asks for {right:?}");
            }
        }
    }

    #[test]
    fn roles_are_given_by_name_only() {
        for (who, right) in all().filter(|(_, right)| right.verbs.contains(&"bind")) {
            assert!(!right.names.is_empty(), "{who} asks for {right:?}");
        }
        let escalates = all().any(|(_, right)| right.verbs.contains(&"escalate"));
        assert!(!escalates);
    }

    /// A server-side apply that may create needs both rights. Services are people's: they only get
    /// an annotation.
    #[test]
    fn who_may_patch_a_child_may_create_it() {
        for scope in [Scope::Environment, Scope::Operator] {
            for rule in rules(scope) {
                let has = |verb: &str| rule.verbs.iter().any(|it| it == verb);
                let of_people = rule.resources.iter().flatten().any(|it| it == "services")
                    && rule
                        .api_groups
                        .iter()
                        .flatten()
                        .any(|it| it == "trackbed.dev");
                assert!(!has("patch") || has("create") || of_people, "{rule:?}");
            }
        }
    }
}
