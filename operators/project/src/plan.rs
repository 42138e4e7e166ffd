//! What a Project needs next, from what was seen. No I/O and no clock.

pub mod copies;
pub mod limits;
pub mod namespace;
pub mod network;
pub mod previews;
pub mod registry;
pub mod rights;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
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
    Database, Project, ProjectStatus, labels, names,
    project::{DeletionPolicy, EnvironmentStatus},
    reason::Reason,
};
use trackbed_kit::{Config, Error, Health, Plan as Outcome, meta};

use crate::observe::{Data, Environment, Seen, Source};
use copies::Copies;
use namespace::Standing;
use previews::{Open, Wanted};

/// How often the registry's credentials, which nobody watches, are compared.
const CREDENTIALS: Duration = Duration::from_secs(600);
/// How soon to look again at what nobody watches, where it stands in the way: namespaces of
/// others, and missing credentials.
const OBSTACLE: Duration = Duration::from_secs(20);
/// How often a deletion looks whether what it waits for is gone.
const LEFTOVERS: Duration = Duration::from_secs(5);

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
    /// Databases to delete before their namespaces.
    pub databases: Vec<Arc<Database>>,
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
    pub build_files: Option<ConfigMap>,
    /// What a preview has of another environment.
    pub copies: Copies,
}

/// Decides.
pub fn plan(object: &Project, seen: &Seen, config: &Config, now: Timestamp) -> Plan {
    if meta::is_deleted(object) {
        return deletion(object, seen);
    }
    let mut status = ProjectStatus::default();
    let mut children = Children::default();
    let mut problem = None;
    let wanted = seen.environments.iter();
    for (wanted, live) in wanted.filter_map(|it| Some((it.wanted.as_ref()?, it))) {
        let mut message = match namespace::standing(object, wanted, live) {
            Standing::Foreign(message) => {
                problem.get_or_insert(Health::Stalled(Reason::NamespaceConflict, message.clone()));
                Some(message)
            }
            Standing::Ending => {
                problem.get_or_insert(Health::Progressing(format!(
                    "waits for namespace {} of before to be gone",
                    live.namespace
                )));
                Some("the namespace of before is still being deleted".to_owned())
            }
            Standing::Ours => None,
        };
        if message.is_none() {
            let desired = environment(object, wanted, live, seen, config);
            message = desired.copies.lacks.first().cloned();
            children.environments.push(desired);
        }
        status.environments.push(told(object, wanted, message));
    }
    let refused = seen.refused.iter();
    let refused = refused.map(|(wanted, reason)| told(object, wanted, Some(reason.clone())));
    status.environments.extend(refused);
    let Retirement {
        retired,
        databases,
        mut kept,
        blocked,
    } = retire(object, &seen.former);
    kept.extend(blocked);
    children.retired = retired;
    children.databases = databases;
    let problem = problem.or_else(|| missing(seen));
    let mut requeue = problem.as_ref().map_or(CREDENTIALS, |_| OBSTACLE);
    if let Some(left) = seen.next_end.map(|end| end.duration_since(now)) {
        requeue = requeue.min(left.try_into().unwrap_or_default());
    }
    let health = problem.unwrap_or_else(|| ready(&status, &kept));
    Plan {
        outcome: Outcome {
            status,
            health,
            facts: Vec::new(),
            requeue: Some(requeue.max(LEFTOVERS)),
        },
        children,
        gone: false,
    }
}

/// What status says of an environment.
fn told(object: &Project, wanted: &Wanted, message: Option<String>) -> EnvironmentStatus {
    EnvironmentStatus {
        namespace: names::namespace(&object.name_any(), &wanted.name),
        name: wanted.name.clone(),
        ready: message.is_none(),
        message,
        preview: wanted.preview.as_ref().map(Open::status),
    }
}

