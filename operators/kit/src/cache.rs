//! Watched objects in memory. One watch a kind serves all controllers of a process.
//!
//! Every change reaches every subscriber, deletions included, also those that happened while the
//! watch was down: they are found when the list after a reconnect is compared with what was known.

use std::{
    any::{Any, TypeId},
    collections::{BTreeSet, HashMap},
    fmt::Debug,
    sync::Arc,
};

use futures::{Stream, StreamExt, channel::mpsc, future::BoxFuture};
use kube::{
    Api, Client, Resource, ResourceExt,
    runtime::{
        WatchStreamExt,
        reflector::{self, ObjectRef, Store, store::Writer},
        watcher,
    },
};
use serde::de::DeserializeOwned;

/// What a kind must be to be watched.
pub trait Watched:
    Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
}
impl<K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static>
    Watched for K
{
}

/// The objects of one kind, as last seen.
pub struct Cache<K: Watched> {
    store: Store<K>,
}

impl<K: Watched> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
        }
    }
}

impl<K: Watched> Cache<K> {
    /// The cache of a kind that the cluster does not serve: nobody watches it.
    fn empty() -> Self {
        Self {
            store: reflector::store().0,
        }
    }

    /// The underlying store.
    pub fn store(&self) -> Store<K> {
        self.store.clone()
    }

    /// One object of a namespace.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.store.get(&ObjectRef::new(name).within(namespace))
    }

    /// One object of a cluster-scoped kind.
    pub fn get_cluster(&self, name: &str) -> Option<Arc<K>> {
        self.store.get(&ObjectRef::new(name))
    }

    /// All objects of a namespace that a predicate holds for, ordered by name.
    pub fn list(&self, namespace: &str, keep: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let mut found = self.store.state_filter(|object| {
            object.namespace().as_deref() == Some(namespace) && keep(object)
        });
        found.sort_by_key(|object| object.name_any());
        found
    }

    /// All objects of all namespaces that a predicate holds for, ordered by namespace and name.
    pub fn list_all(&self, keep: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let mut found = self.store.state_filter(|object| keep(object));
        found.sort_by_key(|object| (object.namespace(), object.name_any()));
        found
    }
}

struct Pending<K: Watched> {
    cache: Cache<K>,
    writer: Writer<K>,
    config: watcher::Config,
    subscribers: Vec<mpsc::UnboundedSender<Arc<K>>>,
}

trait Start: Any + Send {
    fn start(self: Box<Self>, client: Client) -> (BoxFuture<'static, ()>, BoxFuture<'static, ()>);
    fn as_any(&mut self) -> &mut dyn Any;
}

impl<K: Watched> Start for Pending<K> {
    fn start(self: Box<Self>, client: Client) -> (BoxFuture<'static, ()>, BoxFuture<'static, ()>) {
        let store = self.cache.store.clone();
        let ready = Box::pin(async move {
            if store.wait_until_ready().await.is_err() {
                tracing::error!(kind = %K::kind(&()), "the watch ended before its first list");
            }
        });
        (Box::pin(run(client, *self)), ready)
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// The caches of one process. Controllers ask for theirs first, then all are started at once.
#[derive(Default)]
pub struct Caches {
    pending: HashMap<TypeId, Box<dyn Start>>,
}

impl Caches {
    /// The cache of a kind, all objects of it.
    pub fn all<K: Watched>(&mut self) -> Cache<K> {
        self.pending::<K>(watcher::Config::default()).cache.clone()
    }

    /// The cache of a kind, only the objects that Trackbed wrote.
    pub fn managed<K: Watched>(&mut self) -> Cache<K> {
        let selector = format!(
            "{}={}",
            trackbed_api::labels::MANAGED_BY,
            trackbed_api::labels::MANAGER
        );
        self.pending::<K>(watcher::Config::default().labels(&selector))
            .cache
            .clone()
    }

    /// The same of a kind that not every cluster serves. Where it does not, nobody watches it.
    pub fn managed_if<K: Watched>(&mut self, served: bool) -> Cache<K> {
        match served {
            true => self.managed(),
            false => Cache::empty(),
        }
    }

    /// Every object of an already requested cache that appears, changes or goes, as last seen.
    pub fn changes<K: Watched>(&mut self) -> impl Stream<Item = Arc<K>> + Send + use<K> {
        let (sender, receiver) = mpsc::unbounded();
        self.pending::<K>(watcher::Config::default())
            .subscribers
            .push(sender);
        receiver
    }

    /// Starts all watches. The first future ends only when all watches do, the second when all
    /// caches hold their first list.
    pub fn start(self, client: &Client) -> (BoxFuture<'static, ()>, BoxFuture<'static, ()>) {
        let (runs, readies): (Vec<_>, Vec<_>) = self
            .pending
            .into_values()
            .map(|pending| pending.start(client.clone()))
            .unzip();
        let run = Box::pin(async move {
            futures::future::join_all(runs.into_iter().map(tokio::spawn)).await;
        });
        let ready = Box::pin(async move {
            futures::future::join_all(readies).await;
        });
        (run, ready)
    }

    fn pending<K: Watched>(&mut self, config: watcher::Config) -> &mut Pending<K> {
        let entry = self.pending.entry(TypeId::of::<K>()).or_insert_with(|| {
            let (store, writer) = reflector::store();
            Box::new(Pending::<K> {
                cache: Cache { store },
                writer,
                config,
                subscribers: Vec::new(),
            })
        });
        match entry.as_any().downcast_mut() {
            Some(pending) => pending,
            None => unreachable!("the map is keyed by the type"),
        }
    }
}

async fn run<K: Watched>(client: Client, pending: Pending<K>) {
    let Pending {
        cache,
        mut writer,
        config,
        subscribers,
    } = pending;
    let api: Api<K> = Api::all_with(client, &());
    let mut events = Box::pin(watcher(api, config).default_backoff().modify(|object| {
        object.managed_fields_mut().clear();
    }));
    let notify = |object: Arc<K>| {
        for subscriber in &subscribers {
            // A closed channel is a controller that has stopped.
            let _closed = subscriber.unbounded_send(object.clone());
        }
    };
    while let Some(event) = events.next().await {
        match event {
            Err(error) => {
                tracing::warn!(kind = %K::kind(&()), %error, "watch failed, it is tried again")
            }
            Ok(watcher::Event::InitDone) => {
                let before = cache.store.state();
                writer.apply_watcher_event(&watcher::Event::InitDone);
                let after = cache.store.state();
                let alive: BTreeSet<_> = after.iter().map(|object| object.uid()).collect();
                after.into_iter().for_each(&notify);
                before
                    .into_iter()
                    .filter(|object| !alive.contains(&object.uid()))
                    .for_each(&notify);
            }
            Ok(event) => {
                writer.apply_watcher_event(&event);
                if let watcher::Event::Apply(object) | watcher::Event::Delete(object) = event {
                    notify(Arc::new(object));
                }
            }
        }
    }
}
