//! Which releases a change concerns. Many releases of a Service are history: changes that only the
//! serving or coming one cares for do not wake the others.

use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::{
    apps::v1 as appsv1,
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::{CronJob, Job},
    core::v1::{self as corev1, PersistentVolumeClaim, Pod},
    networking::v1::{Ingress, NetworkPolicy},
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Resource, ResourceExt,
    runtime::{Controller, reflector::ObjectRef},
};
use trackbed_api::{
    Database, Deployment, Project, Service,
    deployment::DeploymentPhase::{RolledBack, Superseded},
    labels::{self, role},
    run::ValueFrom,
};
use trackbed_kit::{
    Cache, Caches, cache::Watched, config::Served, gateway::HttpRoute, harness, meta,
};

use crate::observe::Stores;

/// Roles of the pods and Jobs that concern releases.
const ROLES: [&str; 2] = [role::APP, role::PRE_DEPLOY];

/// Adds all triggers besides a release's own changes.
pub fn add(
    controller: Controller<Deployment>,
    caches: &mut Caches,
    stores: &Stores,
    served: Served,
) -> Controller<Deployment> {
    let controller = releases(controller, caches, stores);
    let controller = children::<appsv1::Deployment>(controller, caches, stores);
    let controller = children::<corev1::Service>(controller, caches, stores);
    let controller = children::<Ingress>(controller, caches, stores);
    let controller = children::<NetworkPolicy>(controller, caches, stores);
    let controller = children::<PodDisruptionBudget>(controller, caches, stores);
    let controller = children::<Pod>(controller, caches, stores);
    let controller = children::<Job>(controller, caches, stores);
    let controller = children::<CronJob>(controller, caches, stores);
    let controller = children::<PersistentVolumeClaim>(controller, caches, stores);
    let controller = children::<HorizontalPodAutoscaler>(controller, caches, stores);
    let controller = match served.gateways {
        true => children::<HttpRoute>(controller, caches, stores),
        false => controller,
    };
    let controller = services(controller, caches, stores);
    let controller = databases(controller, caches, stores);
    surroundings(controller, caches, stores)
}

/// A release concerns all others of its Service.
fn releases(
    controller: Controller<Deployment>,
    caches: &mut Caches,
    stores: &Stores,
) -> Controller<Deployment> {
    let all = stores.releases.clone();
    controller.reconcile_on(each(caches.changes::<Deployment>(), move |changed| {
        let (name, service) = (changed.name_any(), &changed.spec.service);
        of(&all, changed.as_ref(), |release| {
            release.spec.service == *service && release.name_any() != name
        })
    }))
}

/// What carries a Service's label concerns its living releases.
fn children<K: Watched>(
    controller: Controller<Deployment>,
    caches: &mut Caches,
    stores: &Stores,
) -> Controller<Deployment> {
    let all = stores.releases.clone();
    controller.reconcile_on(each(caches.changes::<K>(), move |changed| {
        let Some(service) = meta::label(changed.as_ref(), labels::SERVICE) else {
            return Vec::new();
        };
        // Those of builds carry the Service's label too.
        let role = meta::label(changed.as_ref(), labels::ROLE);
        if matches!(&*K::kind(&()), "Pod" | "Job") && !ROLES.contains(&role.unwrap_or_default()) {
            return Vec::new();
        }
        of(&all, changed.as_ref(), |release| {
            release.spec.service.as_str() == service && living(release)
        })
    }))
}

/// A Service concerns its own releases, and those of others that refer to it.
fn services(
    controller: Controller<Deployment>,
    caches: &mut Caches,
    stores: &Stores,
) -> Controller<Deployment> {
    let all = stores.releases.clone();
    controller.reconcile_on(each(caches.changes::<Service>(), move |changed| {
        let name = changed.name_any();
        of(&all, changed.as_ref(), |release| {
            release.spec.service.as_str() == name
                || (waits(release)
                    && refers(release, |from| {
                        from.service_ref
                            .as_ref()
                            .is_some_and(|service| service.name.as_str() == name)
                    }))
        })
    }))
}

/// A Database concerns the releases that wait for it, and those whose pods use its credentials.
fn databases(
    controller: Controller<Deployment>,
    caches: &mut Caches,
    stores: &Stores,
) -> Controller<Deployment> {
    let all = stores.releases.clone();
    controller.reconcile_on(each(caches.changes::<Database>(), move |changed| {
        let name = changed.name_any();
        of(&all, changed.as_ref(), |release| {
            let mut used = release.spec.run.databases();
            living(release) && used.any(|it| it.as_str() == name)
        })
    }))
}

/// A Namespace becomes an environment or ceases to be one; a Project changes its domain.
fn surroundings(
    controller: Controller<Deployment>,
    caches: &mut Caches,
    stores: &Stores,
) -> Controller<Deployment> {
    let controller = controller.reconcile_on(harness::residents(caches));
    let all = stores.releases.clone();
    let namespaces = stores.namespaces.clone();
    controller.reconcile_on(each(caches.changes::<Project>(), move |changed| {
        let project = changed.name_any();
        namespaces
            .list_all(|namespace| meta::label(namespace, labels::PROJECT) == Some(&project))
            .into_iter()
            .flat_map(|namespace| refs(all.list(&namespace.name_any(), living)))
            .collect()
    }))
}

fn each<K: Send + Sync + 'static>(
    changes: impl Stream<Item = Arc<K>> + Send + 'static,
    find: impl Fn(Arc<K>) -> Vec<ObjectRef<Deployment>> + Send + 'static,
) -> impl Stream<Item = ObjectRef<Deployment>> + Send + 'static {
    changes.flat_map(move |changed| stream::iter(find(changed)))
}

fn of<K: Resource>(
    all: &Cache<Deployment>,
    changed: &K,
    keep: impl Fn(&Deployment) -> bool,
) -> Vec<ObjectRef<Deployment>> {
    let namespace = changed.namespace().unwrap_or_default();
    refs(all.list(&namespace, keep))
}

fn refs(found: Vec<Arc<Deployment>>) -> Vec<ObjectRef<Deployment>> {
    found
        .iter()
        .map(|release| ObjectRef::from_obj(release.as_ref()))
        .collect()
}

/// Whether a release is more than history.
fn living(release: &Deployment) -> bool {
    let status = release.status.as_ref();
    !status.is_some_and(|status| matches!(status.phase, Superseded | RolledBack))
}

/// Whether a release may be waiting for something that its configuration refers to.
fn waits(release: &Deployment) -> bool {
    let status = release.status.as_ref();
    living(release) && status.is_none_or(|status| status.active_since.is_none())
}

fn refers(release: &Deployment, to: impl Fn(&ValueFrom) -> bool) -> bool {
    let env = &release.spec.run.env;
    env.iter()
        .filter_map(|variable| variable.value_from.as_ref())
        .any(to)
}
