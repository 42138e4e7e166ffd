//! Controller of the kind Service: follows a source, has it built, and has it released.
//!
//! Looking at the source happens beside the reconciles ([`source`]) and wakes them when it has an
//! answer. What follows from it is decided from stored objects alone: a commit is first written
//! down in status with its place in the order, and only what is written down is built and released,
//! so a restart at any point neither loses a commit nor builds it twice.

pub mod dns;
pub mod hooks;
pub mod inputs;
pub mod observe;
pub mod plan;
pub mod reports;
pub mod requests;
pub mod source;
mod triggers;

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use kube::{
    Api, ResourceExt,
    runtime::{controller::Action, reflector::ObjectRef},
};
use trackbed_api::{Build, Deployment, Service};
use trackbed_kit::{
    Caches, Context, Error, Kind,
    apply::{Fence, apply, delete},
    cert_manager::Certificate,
    finish,
    gateway::Gateway,
    harness, meta,
    rbac::{Right, Scope, WATCH, WRITE},
};

use dns::Names;
use inputs::Inputs;
use observe::{Seen, Stores, observe};
use plan::{Addresses, Children, plan};
use reports::Reports;
use source::Sources;

/// What the controller needs.
pub const RIGHTS: &[Right] = &[
    Right::new(
        Scope::Cluster,
        "trackbed.dev",
        &["services", "builds", "deployments", "projects"],
        WATCH,
    ),
    Right::new(
        Scope::Cluster,
        "trackbed.dev",
        &["services/status"],
        &["update"],
    ),
    Right::new(Scope::Cluster, "", &["namespaces", "services"], WATCH),
    Right::new(Scope::Cluster, "apps", &["deployments"], WATCH),
    Right::new(Scope::Cluster, "batch", &["jobs"], WATCH),
    Right::new(
        Scope::Cluster,
        "autoscaling",
        &["horizontalpodautoscalers"],
        WATCH,
    ),
    Right::new(Scope::Cluster, "cert-manager.io", &["certificates"], WATCH),
    Right::new(
        Scope::Environment,
        "cert-manager.io",
        &["certificates"],
        WRITE,
    ),
    Right::new(
        Scope::Cluster,
        "gateway.networking.k8s.io",
        &["gateways", "httproutes"],
        WATCH,
    ),
    Right::new(
        Scope::Environment,
        "gateway.networking.k8s.io",
        &["gateways"],
        WRITE,
    ),
    // What became of a try to have one issued.
    Right::new(
        Scope::Environment,
        "cert-manager.io",
        &["certificaterequests"],
        &["list"],
    ),
    Right::new(
        Scope::Environment,
        "trackbed.dev",
        &["builds", "deployments"],
        WRITE,
    ),
    // To have a Service look when its forge tells of a push.
    Right::new(
        Scope::Environment,
        "trackbed.dev",
        &["services"],
        &["patch"],
    ),
    // Credentials of repositories and registries, and what variables refer to.
    Right::new(Scope::Environment, "", &["configmaps", "secrets"], &["get"]),
];

/// Starts the controller: asks for its caches now, runs until `stop` resolves.
pub fn start(
    context: Arc<Context>,
    caches: &mut Caches,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) -> BoxFuture<'static, ()> {
    let stores = Stores::new(caches, context.config.served);
    let (sources, answered) = Sources::new(context.clone(), stores.projects.clone());
    let (reports, told) = Reports::new(&context);
    let (dns, found) = Names::new();
    let controller = harness::controller::<Service>(caches);
    let controller = triggers::add(controller, caches, &stores, context.config.served)
        .reconcile_on(answered)
        .reconcile_on(told)
        .reconcile_on(found);
    let parts = Arc::new(Parts {
        stores,
        sources,
        reports,
        dns,
        inputs: Inputs::default(),
    });
    let shared = context.clone();
    harness::run(controller, context, stop, move |object| {
        let (context, parts) = (shared.clone(), parts.clone());
        async move { reconcile(&context, &parts, &object).await }
    })
    .boxed()
}

/// What reconciles share.
struct Parts {
    stores: Stores,
    sources: Arc<Sources>,
    reports: Arc<Reports>,
    dns: Arc<Names>,
    inputs: Inputs,
}

async fn reconcile(context: &Context, parts: &Parts, object: &Service) -> Result<Action, Error> {
    if meta::is_deleted(object) {
        // Everything that was made goes with its owner.
        let who = ObjectRef::from_obj(object);
        parts.reports.forget(&who);
        parts.dns.forget(&who);
        parts.inputs.forget(&who);
        return Ok(Action::await_change());
    }
    let api = Api::namespaced(
        context.client.clone(),
        &object.namespace().unwrap_or_default(),
    );
    let Parts {
        stores,
        sources,
        reports,
        dns,
        inputs,
    } = parts;
    let mut seen = observe(stores, sources, reports, dns, object, &context.config);
    let looked = inputs.look(context, object, &mut seen).await;
    let looked = looked.and(requests::look(context, object, &mut seen).await);
    let plan = plan(object, &seen, &context.config, Timestamp::now());
    let applied = write(context, reports, object, &seen, plan.children).await;
    finish(context, &api, object, plan.outcome, looked.and(applied)).await
}

/// Writes the children. New ones are only ever created: a Build and a Deployment never change.
async fn write(
    context: &Context,
    reports: &Arc<Reports>,
    object: &Service,
    seen: &Seen,
    children: Children,
) -> Result<(), Error> {
    let Children {
        build,
        release,
        old_builds,
        old_releases,
        addresses,
        report,
    } = children;
    if let Some(report) = report {
        reports.tell(ObjectRef::from_obj(object), report);
    }
    let namespace = object.namespace().unwrap_or_default();
    let builds: Api<Build> = Api::namespaced(context.client.clone(), &namespace);
    let releases: Api<Deployment> = Api::namespaced(context.client.clone(), &namespace);
    let controller = Service::CONTROLLER;
    if let Some(build) = build {
        apply(context, controller, &builds, &build, None, Fence::Observed).await?;
    }
    if let Some(release) = release {
        let fence = Fence::Observed;
        apply(context, controller, &releases, &release, None, fence).await?;
    }
    write_addresses(context, &namespace, seen, addresses).await?;
    for old in old_builds {
        delete(context, controller, &builds, old.as_ref()).await?;
    }
    for old in old_releases {
        delete(context, controller, &releases, old.as_ref()).await?;
    }
    Ok(())
}

/// Writes what hosts need besides routes.
async fn write_addresses(
    context: &Context,
    namespace: &str,
    seen: &Seen,
    addresses: Addresses,
) -> Result<(), Error> {
    let controller = Service::CONTROLLER;
    let api: Api<Certificate> = Api::namespaced(context.client.clone(), namespace);
    for certificate in addresses.certificates {
        let mut live = seen.certificates.iter();
        let live = live.find(|live| live.name_any() == certificate.name_any());
        let live = live.map(AsRef::as_ref);
        apply(context, controller, &api, &certificate, live, Fence::None).await?;
    }
    for old in addresses.old_certificates {
        delete(context, controller, &api, old.as_ref()).await?;
    }
    let api: Api<Gateway> = Api::namespaced(context.client.clone(), namespace);
    let live = seen.gateway.as_deref();
    if let Some(gateway) = addresses.gateway {
        apply(context, controller, &api, &gateway, live, Fence::None).await?;
    }
    if let Some(old) = addresses.old_gateway {
        delete(context, controller, &api, old.as_ref()).await?;
    }
    Ok(())
}
