//! Controller of the kind Project: a namespace per environment, with rights, limits and isolation.

mod apply;
pub mod observe;
pub mod plan;
mod read;
mod triggers;

use std::sync::Arc;

use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use jiff::Timestamp;
use k8s_openapi::api::{
    core::v1::{LimitRange, Namespace, ResourceQuota},
    networking::v1::NetworkPolicy,
    rbac::v1::RoleBinding,
};
use kube::{
    Api, Resource, ResourceExt,
    runtime::{controller::Action, reflector::ObjectRef},
};
use trackbed_api::{Database, Project, ProjectStatus, labels};
use trackbed_kit::{
    Caches, Context, Error, Health, Plan as Outcome, finalizer, finish, harness, meta,
    rbac::{Right, Scope, WATCH, WRITE},
};

use observe::{Stores, observe};
use plan::plan;

/// Finalizer of Projects: namespaces are removed by us, never by garbage collection.
pub const FINALIZER: &str = "trackbed.dev/project";

/// What the controller needs.
pub const RIGHTS: &[Right] = &[
    // patch: the finalizer.
    Right::new(
        Scope::Cluster,
        "trackbed.dev",
        &["projects"],
        &["list", "watch", "patch"],
    ),
    Right::new(
        Scope::Cluster,
        "trackbed.dev",
        &["projects/status"],
        &["update"],
    ),
    Right::new(
        Scope::Cluster,
        "trackbed.dev",
        &["databases", "services"],
        WATCH,
    ),
    Right::new(
        Scope::Cluster,
        "",
        &["namespaces"],
        &["get", "list", "watch", "create", "patch", "delete"],
    ),
    Right::new(
        Scope::Cluster,
        "",
        &["limitranges", "resourcequotas"],
        WATCH,
    ),
    // Before a namespace is deleted, in it.
    Right::new(Scope::Cluster, "", &["persistentvolumeclaims"], &["list"]),
    Right::new(
        Scope::Cluster,
        "networking.k8s.io",
        &["networkpolicies"],
        WATCH,
    ),
    // The first binding in an environment gives the right to everything else there.
    Right::new(
        Scope::Cluster,
        "rbac.authorization.k8s.io",
        &["rolebindings"],
        &["list", "watch", "create", "patch", "delete"],
    ),
    Right {
        scope: Scope::Cluster,
        group: "rbac.authorization.k8s.io",
        resources: &["clusterroles"],
        verbs: &["bind"],
        names: &[
            "trackbed-environment",
            "trackbed-owner",
            "trackbed-developer",
            "trackbed-viewer",
        ],
    },
    Right::new(
        Scope::Environment,
        "",
        &["limitranges", "resourcequotas"],
        WRITE,
    ),
    Right::new(
        Scope::Environment,
        "",
        &["configmaps", "secrets"],
        &["get", "create", "patch", "delete"],
    ),
    Right::new(
        Scope::Environment,
        "networking.k8s.io",
        &["networkpolicies"],
        WRITE,
    ),
    // Copies in previews; and Databases before their namespace goes.
    Right::new(
        Scope::Environment,
        "trackbed.dev",
        &["databases", "services"],
        &["create", "patch", "delete"],
    ),
    Right::new(Scope::Operator, "", &["secrets"], &["get"]),
];

/// Starts the controller: asks for its caches now, runs until `stop` resolves.
pub fn start(
    context: Arc<Context>,
    caches: &mut Caches,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) -> BoxFuture<'static, ()> {
    let stores = Stores::new(caches);
    let services = stores.services.clone();
    let services = triggers::copied(caches.changes(), services, &stores);
    let databases = stores.databases.clone();
    let databases = triggers::copied(caches.changes(), databases, &stores);
    let controller = harness::controller::<Project>(caches)
        .reconcile_on(of_namespace(caches.changes::<Namespace>()))
        .reconcile_on(labelled(caches.changes::<RoleBinding>()))
        .reconcile_on(labelled(caches.changes::<ResourceQuota>()))
        .reconcile_on(labelled(caches.changes::<LimitRange>()))
        .reconcile_on(labelled(caches.changes::<NetworkPolicy>()))
        // What was kept for its data may go when they are gone.
        .reconcile_on(kept(caches, &stores))
        .reconcile_on(services)
        .reconcile_on(databases);
    let shared = context.clone();
    harness::run(controller, context, stop, move |object| {
        let (context, stores) = (shared.clone(), stores.clone());
        async move { reconcile(&context, &stores, &object).await }
    })
    .boxed()
}

