//! What a Project needs next, from what was seen. No I/O and no clock.

pub mod limits;
pub mod namespace;
pub mod network;
pub mod registry;
pub mod rights;

use std::{sync::Arc, time::Duration};

use k8s_openapi::{
    api::{
        core::v1::{ConfigMap, LimitRange, Namespace, ResourceQuota, Secret},
        networking::v1::NetworkPolicy,
        rbac::v1::RoleBinding,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::ResourceExt;
use trackbed_api::{
    Project, ProjectStatus, labels,
    project::{DeletionPolicy, EnvironmentStatus},
    reason::Reason,
};
use trackbed_kit::{Config, Health, Plan as Outcome, meta};

use crate::observe::{Environment, Seen, Source};
use namespace::Standing;

/// How often the registry's credentials, which nobody watches, are compared.
const CREDENTIALS: Duration = Duration::from_secs(600);

/// Everything that follows from a look at a Project.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Status and when to look again.
    pub outcome: Outcome<ProjectStatus>,
    /// What to write.
    pub children: Children,
    /// Nothing is left to do before the Project may go.
    pub gone: bool,
}

/// What to write.
#[derive(Clone, Debug, Default)]
pub struct Children {
    /// Environments that are to be.
    pub environments: Vec<Desired>,
    /// Namespaces to delete.
    pub retired: Vec<Arc<Namespace>>,
}

/// One environment with everything in it.
#[derive(Clone, Debug)]
pub struct Desired {
    /// The namespace.
    pub namespace: Namespace,
    /// The operator's rights and the members'.
    pub bindings: Vec<RoleBinding>,
    /// The quota, if there is one.
    pub quota: Option<ResourceQuota>,
    /// Default requests and limits.
    pub limits: LimitRange,
    /// Isolation.
    pub policies: Vec<NetworkPolicy>,
    /// Credentials of the registry.
    pub secrets: Vec<Secret>,
    /// Certificates that builds trust.
    pub certificates: Option<ConfigMap>,
}

/// Decides.
pub fn plan(object: &Project, seen: &Seen, config: &Config) -> Plan {
    if meta::is_deleted(object) {
        return deletion(object, seen);
    }
    let mut status = ProjectStatus::default();
    let mut children = Children::default();
    let mut problem = None;
    for (spec, live) in object.spec.environments.iter().zip(&seen.environments) {
        let standing = namespace::standing(object, &spec.name, live);
        let message = match &standing {
            Standing::Foreign(message) => {
                problem.get_or_insert(Health::Stalled(Reason::NamespaceConflict, message.clone()));
                Some(message.clone())
            }
            Standing::Ending => Some("the namespace of before is still being deleted".to_owned()),
            Standing::Ours => None,
        };
        if standing == Standing::Ending {
            problem.get_or_insert(Health::Progressing(format!(
                "waits for namespace {} of before to be gone",
                live.namespace
            )));
        }
        if standing == Standing::Ours {
            let desired = environment(object, &spec.name, live, seen, config);
            children.environments.push(desired);
        }
        status.environments.push(EnvironmentStatus {
            name: spec.name.to_string(),
            namespace: live.namespace.clone(),
            ready: message.is_none(),
            message,
        });
    }
    let (retired, kept) = retire(object, &seen.former);
    children.retired = retired;
    let health = problem
        .or_else(|| missing(seen))
        .unwrap_or_else(|| ready(&status, &kept));
    Plan {
        outcome: Outcome {
            status,
            health,
            facts: Vec::new(),
            requeue: Some(CREDENTIALS),
        },
        children,
        gone: false,
    }
}

fn environment(
    object: &Project,
    name: &str,
    live: &Environment,
    seen: &Seen,
    config: &Config,
) -> Desired {
    let place = Place {
        project: object,
        environment: name,
        namespace: &live.namespace,
        config,
    };
    Desired {
        namespace: namespace::desired(&place, live.live.as_deref()),
        bindings: rights::desired(&place),
        quota: limits::quota(&place),
        limits: limits::defaults(&place),
        policies: network::desired(&place),
        secrets: registry::secrets(&place, &seen.push, &seen.pull),
        certificates: registry::certificates(&place),
    }
}

fn missing(seen: &Seen) -> Option<Health> {
    [&seen.push, &seen.pull]
        .into_iter()
        .find_map(|source| match source {
            Source::Missing(message) => {
                Some(Health::Waiting(Reason::SecretInvalid, message.clone()))
            }
            Source::None | Source::Found(_) => None,
        })
}

fn ready(status: &ProjectStatus, kept: &[String]) -> Health {
    let names: Vec<&str> = status
        .environments
        .iter()
        .map(|environment| environment.namespace.as_str())
        .collect();
    let mut message = format!("ready: {}", names.join(", "));
    if !kept.is_empty() {
        message += &format!("; kept: {}", kept.join(", "));
    }
    Health::Ready(message)
}

/// Namespaces to delete, and sentences about those that are kept.
fn retire(object: &Project, former: &[Environment]) -> (Vec<Arc<Namespace>>, Vec<String>) {
    let (mut retired, mut kept) = (Vec::new(), Vec::new());
    for environment in former {
        let Some(live) = &environment.live else {
            continue;
        };
        if !namespace::made_by_us(live) {
            kept.push(format!("{} (it was there before)", environment.namespace));
        } else if object.spec.deletion_policy == DeletionPolicy::Retain
            && !environment.data.is_empty()
        {
            kept.push(format!(
                "{} (holds {})",
                environment.namespace,
                environment.data.join(", ")
            ));
        } else {
            retired.push(live.clone());
        }
    }
    (retired, kept)
}

/// The Project goes: so do its namespaces, but for those that hold data or were there before.
fn deletion(object: &Project, seen: &Seen) -> Plan {
    let all: Vec<Environment> = seen
        .environments
        .iter()
        .chain(&seen.former)
        .filter(|environment| {
            let live = environment.live.as_deref();
            live.is_some_and(|live| {
                meta::label(live, labels::PROJECT) == Some(object.name_any().as_str())
            })
        })
        .cloned()
        .collect();
    let (retired, kept) = retire(object, &all);
    let names: Vec<String> = retired.iter().map(|it| it.name_any()).collect();
    let mut message = match names.is_empty() {
        true => "nothing is left to delete".to_owned(),
        false => format!("deletes {}", names.join(", ")),
    };
    if !kept.is_empty() {
        message += &format!("; keeps {}", kept.join(", "));
    }
    Plan {
        outcome: Outcome {
            status: object.status.clone().unwrap_or_default(),
            health: Health::Terminating(message),
            facts: Vec::new(),
            requeue: Some(Duration::from_secs(5)),
        },
        gone: retired.is_empty(),
        children: Children {
            environments: Vec::new(),
            retired,
        },
    }
}

/// One environment of a Project, for the children.
pub struct Place<'a> {
    /// The Project.
    pub project: &'a Project,
    /// Name of the environment.
    pub environment: &'a str,
    /// Name of its namespace.
    pub namespace: &'a str,
    /// The operator's settings.
    pub config: &'a Config,
}

impl Place<'_> {
    /// Metadata of a child.
    pub fn metadata(&self, name: &str) -> ObjectMeta {
        let mut metadata = meta::retained(self.namespace, name);
        meta::insert(
            &mut metadata.labels,
            labels::PROJECT,
            self.project.name_any(),
        );
        metadata
    }
}
