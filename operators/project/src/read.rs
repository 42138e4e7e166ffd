//! Reads of what nobody watches.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Resource, api::ListParams};
use serde::de::DeserializeOwned;
use trackbed_kit::{Context, Error, read::get};

/// What a kind must be to be read.
pub(crate) trait Read:
    Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug
{
}
impl<K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug> Read for K {}

/// All of a namespace.
pub(crate) async fn list<K>(context: &Context, namespace: &str) -> Result<Vec<K>, Error>
where
    K: Read + Resource<Scope = NamespaceResourceScope>,
{
    let api: Api<K> = Api::namespaced(context.client.clone(), namespace);
    let found = api.list(&ListParams::default()).await.map_err(|source| {
        Error::api(
            format!("list {}s of namespace {namespace}", K::kind(&())),
            source,
        )
    })?;
    Ok(found.items)
}

/// The objects of these names, as far as they are there.
pub(crate) async fn by_name<K>(
    context: &Context,
    namespace: &str,
    names: impl Iterator<Item = &str>,
) -> Result<BTreeMap<String, K>, Error>
where
    K: Read + Resource<Scope = NamespaceResourceScope>,
{
    let api: Api<K> = Api::namespaced(context.client.clone(), namespace);
    let mut found = BTreeMap::new();
    for name in names.collect::<BTreeSet<_>>() {
        match get(&api, name).await {
            Ok(Some(object)) => {
                found.insert(name.to_owned(), object);
            }
            Ok(None) => {}
            // The rights in a new environment come with its first binding.
            Err(error) if forbidden(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Whether the API server says that we may not.
pub(crate) fn forbidden(error: &Error) -> bool {
    matches!(error, Error::Api { source: kube::Error::Api(status), .. } if status.code == 403)
}