async fn reconcile(context: &Context, stores: &Stores, object: &Project) -> Result<Action, Error> {
    let api: Api<Project> = Api::all(context.client.clone());
    let held = object.finalizers().iter().any(|it| it == FINALIZER);
    // Held before anything is made.
    if !held && (meta::is_deleted(object) || finalizer::hold(&api, object, FINALIZER).await?) {
        return Ok(Action::await_change());
    }
    let now = Timestamp::now();
    let seen = match observe(context, stores, object, now).await {
        Ok(seen) => seen,
        Err(error) => return finish(context, &api, object, unseen(object), Err(error)).await,
    };
    let mut plan = plan(object, &seen, &context.config, now);
    let failures = apply::apply(context, &seen, plan.children).await;
    if plan.gone && failures.is_empty() {
        let (_, _, message) = plan.outcome.health.ready();
        tracing::info!(project = %object.name_any(), message, "lets the Project go");
        finalizer::release(&api, object, FINALIZER).await?;
        return Ok(Action::await_change());
    }
    let done = plan::report(&mut plan.outcome.status, failures);
    finish(context, &api, object, plan.outcome, done).await
}

/// What stays said of a Project that cannot be looked at; the error says the rest.
fn unseen(object: &Project) -> Outcome<ProjectStatus> {
    Outcome {
        status: object.status.clone().unwrap_or_default(),
        health: Health::Progressing("looks".to_owned()),
        facts: Vec::new(),
        requeue: None,
    }
}

/// The Project whose label a child carries.
fn labelled<K: Resource<DynamicType = ()> + Send + Sync + 'static>(
    changes: impl stream::Stream<Item = Arc<K>> + Send + 'static,
) -> impl stream::Stream<Item = ObjectRef<Project>> + Send + 'static {
    changes.filter_map(|child| {
        let project = meta::label(child.as_ref(), labels::PROJECT).map(ObjectRef::new);
        futures::future::ready(project)
    })
}

/// The Project of an environment.
fn of_namespace(
    changes: impl stream::Stream<Item = Arc<Namespace>> + Send + 'static,
) -> impl stream::Stream<Item = ObjectRef<Project>> + Send + 'static {
    labelled(changes)
}

/// The Project of a namespace whose Databases change, if it wants to be rid of the namespace.
fn kept(
    caches: &mut Caches,
    stores: &Stores,
) -> impl stream::Stream<Item = ObjectRef<Project>> + Send + 'static {
    let (namespaces, projects) = (stores.namespaces.clone(), stores.projects.clone());
    // The cache is asked for, because a stream alone would watch another selection.
    let _databases = caches.all::<Database>();
    caches.changes::<Database>().filter_map(move |database| {
        let found = database.namespace().and_then(|namespace| {
            let namespace = namespaces.get_cluster(&namespace)?;
            let project =
                projects.get_cluster(meta::label(namespace.as_ref(), labels::PROJECT)?)?;
            let environment = meta::label(namespace.as_ref(), labels::ENVIRONMENT)?;
            let mut wanted = project.spec.environments.iter();
            let wanted = wanted.any(|it| it.name.as_str() == environment);
            (meta::is_deleted(project.as_ref()) || !wanted)
                .then(|| ObjectRef::from_obj(project.as_ref()))
        });
        futures::future::ready(found)
    })
}
