//! Controller of the kind Database: a Postgres, Redis or Valkey server with its data.
//!
//! The claim and the Secret belong to nobody, so nothing takes them away by accident: only a
//! deletion under the policy `Delete` does, on purpose and by uid.

mod apply;
pub mod barman_cloud;
pub mod cloudnative_pg;
pub mod observe;
pub mod plan;
mod removal;
mod volumes;

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    batch::v1::{CronJob, Job},
    core::v1::{PersistentVolumeClaim, Pod, Service},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, ResourceExt,
    runtime::{controller::Action, events::EventType, reflector::ObjectRef},
};
use trackbed_api::{Database, labels};
use trackbed_kit::{
    Caches, Context, Error, Fact, Health, Plan as Outcome, events, finalizer, finish, harness,
    meta,
    rbac::{Right, Scope, WATCH},
};

use barman_cloud::{ObjectStore, ScheduledBackup};
use cloudnative_pg::Cluster;
use observe::{Stores, observe};
use plan::plan;
use volumes::Volumes;

/// Finalizer of Databases: what a deletion does to data is decided once, by the policy at that time.
pub const FINALIZER: &str = "trackbed.dev/database";

/// What the controller needs.
pub const RIGHTS: &[Right] = &[
    // patch: the finalizer.
    Right::new(
        Scope::Cluster,
        "trackbed.dev",
        &["databases"],
        &["list", "watch", "patch"],
    ),
    Right::new(
        Scope::Cluster,
        "trackbed.dev",
        &["databases/status"],
        &["update"],
    ),
    Right::new(
        Scope::Cluster,
        "",
        &["namespaces", "persistentvolumeclaims", "pods", "services"],
        WATCH,
    ),
    Right::new(Scope::Cluster, "apps", &["statefulsets"], WATCH),
    Right::new(Scope::Cluster, "batch", &["cronjobs", "jobs"], WATCH),
    Right::new(
        Scope::Cluster,
        "networking.k8s.io",
        &["networkpolicies"],
        WATCH,
    ),
    Right::new(Scope::Cluster, "policy", &["poddisruptionbudgets"], WATCH),
    Right::new(
        Scope::Environment,
        "policy",
        &["poddisruptionbudgets"],
        &["create", "patch"],
    ),
    Right::new(Scope::Environment, "", &["services"], &["create", "patch"]),
    // A server's, to have it restarted.
    Right::new(Scope::Environment, "", &["pods"], &["delete"]),
    Right::new(
        Scope::Environment,
        "",
        &["configmaps", "persistentvolumeclaims", "secrets"],
        &["get", "create", "patch", "delete"],
    ),
    Right::new(
        Scope::Environment,
        "apps",
        &["statefulsets"],
        &["create", "patch"],
    ),
    Right::new(Scope::Cluster, "postgresql.cnpg.io", &["clusters"], WATCH),
    Right::new(
        Scope::Environment,
        "postgresql.cnpg.io",
        &["clusters"],
        &["get", "create", "patch", "delete"],
    ),
    // Of archives: where they are, and what has copies taken.
    Right::new(
        Scope::Cluster,
        "barmancloud.cnpg.io",
        &["objectstores"],
        WATCH,
    ),
    Right::new(
        Scope::Environment,
        "barmancloud.cnpg.io",
        &["objectstores"],
        &["create", "get", "patch", "delete"],
    ),
    Right::new(
        Scope::Cluster,
        "postgresql.cnpg.io",
        &["scheduledbackups"],
        WATCH,
    ),
    Right::new(
        Scope::Environment,
        "postgresql.cnpg.io",
        &["scheduledbackups"],
        &["create", "patch", "delete"],
    ),
    Right::new(
        Scope::Environment,
        "batch",
        &["cronjobs", "jobs"],
        &["create", "patch", "delete"],
    ),
    Right::new(
        Scope::Environment,
        "networking.k8s.io",
        &["networkpolicies"],
        &["create", "patch"],
    ),
];

