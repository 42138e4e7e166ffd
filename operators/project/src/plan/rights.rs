//! Who may do what in an environment.

use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use trackbed_api::{names, project::MemberKind};

use super::Place;

const GROUP: &str = "rbac.authorization.k8s.io";

/// The operator's binding first: it gives the right to everything else.
pub fn desired(place: &Place<'_>) -> Vec<RoleBinding> {
    let operator = binding(
        place,
        names::OPERATOR_ROLE,
        names::OPERATOR_ROLE,
        Subject {
            kind: "ServiceAccount".to_owned(),
            name: place.config.service_account.clone(),
            namespace: Some(place.config.operator_namespace.clone()),
            api_group: None,
        },
    );
    let here = |member: &&trackbed_api::project::Member| {
        let only = &member.environments;
        let here = [Some(place.environment), place.preview_of];
        only.is_empty() || only.iter().any(|it| here.contains(&Some(it.as_str())))
    };
    let members = place
        .project
        .spec
        .members
        .iter()
        .filter(here)
        .map(|member| {
            let kind = match member.kind {
                MemberKind::User => "User",
                MemberKind::Group => "Group",
            };
            let role = member.role.cluster_role();
            // Names of people are no names of objects.
            let hash = names::hash(format!("{kind}/{}", member.name).as_bytes());
            let subject = Subject {
                kind: kind.to_owned(),
                name: member.name.clone(),
                namespace: None,
                api_group: Some(GROUP.to_owned()),
            };
            binding(place, &format!("{role}-{}", &hash[..10]), role, subject)
        });
    std::iter::once(operator).chain(members).collect()
}

fn binding(place: &Place<'_>, name: &str, role: &str, subject: Subject) -> RoleBinding {
    RoleBinding {
        metadata: place.metadata(name),
        role_ref: RoleRef {
            api_group: GROUP.to_owned(),
            kind: "ClusterRole".to_owned(),
            name: role.to_owned(),
        },
        subjects: Some(vec![subject]),
    }
}
