//! Runs a controller: triggers, bounded concurrency, a deadline and a catch for panics around each
//! reconcile, back-off per object.

use std::{
    collections::HashMap,
    fmt::Debug,
    hash::Hash,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{FutureExt, Stream, StreamExt, stream};
use k8s_openapi::{api::core::v1::Namespace, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Resource, ResourceExt,
    core::object::HasStatus,
    runtime::{
        Controller,
        controller::{Action, Config as ControllerConfig},
        reflector::ObjectRef,
    },
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Caches, Class, Context, Error, meta};

/// Longest reconcile. What takes longer belongs into a Job or a task of its own.
const DEADLINE: Duration = Duration::from_secs(60);
/// Back-off of an object's failures: first, and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// What all statuses have.
pub trait StatusParts: Default + Clone + PartialEq + Serialize + Send + Sync {
    /// The conditions.
    fn conditions(&self) -> &[Condition];
    /// The conditions, to replace them.
    fn conditions_mut(&mut self) -> &mut Vec<Condition>;
    /// The observed generation, to set it.
    fn observed_generation_mut(&mut self) -> &mut Option<i64>;
}

macro_rules! status_parts {
    ($($status:ty),+) => {$(
        impl StatusParts for $status {
            fn conditions(&self) -> &[Condition] { &self.conditions }
            fn conditions_mut(&mut self) -> &mut Vec<Condition> { &mut self.conditions }
            fn observed_generation_mut(&mut self) -> &mut Option<i64> { &mut self.observed_generation }
        }
    )+};
}
status_parts!(
    trackbed_api::ProjectStatus,
    trackbed_api::ServiceStatus,
    trackbed_api::BuildStatus,
    trackbed_api::DeploymentStatus,
    trackbed_api::DatabaseStatus
);

/// One of the five kinds.
pub trait Kind:
    Resource<DynamicType = ()>
    + HasStatus<Status: StatusParts>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// Name of its controller, as in flags, metrics and field managers.
    const CONTROLLER: &'static str;
}

impl Kind for trackbed_api::Project {
    const CONTROLLER: &'static str = "project";
}
impl Kind for trackbed_api::Service {
    const CONTROLLER: &'static str = "service";
}
impl Kind for trackbed_api::Build {
    const CONTROLLER: &'static str = "build";
}
impl Kind for trackbed_api::Deployment {
    const CONTROLLER: &'static str = "deployment";
}
impl Kind for trackbed_api::Database {
    const CONTROLLER: &'static str = "database";
}

/// A controller of a kind, triggered by the kind's own changes. Add others with
/// [`Controller::reconcile_on`] and the streams below.
pub fn controller<K: Kind>(caches: &mut Caches) -> Controller<K>
where
    K::DynamicType: Debug + Eq + Hash + Clone + Unpin,
{
    let cache = caches.all::<K>();
    let changes = caches.changes::<K>();
    Controller::for_shared_stream(changes, cache.store())
}

/// Names the owner (of kind `K`) of each changed child.
pub fn owners<K: Kind, C>(
    changes: impl Stream<Item = Arc<C>> + Send + 'static,
) -> impl Stream<Item = ObjectRef<K>> + Send + 'static
where
    C: Resource<DynamicType = ()> + Send + Sync + 'static,
{
    changes.filter_map(|child| {
        let found = meta::controller(child.as_ref())
            .filter(|owner| owner.kind == K::kind(&()) && owner.api_version == K::api_version(&()))
            .map(|owner| {
                let reference = ObjectRef::new(&owner.name);
                match child.namespace() {
                    Some(namespace) => reference.within(&namespace),
                    None => reference,
                }
            });
        futures::future::ready(found)
    })
}

/// Names the object of kind `K` that each changed object's label points to, in its namespace.
pub fn labelled<K: Kind, C>(
    changes: impl Stream<Item = Arc<C>> + Send + 'static,
    label: &'static str,
) -> impl Stream<Item = ObjectRef<K>> + Send + 'static
where
    C: Resource<DynamicType = ()> + Send + Sync + 'static,
{
    changes.filter_map(move |child| {
        let found = meta::label(child.as_ref(), label)
            .zip(child.namespace())
            .map(|(name, namespace)| ObjectRef::new(name).within(&namespace));
        futures::future::ready(found)
    })
}

