//! Reads of what nobody watches.

use std::fmt::Debug;

use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use crate::Error;

/// One object, if it is there.
///
/// # Errors
/// The API server's.
pub async fn get<K>(api: &Api<K>, name: &str) -> Result<Option<K>, Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    api.get_opt(name)
        .await
        .map_err(|source| Error::api(format!("get {} {name}", K::kind(&())), source))
}
