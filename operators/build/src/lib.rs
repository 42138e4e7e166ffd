//! Controller of the kind Build: one image from one commit.
//!
//! A Job does the work in containers that run one after the other. *fetch* has the repository's
//! credentials, *push* the registry's; *build*, between them, runs the user's lines and has neither,
//! nor a token for the API server, nor has *hand-over*, which lets *push* read what was built.

pub mod observe;
mod places;
pub mod plan;
pub mod queue;
pub mod registry;
mod removal;
mod removals;

use std::sync::Arc;

use futures::{FutureExt, Stream, StreamExt, future::BoxFuture};
use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{PersistentVolumeClaim, Pod},
};
use kube::{
    Api, ResourceExt,
    runtime::{controller::Action, reflector::ObjectRef},
};
use trackbed_api::{Build, Project, labels};
use trackbed_kit::{
    Caches, Context, Error, Fact, Health, Kind, Plan as Outcome,
    apply::{Fence, apply, delete},
    finish, harness, meta,
    rbac::{Right, Scope, WATCH, WRITE},
};

use observe::{Stores, observe};
use places::Places;
use plan::{Children, plan};
use removals::Removals;

/// What the controller needs.
pub const RIGHTS: &[Right] = &[
    // patch: the finalizer. What is bound in a namespace may go before its Builds do.
    Right::new(
        Scope::Cluster,
        "trackbed.dev",
        &["builds"],
        &["list", "watch", "patch"],
    ),
    // services, deployments: who uses an image.
    Right::new(
        Scope::Cluster,
        "trackbed.dev",
        &["projects", "services", "deployments"],
        WATCH,
    ),
    Right::new(
        Scope::Cluster,
        "trackbed.dev",
        &["builds/status"],
        &["update"],
    ),
    Right::new(
        Scope::Cluster,
        "",
        &["namespaces", "pods", "persistentvolumeclaims"],
        WATCH,
    ),
    Right::new(Scope::Cluster, "batch", &["jobs"], WATCH),
    Right::new(Scope::Environment, "batch", &["jobs"], WRITE),
    Right::new(
        Scope::Environment,
        "",
        &["persistentvolumeclaims"],
        &["create", "patch"],
    ),
    Right::new(Scope::Environment, "", &["pods/log", "secrets"], &["get"]),
    Right::new(Scope::Environment, "", &["events"], &["list"]),
    // The registry's credentials: those in an environment go with it, before its images do.
    Right::new(Scope::Operator, "", &["secrets"], &["get"]),
];

/// Starts the controller: asks for its caches now, runs until `stop` resolves.
pub fn start(
    context: Arc<Context>,
    caches: &mut Caches,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) -> BoxFuture<'static, ()> {
    let stores = Stores::new(caches);
    let (places, woken) = Places::new(stores.clone());
    let (removals, answered) = Removals::new();
    let builds = refreshing(caches.changes::<Build>(), &places, &context);
    let projects = refreshing(caches.changes::<Project>(), &places, &context);
    let superseded = superseded(caches.changes::<Build>(), &stores);
    let controller = harness::controller::<Build>(caches)
        .reconcile_on(woken)
        .reconcile_on(answered)
        .reconcile_on(superseded)
        .reconcile_on(harness::residents(caches))
        .reconcile_on(futures::stream::select(builds, projects))
        .reconcile_on(harness::owners(caches.changes::<Job>()))
        .reconcile_on(harness::labelled(caches.changes::<Pod>(), labels::BUILD));
    let shared = context.clone();
    harness::run(controller, context, stop, move |object| {
        let (context, stores, places) = (shared.clone(), stores.clone(), places.clone());
        let removals = removals.clone();
        async move {
            if meta::is_deleted(object.as_ref()) {
                // The Job and its pods go with their owner.
                return removal::reconcile(&context, &stores, &removals, &object).await;
            }
            reconcile(&context, &stores, &places, &object).await
        }
    })
    .boxed()
}

/// Looks at the queue again after changes, those that came at once together. The queue itself says
/// who is to be reconciled.
fn refreshing<K: Send + Sync + 'static>(
    changes: impl Stream<Item = Arc<K>> + Send + 'static,
    places: &Arc<Places>,
    context: &Arc<Context>,
) -> impl Stream<Item = ObjectRef<Build>> + Send + 'static {
    let (places, context) = (places.clone(), context.clone());
    changes.ready_chunks(1024).filter_map(move |_| {
        places.refresh(&context.config);
        futures::future::ready(None)
    })
}

/// Names the older Builds that a newer one ends.
fn superseded(
    changes: impl Stream<Item = Arc<Build>> + Send + 'static,
    stores: &Stores,
) -> impl Stream<Item = ObjectRef<Build>> + Send + 'static {
    let stores = stores.clone();
    changes.flat_map(move |newer| {
        let older = if newer.spec.build.supersede {
            stores.older(&newer)
        } else {
            Vec::new()
        };
        let references = older.into_iter().map(|it| ObjectRef::from_obj(it.as_ref()));
        futures::stream::iter(references.collect::<Vec<_>>())
    })
}

async fn reconcile(
    context: &Context,
    stores: &Stores,
    places: &Places,
    object: &Build,
) -> Result<Action, Error> {
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<Build> = Api::namespaced(context.client.clone(), &namespace);
    let now = Timestamp::now();
    let seen = match observe(context, stores, places, object, now).await {
        Ok(seen) => seen,
        Err(error) => return finish(context, &api, object, unseen(object), Err(error)).await,
    };
    let plan = plan(object, &seen, &context.config, now);
    // What a stop takes away (logs) is in status first.
    if !plan.children.stop.is_empty() && object.status.as_ref() != Some(&plan.outcome.status) {
        let action = finish(context, &api, object, plan.outcome, Ok(())).await?;
        write(context, object, plan.children).await?;
        return Ok(action);
    }
    let done = write(context, object, plan.children).await;
    finish(context, &api, object, plan.outcome, done).await
}

async fn write(context: &Context, object: &Build, children: Children) -> Result<(), Error> {
    let Children { claim, job, stop } = children;
    let namespace = object.namespace().unwrap_or_default();
    let jobs: Api<Job> = Api::namespaced(context.client.clone(), &namespace);
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(context.client.clone(), &namespace);
    let controller = Build::CONTROLLER;
    if let Some(claim) = claim {
        apply(context, controller, &claims, &claim, None, Fence::None).await?;
    }
    if let Some(job) = job {
        // Only ever created: a Job that is there already is met again by its name.
        apply(context, controller, &jobs, &job, None, Fence::Observed).await?;
    }
    for job in stop {
        delete(context, controller, &jobs, job.as_ref()).await?;
    }
    Ok(())
}

/// What stays said of a Build that cannot be looked at; the error says the rest.
fn unseen(object: &Build) -> Outcome<trackbed_api::BuildStatus> {
    Outcome {
        status: object.status.clone().unwrap_or_default(),
        health: Health::Progressing("looks".to_owned()),
        facts: vec![Fact::new(
            trackbed_api::common::condition::SUCCEEDED,
            None,
            "Unknown",
            "the Build cannot be looked at",
        )],
        requeue: None,
    }
}
