//! Controller of the kind Deployment: one release of a Service.
//!
//! A release applies itself onto the Service's one workload, judges its pods, and becomes Active
//! or fails. Which release may do so is decided in [`plan::order`]; all of it from what is stored,
//! so that a restart at any point continues where it was.

pub mod apply;
pub mod observe;
pub mod plan;
pub mod triggers;

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use kube::{Api, ResourceExt, runtime::controller::Action};
use trackbed_api::Deployment;
use trackbed_kit::{
    Caches, Context, Error, Fact, Health, Plan as Outcome, finish, harness,
    rbac::{Right, Scope, WATCH},
};

use observe::{Seen, Stores, observe};
use plan::plan;

/// To apply and remove children that are looked for before they are created.
const OWN: &[&str] = &["get", "create", "patch", "delete"];

/// What the controller needs.
pub const RIGHTS: &[Right] = &[
    Right::new(
        Scope::Cluster,
        "trackbed.dev",
        &["deployments"],
        // get: to tell a release that is gone from one that is not seen yet.
        &["get", "list", "watch"],
    ),
    Right::new(
        Scope::Cluster,
        "trackbed.dev",
        &["deployments/status"],
        &["update"],
    ),
    Right::new(
        Scope::Cluster,
        "trackbed.dev",
        &["databases", "projects", "services"],
        WATCH,
    ),
    Right::new(
        Scope::Cluster,
        "",
        &["namespaces", "persistentvolumeclaims", "pods", "services"],
        WATCH,
    ),
    Right::new(Scope::Cluster, "apps", &["deployments"], WATCH),
    Right::new(
        Scope::Cluster,
        "autoscaling",
        &["horizontalpodautoscalers"],
        WATCH,
    ),
    Right::new(Scope::Cluster, "batch", &["cronjobs", "jobs"], WATCH),
    Right::new(
        Scope::Cluster,
        "networking.k8s.io",
        &["ingresses", "networkpolicies"],
        WATCH,
    ),
    Right::new(
        Scope::Cluster,
        "gateway.networking.k8s.io",
        &["httproutes"],
        WATCH,
    ),
    Right::new(Scope::Cluster, "policy", &["poddisruptionbudgets"], WATCH),
    Right::new(
        Scope::Environment,
        "apps",
        &["deployments"],
        &["get", "create", "patch"],
    ),
    Right::new(
        Scope::Environment,
        "",
        &["persistentvolumeclaims"],
        &["get", "create", "patch"],
    ),
    Right::new(Scope::Environment, "", &["services"], OWN),
    Right::new(
        Scope::Environment,
        "autoscaling",
        &["horizontalpodautoscalers"],
        OWN,
    ),
    Right::new(Scope::Environment, "batch", &["cronjobs", "jobs"], OWN),
    Right::new(
        Scope::Environment,
        "networking.k8s.io",
        &["ingresses", "networkpolicies"],
        OWN,
    ),
    Right::new(
        Scope::Environment,
        "gateway.networking.k8s.io",
        &["httproutes"],
        OWN,
    ),
    Right::new(Scope::Environment, "policy", &["poddisruptionbudgets"], OWN),
    Right::new(
        Scope::Environment,
        "",
        &["configmaps", "pods/log"],
        &["get"],
    ),
    // Each release keeps a copy of what its variables refer to.
    Right::new(
        Scope::Environment,
        "",
        &["secrets"],
        &["get", "create", "patch"],
    ),
];

/// Starts the controller: asks for its caches now, runs until `stop` resolves.
pub fn start(
    context: Arc<Context>,
    caches: &mut Caches,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) -> BoxFuture<'static, ()> {
    let stores = Stores::new(caches, context.config.served);
    let controller = harness::controller::<Deployment>(caches);
    let controller = triggers::add(controller, caches, &stores, context.config.served);
    let shared = context.clone();
    harness::run(controller, context, stop, move |object| {
        let (context, stores) = (shared.clone(), stores.clone());
        async move { reconcile(&context, &stores, &object).await }
    })
    .boxed()
}

async fn reconcile(
    context: &Context,
    stores: &Stores,
    object: &Deployment,
) -> Result<Action, Error> {
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<Deployment> = Api::namespaced(context.client.clone(), &namespace);
    let now = Timestamp::now();
    let seen = match observe(context, stores, object, now).await {
        Ok(seen) => seen,
        Err(error) => return finish(context, &api, object, unseen(object), Err(error)).await,
    };
    let plan = plan(object, &seen, &context.config, now);
    let outcome = plan.outcome.clone();
    let done = write(context, object, &seen, plan).await;
    finish(context, &api, object, outcome, done).await
}

async fn write(
    context: &Context,
    object: &Deployment,
    seen: &Seen,
    plan: plan::Plan,
) -> Result<(), Error> {
    if let Some(copy) = &plan.copy {
        apply::copy(context, object, copy).await?;
    }
    match (plan.job, plan.children) {
        (Some(job), _) => apply::prepare(context, object, seen, job).await,
        (None, Some(children)) => apply::apply(context, object, seen, children).await,
        (None, None) => Ok(()),
    }
}

/// What stays said of a release that cannot be looked at; the error says the rest.
fn unseen(object: &Deployment) -> Outcome<trackbed_api::DeploymentStatus> {
    Outcome {
        status: object.status.clone().unwrap_or_default(),
        health: Health::Progressing("looks".to_owned()),
        facts: vec![Fact::new(
            trackbed_api::common::condition::AVAILABLE,
            None,
            "Unknown",
            "the release cannot be looked at",
        )],
        requeue: None,
    }
}
