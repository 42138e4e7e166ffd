//! What wakes a Project besides its own children.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use futures::{Stream, StreamExt};
use kube::{ResourceExt, runtime::reflector::ObjectRef};
use trackbed_api::{Project, labels};
use trackbed_kit::{Cache, cache::Watched, meta, place::place};

use crate::observe::Stores;

/// The Project whose previews have copies of what changed, or whose copy it is. What changes in
/// status alone wakes nobody: it does so all the time.
pub(crate) fn copied<K: Watched>(
    changes: impl Stream<Item = Arc<K>> + Send + 'static,
    cache: Cache<K>,
    stores: &Stores,
) -> impl Stream<Item = ObjectRef<Project>> + Send + 'static {
    let (namespaces, projects) = (stores.namespaces.clone(), stores.projects.clone());
    let mut known = HashMap::new();
    changes.filter_map(move |object| {
        let found = object.namespace().and_then(|namespace| {
            let place = place(&namespaces, &namespace)?;
            let project = projects.get_cluster(&place.project)?;
            let of = &project.spec.previews.as_ref()?.of;
            let concerns = **of == *place.environment || place.preview_of.is_some();
            let stands = cache.get(&namespace, &object.name_any()).is_some();
            let news = concerns && news(&mut known, object.as_ref(), stands);
            news.then(|| ObjectRef::from_obj(project.as_ref()))
        });
        futures::future::ready(found)
    })
}

/// Whether anything but status is another than when it was told of before.
fn news<K: Watched>(known: &mut HashMap<String, u64>, object: &K, stands: bool) -> bool {
    let Some(uid) = object.uid() else {
        return true;
    };
    if !stands {
        known.remove(&uid);
        return true;
    }
    let mut hasher = DefaultHasher::new();
    (object.meta().generation, meta::is_deleted(object)).hash(&mut hasher);
    object.meta().labels.hash(&mut hasher);
    let told = object.annotations().iter();
    let told = told.filter(|(key, _)| key.starts_with(labels::PULL_REQUEST));
    told.for_each(|it| it.hash(&mut hasher));
    let hash = hasher.finish();
    known.insert(uid, hash) != Some(hash)
}
