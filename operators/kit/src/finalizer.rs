//! Finalizers: set before the first child is made, taken off when the last thing is done.

use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;
use trackbed_api::labels;

use crate::{Error, Kind, error::not_found};

/// Sets `finalizer` if it is missing, and says whether it had to. The write comes back as a change
/// of the object: there is nothing more to do with the version at hand.
///
/// # Errors
/// The API server's refusals; a conflict when the object has changed since it was read.
pub async fn hold<K: Kind>(api: &Api<K>, object: &K, finalizer: &str) -> Result<bool, Error> {
    if object.finalizers().iter().any(|it| it == finalizer) {
        return Ok(false);
    }
    let mut finalizers = object.finalizers().to_vec();
    finalizers.push(finalizer.to_owned());
    set(api, object, &finalizers).await.map(|()| true)
}

/// Takes `finalizer` off. An object that is gone already is let go.
///
/// # Errors
/// The API server's refusals; a conflict when the object has changed since it was read.
pub async fn release<K: Kind>(api: &Api<K>, object: &K, finalizer: &str) -> Result<(), Error> {
    let left: Vec<String> = object
        .finalizers()
        .iter()
        .filter(|it| *it != finalizer)
        .cloned()
        .collect();
    match set(api, object, &left).await {
        Err(Error::Api { source, .. }) if not_found(&source) => Ok(()),
        done => done,
    }
}

/// Onto the version that was read: finalizers of others are neither lost nor brought back.
async fn set<K: Kind>(api: &Api<K>, object: &K, finalizers: &[String]) -> Result<(), Error> {
    let patch = json!({"metadata": {
        "finalizers": finalizers,
        "resourceVersion": object.resource_version(),
    }});
    let parameters = PatchParams {
        field_manager: Some(labels::field_manager(K::CONTROLLER)),
        ..PatchParams::default()
    };
    let name = object.name_any();
    api.patch_metadata(&name, &parameters, &Patch::Merge(&patch))
        .await
        .map(|_| ())
        .map_err(|source| Error::api(format!("set finalizers of {} {name}", K::kind(&())), source))
}