fn environment(
    object: &Project,
    wanted: &Wanted,
    live: &Environment,
    seen: &Seen,
    config: &Config,
) -> Desired {
    let of = object.spec.previews.as_ref().map(|it| it.of.as_str());
    let place = Place {
        project: object,
        environment: &wanted.name,
        preview_of: of.filter(|_| wanted.preview.is_some()),
        namespace: &live.namespace,
        config,
    };
    let open = wanted.preview.as_ref();
    let copies = open.map(|open| copies::desired(&place, open, &seen.base, live));
    let copies = copies.unwrap_or_default();
    Desired {
        namespace: namespace::desired(&place, live.live.as_deref(), &copies),
        copies,
        bindings: rights::desired(&place),
        quota: limits::quota(&place),
        limits: limits::defaults(&place),
        policies: network::desired(&place),
        secrets: registry::secrets(&place, &seen.push, &seen.pull),
        build_files: registry::build_files(&place),
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
    let all = status.environments.iter();
    let (previews, own): (Vec<_>, Vec<_>) = all.partition(|it| it.preview.is_some());
    let own: Vec<&str> = own.iter().map(|it| it.namespace.as_str()).collect();
    let mut message = format!("ready: {}", own.join(", "));
    let waiting = previews.iter().filter(|it| !it.ready).count();
    match (previews.len(), waiting) {
        (0, _) => {}
        (all, 0) => message += &format!("; previews: {all}"),
        (all, not) => message += &format!("; previews: {all}, of them {not} not ready"),
    }
    if !kept.is_empty() {
        message += &format!("; kept: {}", kept.join(", "));
    }
    Health::Ready(message)
}

/// What becomes of the namespaces that are not to be any more.
#[derive(Default)]
struct Retirement {
    /// To delete.
    retired: Vec<Arc<Namespace>>,
    /// To delete first. The operator's rights go with the namespace, and a Database that is still
    /// to be taken down would stay in it for ever.
    databases: Vec<Arc<Database>>,
    /// Kept on purpose, in words.
    kept: Vec<String>,
    /// Kept because a Database in them says so, though the Project does not, in words.
    blocked: Vec<String>,
}

fn retire(object: &Project, former: &[Environment]) -> Retirement {
    let mut result = Retirement::default();
    let retain = object.spec.deletion_policy == DeletionPolicy::Retain;
    for environment in former {
        let Some(live) = &environment.live else {
            continue;
        };
        let holds =
            |data: Vec<String>| format!("{} (holds {})", environment.namespace, data.join(", "));
        let databases = environment.data.iter().filter_map(|data| match data {
            Data::Database(database) => Some(database),
            Data::Claim(_) => None,
        });
        let preview = meta::label(live.as_ref(), labels::PREVIEW).is_some();
        let retaining: Vec<String> = databases
            .clone()
            .filter(|it| !it.gives_up_data(preview))
            .map(|it| format!("Database {}", it.name_any()))
            .collect();
        // A preview is there for a while: that it goes with its data is what it was made for. Of
        // Databases that somebody made in it, it is not.
        let retain = retain && !preview;
        if !namespace::made_by_us(live) {
            let kept = format!("{} (it was there before)", environment.namespace);
            result.kept.push(kept);
        } else if meta::is_deleted(live.as_ref()) {
            result.retired.push(live.clone());
        } else if retain && !environment.data.is_empty() {
            let data = environment.data.iter().map(ToString::to_string);
            result.kept.push(holds(data.collect()));
        } else if !retaining.is_empty() {
            result.blocked.push(holds(retaining));
        } else if databases.clone().next().is_some() {
            result.databases.extend(databases.cloned());
        } else {
            result.retired.push(live.clone());
        }
    }
    result
}

/// The Project goes: so do its namespaces, but for those that hold data or were there before.
fn deletion(object: &Project, seen: &Seen) -> Plan {
    let name = object.name_any();
    let all: Vec<Environment> = seen
        .environments
        .iter()
        .chain(&seen.former)
        .filter(|environment| {
            let live = environment.live.as_deref();
            live.is_some_and(|live| meta::label(live, labels::PROJECT) == Some(name.as_str()))
        })
        .cloned()
        .collect();
    let Retirement {
        retired,
        databases,
        kept,
        blocked,
    } = retire(object, &all);
    let of =
        |it: &Arc<Database>| format!("{}/{}", it.namespace().unwrap_or_default(), it.name_any());
    let names = databases.iter().map(|it| format!("Database {}", of(it)));
    let names: Vec<String> = names
        .chain(retired.iter().map(|it| it.name_any()))
        .collect();
    let mut message = match names.is_empty() {
        true => "nothing is left to delete".to_owned(),
        false => format!("deletes {}", names.join(", ")),
    };
    if !kept.is_empty() {
        message += &format!("; keeps {}", kept.join(", "));
    }
    let health = match blocked.is_empty() {
        true => Health::Terminating(message),
        false => Health::Stalled(Reason::DeletionBlocked, blocking(&blocked)),
    };
    Plan {
        outcome: Outcome {
            status: object.status.clone().unwrap_or_default(),
            health,
            facts: Vec::new(),
            // Claims of others are not watched.
            requeue: Some(LEFTOVERS),
        },
        gone: retired.is_empty() && databases.is_empty() && blocked.is_empty(),
        children: Children {
            environments: Vec::new(),
            databases,
            retired,
        },
    }
}

fn blocking(blocked: &[String]) -> String {
    format!(
        "the Project deletes its data, but a Database keeps its own: {}. Set deletionPolicy: Delete on the Database and confirm it by the annotation {}=NAME, or deletionPolicy: Retain on the Project to leave the namespace behind",
        blocked.join(", "),
        labels::CONFIRM_DELETION,
    )
}

/// Says of each environment that could not be written why; gives what is to be said of the whole.
///
/// # Errors
/// The first failure: its class decides when to try again.
pub fn report(status: &mut ProjectStatus, failures: Vec<(String, Error)>) -> Result<(), Error> {
    for (namespace, error) in &failures {
        let found = status
            .environments
            .iter_mut()
            .find(|it| it.namespace == *namespace);
        if let Some(environment) = found {
            environment.ready = false;
            environment.message = Some(error.to_string());
        }
    }
    failures
        .into_iter()
        .next()
        .map_or(Ok(()), |(_, error)| Err(error))
}

/// One environment of a Project, for the children.
pub struct Place<'a> {
    /// The Project.
    pub project: &'a Project,
    /// Name of the environment.
    pub environment: &'a str,
    /// The environment that it is a preview of.
    pub preview_of: Option<&'a str>,
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