/// Starts the controller: asks for its caches now, runs until `stop` resolves.
pub fn start(
    context: Arc<Context>,
    caches: &mut Caches,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) -> BoxFuture<'static, ()> {
    let served = context.config.served;
    let stores = Stores::new(caches, served);
    let (volumes, changed) = Volumes::new();
    let controller = harness::controller::<Database>(caches)
        .reconcile_on(changed)
        .reconcile_on(harness::residents(caches))
        .reconcile_on(harness::owners(caches.changes::<StatefulSet>()))
        .reconcile_on(harness::owners(caches.changes::<Service>()))
        .reconcile_on(harness::owners(caches.changes::<CronJob>()))
        .reconcile_on(harness::labelled(caches.changes::<Job>(), labels::DATABASE))
        .reconcile_on(harness::owners(caches.changes::<NetworkPolicy>()))
        .reconcile_on(harness::owners(caches.changes::<PodDisruptionBudget>()))
        .reconcile_on(harness::labelled(
            caches.changes::<PersistentVolumeClaim>(),
            labels::DATABASE,
        ))
        .reconcile_on(harness::labelled(caches.changes::<Pod>(), labels::DATABASE));
    let controller = match served.cloudnative_pg {
        true => {
            let clusters = caches.changes::<Cluster>();
            controller.reconcile_on(harness::labelled(clusters, labels::DATABASE))
        }
        false => controller,
    };
    let controller = match served.archives() {
        true => {
            let stores = caches.changes::<ObjectStore>();
            let copies = caches.changes::<ScheduledBackup>();
            controller
                .reconcile_on(harness::labelled(stores, labels::DATABASE))
                .reconcile_on(harness::owners(copies))
        }
        false => controller,
    };
    let shared = context.clone();
    harness::run(controller, context, stop, move |object| {
        let (context, stores, volumes) = (shared.clone(), stores.clone(), volumes.clone());
        async move { reconcile(&context, &stores, &volumes, &object).await }
    })
    .boxed()
}

async fn reconcile(
    context: &Context,
    stores: &Stores,
    volumes: &Arc<Volumes>,
    object: &Database,
) -> Result<Action, Error> {
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<Database> = Api::namespaced(context.client.clone(), &namespace);
    if meta::is_deleted(object) {
        let namespace = stores.namespaces.get_cluster(&namespace);
        let data = plan::deletion::data(object, namespace.as_deref());
        removal::remove(context, &api, object, data).await?;
        volumes.forget(&ObjectRef::from_obj(object));
        return Ok(Action::await_change());
    }
    let seen = match observe(context, stores, volumes, object).await {
        Ok(seen) => seen,
        Err(error) => return finish(context, &api, object, unseen(object), Err(error)).await,
    };
    let plan = plan(object, &seen, &context.config, Timestamp::now());
    let capacity = plan.outcome.status.storage.as_deref();
    volumes.told(&ObjectRef::from_obj(object), capacity);
    // Held before anything is made.
    if plan.children.is_some() && finalizer::hold(&api, object, FINALIZER).await? {
        return Ok(Action::await_change());
    }
    let warnings = plan::warnings(object.status.as_ref(), &plan.outcome.facts);
    let warnings: Vec<_> = warnings.into_iter().cloned().collect();
    let done = match plan.children {
        Some(children) => apply::apply(context, object, &seen, children).await,
        None => Ok(()),
    };
    let next = finish(context, &api, object, plan.outcome, done).await?;
    // Once the status says so: until then it would be told again with each attempt.
    for Fact {
        reason, message, ..
    } in &warnings
    {
        events::publish(context, object, EventType::Warning, reason, message).await;
    }
    Ok(next)
}

/// What stays said of a Database that cannot be looked at; the error says the rest.
fn unseen(object: &Database) -> Outcome<trackbed_api::DatabaseStatus> {
    Outcome {
        status: object.status.clone().unwrap_or_default(),
        health: Health::Progressing("looks".to_owned()),
        facts: Vec::new(),
        requeue: None,
    }
}
