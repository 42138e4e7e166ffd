//! Every write of a reconcile but status.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        core::v1::{ConfigMap, Namespace},
        rbac::v1::RoleBinding,
    },
};
use kube::{Api, Resource, ResourceExt};
use trackbed_api::{Database, Project, labels, names};
use trackbed_kit::{
    Context, Error, Kind,
    apply::{Child, Fence, apply as send, delete},
    meta,
};

use crate::{
    observe::{Environment, Seen, Source},
    plan::{Children, Desired},
    read::forbidden,
};

/// How long the API server may take to know a binding that it stored, in seconds.
const RIGHTS_DELAY: i64 = 30;

/// Writes everything. Gives what failed, by namespace: one environment does not hold up another.
pub(crate) async fn apply(
    context: &Context,
    seen: &Seen,
    children: Children,
) -> Vec<(String, Error)> {
    let Children {
        environments,
        databases,
        retired,
    } = children;
    let missing = |source: &Source| matches!(source, Source::Missing(_));
    let prune = !missing(&seen.push) && !missing(&seen.pull);
    let mut failures = Vec::new();
    for desired in environments {
        let name = desired.namespace.name_any();
        let live = seen.environments.iter().find(|it| it.namespace == name);
        let live = live.cloned().unwrap_or_default();
        if let Err(error) = environment(context, &live, desired, prune).await {
            failures.push((name, error));
        }
    }
    for database in databases {
        let name = database.namespace().unwrap_or_default();
        let api: Api<Database> = Api::namespaced(context.client.clone(), &name);
        if let Err(error) = delete(context, Project::CONTROLLER, &api, database.as_ref()).await {
            failures.push((name, error));
        }
    }
    let api: Api<Namespace> = Api::all(context.client.clone());
    for namespace in retired {
        let name = namespace.name_any();
        if let Err(error) = delete(context, Project::CONTROLLER, &api, namespace.as_ref()).await {
            failures.push((name, error));
        }
    }
    failures
}

async fn environment(
    context: &Context,
    live: &Environment,
    desired: Desired,
    prune: bool,
) -> Result<(), Error> {
    let Desired {
        namespace,
        bindings,
        quota,
        limits,
        policies,
        mut secrets,
        build_files,
        copies,
    } = desired;
    secrets.extend(copies.secrets);
    let config_maps: Vec<ConfigMap> = build_files.into_iter().chain(copies.config_maps).collect();
    let known = live.live.as_deref().filter(|it| meta::is_managed(*it));
    if known.is_none() {
        // Onto nothing, or onto what was handed over: never onto a namespace that somebody else
        // made since we looked.
        let fence = match live.live {
            None => Fence::Observed,
            Some(_) => Fence::None,
        };
        write_namespace(context, &without_label(&namespace), None, fence).await?;
    }
    let to = To {
        context,
        namespace: &live.namespace,
    };
    to.all(&bindings, &live.bindings).await?;
    let rest = async {
        to.all(quota.as_slice(), &live.quotas).await?;
        to.all(&[limits], &live.limits).await?;
        to.all(&policies, &live.policies).await?;
        to.all(&config_maps, &live.config_maps).await?;
        // A copy outlives an original that is missing at the moment.
        let wanted = |name: &String| prune || secrets.iter().any(|it| it.name_any() == *name);
        let secrets_live = live.secrets.iter().filter(|(name, _)| wanted(name));
        let secrets_live: Vec<_> = secrets_live.map(|(_, it)| Arc::new(it.clone())).collect();
        to.all(&secrets, &secrets_live).await
    };
    rest.await.map_err(|error| soften(error, live))?;
    // By now the API server knows the rights that the other controllers need.
    write_namespace(context, &namespace, known, Fence::None).await?;
    let copied = async {
        // Nothing that somebody made a moment ago is taken for a copy.
        let fence = Fence::Observed;
        to.each(&copies.databases, &live.databases, fence).await?;
        to.each(&copies.services, &live.services, fence).await
    };
    copied.await.map_err(|error| soften(error, live))
}

/// Nobody takes a namespace for an environment that does not carry Trackbed's label.
fn without_label(namespace: &Namespace) -> Namespace {
    let mut namespace = namespace.clone();
    if let Some(labels) = &mut namespace.metadata.labels {
        labels.remove(labels::MANAGED_BY);
    }
    namespace
}

async fn write_namespace(
    context: &Context,
    namespace: &Namespace,
    live: Option<&Namespace>,
    fence: Fence,
) -> Result<(), Error> {
    let api: Api<Namespace> = Api::all(context.client.clone());
    let controller = Project::CONTROLLER;
    send(context, controller, &api, namespace, live, fence)
        .await
        .map(|_| ())
}

/// A refusal for want of rights that were given a moment ago passes by itself.
fn soften(error: Error, live: &Environment) -> Error {
    let young = |binding: &&Arc<RoleBinding>| {
        let made = binding.creation_timestamp().map(|time| time.0);
        made.is_none_or(|made| Timestamp::now().as_second() - made.as_second() < RIGHTS_DELAY)
    };
    let binding = live
        .bindings
        .iter()
        .find(|it| it.name_any() == names::OPERATOR_ROLE);
    if forbidden(&error) && binding.as_ref().is_none_or(young) {
        return Error::Transient(format!("rights were given a moment ago: {error}"));
    }
    error
}

struct To<'a> {
    context: &'a Context,
    namespace: &'a str,
}

impl To<'_> {
    /// Writes what is desired and removes what is ours and not desired any more.
    async fn all<K>(&self, desired: &[K], live: &[Arc<K>]) -> Result<(), Error>
    where
        K: Child + Resource<Scope = NamespaceResourceScope>,
    {
        self.each(desired, live, Fence::None).await
    }

    async fn each<K>(&self, desired: &[K], live: &[Arc<K>], fence: Fence) -> Result<(), Error>
    where
        K: Child + Resource<Scope = NamespaceResourceScope>,
    {
        let api: Api<K> = Api::namespaced(self.context.client.clone(), self.namespace);
        let controller = Project::CONTROLLER;
        for object in desired {
            let found = live.iter().find(|it| it.name_any() == object.name_any());
            let found = found.map(AsRef::as_ref);
            let fence = found.map_or(fence, |_| Fence::None);
            send(self.context, controller, &api, object, found, fence).await?;
        }
        for old in live {
            // What a person made is nobody's to remove.
            let ours = meta::is_managed(old.as_ref());
            if ours && !desired.iter().any(|it| it.name_any() == old.name_any()) {
                delete(self.context, controller, &api, old.as_ref()).await?;
            }
        }
        Ok(())
    }
}
