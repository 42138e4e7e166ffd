//! What wakes a Service besides its own changes and the answers of its source.

use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::{
    apps::v1 as appsv1, autoscaling::v2::HorizontalPodAutoscaler, batch::v1::Job,
    core::v1 as corev1,
};
use kube::{
    ResourceExt,
    runtime::{Controller, reflector::ObjectRef},
};
use trackbed_api::{
    Build, Deployment, Project, Service, common::condition::HOSTS_READY, labels, reason::Reason,
};
use trackbed_kit::{
    Cache, Caches,
    cert_manager::Certificate,
    conditions::find,
    config::Served,
    gateway::{Gateway, HttpRoute},
    harness,
    hosts::overlap,
    meta,
};

use crate::{
    observe::Stores,
    plan::{hosts::held, promotion::service_of},
};

/// Adds the triggers.
pub(crate) fn add(
    controller: Controller<Service>,
    caches: &mut Caches,
    stores: &Stores,
    served: Served,
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
    let controller = match served.certificates {
        true => controller.reconcile_on(harness::labelled(
            caches.changes::<Certificate>(),
            labels::SERVICE,
        )),
        false => controller,
    };
    let controller = match served.gateways {
        true => controller
            .reconcile_on(harness::labelled(
                caches.changes::<Gateway>(),
                labels::SERVICE,
            ))
            .reconcile_on(harness::labelled(
                caches.changes::<HttpRoute>(),
                labels::SERVICE,
            )),
        false => controller,
    };
    let rivals = stores.services.clone();
    let rivals = every(caches.changes::<Service>(), move |changed: &Service| {
        competing(&rivals, changed)
    });
    let followers = stores.services.clone();
    let followers = every(caches.changes::<Service>(), move |changed: &Service| {
        promoting(&followers, changed)
    });
    controller
        .reconcile_on(followers)
        .reconcile_on(rivals)
        .reconcile_on(harness::owners(caches.changes::<Build>()))
        .reconcile_on(harness::owners(caches.changes::<Deployment>()))
        .reconcile_on(harness::labelled(
            caches.changes::<appsv1::Deployment>(),
            labels::SERVICE,
        ))
        .reconcile_on(harness::labelled(
            caches.changes::<corev1::Service>(),
            labels::SERVICE,
        ))
        .reconcile_on(harness::labelled(
            caches.changes::<HorizontalPodAutoscaler>(),
            labels::SERVICE,
        ))
        .reconcile_on(every(caches.changes::<Job>(), ran))
        .reconcile_on(projects)
        .reconcile_on(harness::residents(caches))
}

/// Services that were refused a host: it may be free now. And those that have one which the changed
/// one has too, because both asked at once: the later one has to give way.
fn competing(services: &Cache<Service>, changed: &Service) -> Vec<ObjectRef<Service>> {
    references(services.list_all(|other| {
        let conditions = other.status.as_ref().map(|it| it.conditions.as_slice());
        let hosts = conditions.and_then(|it| find(it, HOSTS_READY));
        let refused = hosts.is_some_and(|it| it.reason == Reason::HostClaimed.as_str());
        let both =
            held(other).any(|theirs| held(changed).any(|it| overlap(&it.host, &theirs.host)));
        (refused || both) && other.uid() != changed.uid()
    }))
}

/// Services that promote what the changed one releases.
fn promoting(services: &Cache<Service>, changed: &Service) -> Vec<ObjectRef<Service>> {
    let namespace = changed.namespace().unwrap_or_default();
    references(services.list_all(|other| {
        let promotion = other.spec.source.promotion.as_ref();
        promotion.is_some_and(|it| {
            let name = other.name_any();
            namespace.ends_with(&format!("-{}", it.environment))
                && service_of(it, &name) == changed.name_any()
        })
    }))
}

/// A run of an application with `cron`.
fn ran(job: &Job) -> Vec<ObjectRef<Service>> {
    let namespace = job.namespace().unwrap_or_default();
    let service = meta::label(job, labels::SERVICE)
        .filter(|_| meta::label(job, labels::ROLE) == Some(labels::role::CRON));
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