/// Names the objects of kind `K` in each namespace that changes: it becomes an environment of a
/// Project, or ceases to be one.
pub fn residents<K: Kind>(
    caches: &mut Caches,
) -> impl Stream<Item = ObjectRef<K>> + Send + 'static {
    let all = caches.all::<K>();
    caches.changes::<Namespace>().flat_map(move |namespace| {
        let here = all.list(&namespace.name_any(), |_| true);
        let references = here.iter().map(|it| ObjectRef::from_obj(it.as_ref()));
        stream::iter(references.collect::<Vec<_>>())
    })
}

/// Runs a controller until `stop` resolves.
pub async fn run<K, R, F>(
    controller: Controller<K>,
    context: Arc<Context>,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
    reconcile: R,
) where
    K: Kind,
    K::DynamicType: Debug + Eq + Hash + Clone + Unpin,
    R: Fn(Arc<K>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let failures = Arc::new(Failures::default());
    let reconcile = Arc::new(reconcile);
    let concurrency = context.config.concurrency;
    let counted = failures.clone();
    let guarded = move |object: Arc<K>, context: Arc<Context>| {
        let future = reconcile(object.clone());
        guard(future, object, context, counted.clone())
    };
    let policy = move |object: Arc<K>, error: &Error, _: Arc<Context>| {
        let delay = match error.class() {
            Class::Bug => crate::status::BUG_RETRY,
            Class::User | Class::Transient => failures.delay(&key(object.as_ref())),
        };
        tracing::warn!(controller = K::CONTROLLER, object = %crate::apply::describe(object.as_ref()), %error, retry_in = ?delay, "reconcile failed");
        Action::requeue(delay)
    };
    controller
        .with_config(ControllerConfig::default().concurrency(concurrency))
        .graceful_shutdown_on(stop)
        .run(guarded, policy, context)
        .for_each(|_| futures::future::ready(()))
        .await;
}

async fn guard<K: Kind>(
    future: impl Future<Output = Result<Action, Error>> + Send + 'static,
    object: Arc<K>,
    context: Arc<Context>,
    failures: Arc<Failures>,
) -> Result<Action, Error> {
    let started = Instant::now();
    let caught = tokio::time::timeout(DEADLINE, AssertUnwindSafe(future).catch_unwind()).await;
    let result = match caught {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(Error::Panic(text_of(panic.as_ref()))),
        Err(_elapsed) => Err(Error::Deadline(DEADLINE.as_secs())),
    };
    let key = key(object.as_ref());
    match &result {
        Ok(_) => failures.forget(&key),
        Err(_) => failures.count(key),
    }
    let label = match &result {
        Ok(_) => "ok",
        Err(error) => match error.class() {
            Class::Transient => "transient",
            Class::User => "user",
            Class::Bug => "bug",
        },
    };
    context
        .metrics
        .reconciled(K::CONTROLLER, label, started.elapsed().as_secs_f64());
    result
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

fn key<K: Resource>(object: &K) -> String {
    object.uid().unwrap_or_else(|| object.name_any())
}

/// Failures in a row, by uid. Lost with the process, which only makes the first retry early.
#[derive(Default)]
struct Failures(Mutex<HashMap<String, u32>>);

impl Failures {
    fn count(&self, key: String) {
        *self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(key)
            .or_default() += 1;
    }

    fn forget(&self, key: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }

    fn delay(&self, key: &str) -> Duration {
        let count = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .copied()
            .unwrap_or(1);
        backoff(count, rand::random())
    }
}

/// Doubles with each failure in a row up to five minutes, less up to a fifth by chance, so that
/// objects that failed together do not come back together.
fn backoff(failures: u32, chance: f64) -> Duration {
    let full = BACKOFF
        .0
        .saturating_mul(
            1_u32
                .checked_shl(failures.saturating_sub(1))
                .unwrap_or(u32::MAX),
        )
        .min(BACKOFF.1);
    full.mul_f64(1.0 - 0.2 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_up_to_its_limit() {
        let seconds: Vec<u64> = [1, 2, 3, 9, 10, 40]
            .iter()
            .map(|n| backoff(*n, 0.0).as_secs())
            .collect();
        assert_eq!(seconds, [1, 2, 4, 256, 300, 300]);
        assert!(backoff(3, 1.0) < backoff(3, 0.0));
    }
}
