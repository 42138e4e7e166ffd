//! Writes to children. Nothing is sent when nothing changed.

use std::fmt::Debug;

use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use trackbed_api::{labels, names};

use crate::{Context, Error, covers::covers, meta};

/// A version that no object has: an apply that asks for it makes a new object, or fails. A POST
/// would do so too, but its fields belong to nobody who applies: what a later apply leaves out
/// would stay for ever.
const NEVER: &str = "1";

/// What a kind must be to be applied.
pub trait Child:
    Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned + Debug + Send + Sync
{
}
impl<K: Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned + Debug + Send + Sync>
    Child for K
{
}

/// How an apply is protected against what was not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// Last writer wins: for objects that follow from one owner's spec alone.
    None,
    /// Only onto the version that the plan looked at, or onto nothing at all. The answer to a
    /// plan made from an old view is a conflict, and another plan.
    Observed,
}

/// What an apply did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Nothing was sent.
    Unchanged,
    /// The object was created or changed.
    Written,
}

/// Applies one child (server-side, forced) unless the live one already says the same.
///
/// # Errors
/// [`Error::NameConflict`] if an object of that name exists and is not Trackbed's, and the API
/// server's refusals.
pub async fn apply<K: Child>(
    context: &Context,
    controller: &str,
    api: &Api<K>,
    desired: &K,
    live: Option<&K>,
    fence: Fence,
) -> Result<Applied, Error> {
    let what = describe(desired);
    let mut body = body(desired, &what)?;
    if let Some(live) = live {
        if !meta::is_managed(live) {
            return Err(Error::NameConflict {
                kind: K::kind(&()).into_owned(),
                name: live.name_any(),
            });
        }
        if let (Some(theirs), Some(ours)) = (meta::controller(live), meta::controller(desired))
            && theirs.uid != ours.uid
        {
            return Err(Error::Transient(format!(
                "{what} still belongs to {} {} of before",
                theirs.kind, theirs.name
            )));
        }
        if meta::is_deleted(live) {
            return Err(Error::Transient(format!("{what} is still being deleted")));
        }
        if unchanged(live, &body, &what)? {
            return Ok(Applied::Unchanged);
        }
    }
    let version = live.and_then(ResourceExt::resource_version);
    let verb = match (fence, &version) {
        (Fence::Observed, None) => "create",
        _ => "apply",
    };
    if fence == Fence::Observed {
        let version = version.unwrap_or_else(|| NEVER.to_owned());
        body["metadata"]["resourceVersion"] = Value::String(version);
    }
    let parameters = PatchParams::apply(&labels::field_manager(controller)).force();
    api.patch(&desired.name_any(), &parameters, &Patch::Apply(&body))
        .await
        .map_err(|source| Error::api(format!("{verb} {what}"), source))?;
    context.metrics.write(controller, verb);
    tracing::info!(%what, verb, "wrote");
    Ok(Applied::Written)
}

/// Deletes one child, only the one that was looked at.
///
/// # Errors
/// The API server's refusals; that it is gone already is none.
pub async fn delete<K: Child>(
    context: &Context,
    controller: &str,
    api: &Api<K>,
    live: &K,
) -> Result<(), Error> {
    if meta::is_deleted(live) {
        return Ok(());
    }
    let what = describe(live);
    let parameters = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: Some(Preconditions {
            uid: live.uid(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    match api.delete(&live.name_any(), &parameters).await {
        Ok(_) => {}
        Err(error) if crate::error::not_found(&error) => return Ok(()),
        Err(source) => return Err(Error::api(format!("delete {what}"), source)),
    }
    context.metrics.write(controller, "delete");
    tracing::info!(%what, "deleted");
    Ok(())
}

/// `Kind namespace/name`, for messages.
pub fn describe<K: Resource<DynamicType = ()>>(object: &K) -> String {
    match object.namespace() {
        Some(namespace) => format!("{} {namespace}/{}", K::kind(&()), object.name_any()),
        None => format!("{} {}", K::kind(&()), object.name_any()),
    }
}

/// The desired object as it is sent, with a hash of itself as annotation.
fn body<K: Child>(desired: &K, what: &str) -> Result<Value, Error> {
    let serialise = |source| Error::Serialise {
        what: what.to_owned(),
        source,
    };
    let mut body = serde_json::to_value(desired).map_err(serialise)?;
    if let Value::Object(map) = &mut body {
        map.remove("status");
        map.insert("apiVersion".into(), K::api_version(&()).into());
        map.insert("kind".into(), K::kind(&()).into());
    }
    let hash = names::hash(&serde_json::to_vec(&body).map_err(serialise)?);
    body["metadata"]["annotations"][labels::APPLIED] = Value::String(hash[..16].to_owned());
    Ok(body)
}

fn unchanged<K: Child>(live: &K, body: &Value, what: &str) -> Result<bool, Error> {
    let hash = body["metadata"]["annotations"][labels::APPLIED].as_str();
    if meta::annotation(live, labels::APPLIED) != hash {
        return Ok(false);
    }
    let live = serde_json::to_value(live).map_err(|source| Error::Serialise {
        what: what.to_owned(),
        source,
    })?;
    let mut wanted = body.clone();
    if let Value::Object(map) = &mut wanted {
        // Lists do not repeat these for each of their items.
        map.remove("apiVersion");
        map.remove("kind");
        // What is only written is kept elsewhere by the API server.
        map.remove("stringData");
    }
    Ok(covers(&live, &wanted))
}
