//! Controller of the kind Service: follows a source, has it built, and has it released.
//!
//! Looking at the source happens beside the reconciles ([`source`]) and wakes them when it has an
//! answer. What follows from it is decided from stored objects alone: a commit is first written
//! down in status with its place in the order, and only what is written down is built and released,
//! so a restart at any point neither loses a commit nor builds it twice.

pub mod hooks;
pub mod observe;
pub mod plan;
pub mod reports;
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
    finish, harness, meta,
    rbac::{Right, Scope, WATCH, WRITE},
};

use observe::{Stores, observe};
use plan::{Children, plan};
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
    Right::new(Scope::Cluster, "", &["namespaces"], WATCH),
    Right::new(Scope::Cluster, "apps", &["deployments"], WATCH),
    Right::new(Scope::Cluster, "batch", &["jobs"], WATCH),
    Right::new(
        Scope::Cluster,
        "autoscaling",
        &["horizontalpodautoscalers"],
        WATCH,
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
    // Credentials of repositories and registries.
    Right::new(Scope::Environment, "", &["secrets"], &["get"]),
];

/// Starts the controller: asks for its caches now, runs until `stop` resolves.
pub fn start(
    context: Arc<Context>,
    caches: &mut Caches,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) -> BoxFuture<'static, ()> {
    let stores = Stores::new(caches);
    let (sources, answered) = Sources::new(context.clone(), stores.projects.clone());
    let (reports, told) = Reports::new(&context);
    let controller = harness::controller::<Service>(caches);
    let controller = triggers::add(controller, caches, &stores)
        .reconcile_on(answered)
        .reconcile_on(told);
    let parts = Arc::new(Parts {
        stores,
        sources,
        reports,
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
}

async fn reconcile(context: &Context, parts: &Parts, object: &Service) -> Result<Action, Error> {
    if meta::is_deleted(object) {
        // Everything that was made goes with its owner.
        parts.reports.forget(&ObjectRef::from_obj(object));
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
    } = parts;
    let seen = observe(stores, sources, reports, object);
    let plan = plan(object, &seen, &context.config, Timestamp::now());
    let applied = write(context, reports, object, plan.children).await;
    finish(context, &api, object, plan.outcome, applied).await
}

/// Writes the children. New ones are only ever created: a Build and a Deployment never change.
async fn write(
    context: &Context,
    reports: &Arc<Reports>,
    object: &Service,
    children: Children,
) -> Result<(), Error> {
    let Children {
        build,
        release,
        old_builds,
        old_releases,
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
    for old in old_builds {
        delete(context, controller, &builds, old.as_ref()).await?;
    }
    for old in old_releases {
        delete(context, controller, &releases, old.as_ref()).await?;
    }
    Ok(())
}
