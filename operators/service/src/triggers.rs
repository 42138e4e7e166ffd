//! What wakes a Service besides its own changes and the answers of its source.

use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::{
    apps::v1 as appsv1, autoscaling::v2::HorizontalPodAutoscaler, batch::v1::Job,
    core::v1::Namespace,
};
use kube::{
    ResourceExt,
    runtime::{Controller, reflector::ObjectRef},
};
use trackbed_api::{Build, Deployment, Project, Service, labels};
use trackbed_kit::{Cache, Caches, harness, meta};

use crate::{observe::Stores, plan::runs};

/// Adds the triggers.
pub(crate) fn add(
    controller: Controller<Service>,
    caches: &mut Caches,
    stores: &Stores,
) -> Controller<Service> {
    let everywhere = stores.services.clone();
    let projects = every(caches.changes::<Project>(), move |changed: &Project| {
        let names: Vec<String> = changed
            .status
            .iter()
            .flat_map(|status| &status.environments)
            .map(|environment| environment.namespace.clone())
            .collect();
        references(everywhere.list_all(|service| {
            service
                .namespace()
                .is_some_and(|namespace| names.contains(&namespace))
        }))
    });
    let there: Cache<Service> = stores.services.clone();
    let namespaces = every(caches.changes::<Namespace>(), move |changed: &Namespace| {
        references(there.list(&changed.name_any(), |_| true))
    });
    controller
        .reconcile_on(harness::owners(caches.changes::<Build>()))
        .reconcile_on(harness::owners(caches.changes::<Deployment>()))
        .reconcile_on(harness::labelled(
            caches.changes::<appsv1::Deployment>(),
            labels::SERVICE,
        ))
        .reconcile_on(harness::labelled(
            caches.changes::<HorizontalPodAutoscaler>(),
            labels::SERVICE,
        ))
        .reconcile_on(every(caches.changes::<Job>(), ran))
        .reconcile_on(projects)
        .reconcile_on(namespaces)
}

/// A run of an application with `cron`.
fn ran(job: &Job) -> Vec<ObjectRef<Service>> {
    let namespace = job.namespace().unwrap_or_default();
    let service = meta::label(job, labels::SERVICE)
        .filter(|_| meta::label(job, labels::ROLE) == Some(runs::ROLE));
    let service = service.map(|name| ObjectRef::new(name).within(&namespace));
    service.into_iter().collect()
}

fn every<K: Send + Sync + 'static>(
    changes: impl Stream<Item = Arc<K>> + Send + 'static,
    concerned: impl Fn(&K) -> Vec<ObjectRef<Service>> + Send + 'static,
) -> impl Stream<Item = ObjectRef<Service>> + Send + 'static {
    changes.flat_map(move |changed| stream::iter(concerned(&changed)))
}

fn references(services: Vec<Arc<Service>>) -> Vec<ObjectRef<Service>> {
    services
        .iter()
        .map(|service| ObjectRef::from_obj(service.as_ref()))
        .collect()
}
