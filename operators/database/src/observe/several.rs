//! Servers that CloudNativePG runs.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use trackbed_api::{Database, reason::Reason};
use trackbed_kit::{Context, Error, claim, meta, read::get};

use super::Stores;
use crate::{
    cloudnative_pg::{CLUSTER, Cluster},
    plan,
};

/// What there is of them.
#[derive(Default)]
pub(super) struct Several {
    pub(super) cluster: Option<Arc<Cluster>>,
    pub(super) pods: Vec<Pod>,
    pub(super) volumes: Vec<PersistentVolumeClaim>,
    pub(super) cannot_grow: Option<String>,
}

/// Nobody watches pods and volumes of others: they are looked at while something is wrong.
pub(super) async fn look(
    context: &Context,
    stores: &Stores,
    object: &Database,
    namespace: &str,
    name: &str,
) -> Result<Several, Error> {
    if !object.spec.is_replicated() || !context.config.served.cloudnative_pg {
        return Ok(Several::default());
    }
    let client = || context.client.clone();
    let cluster = match stores.clusters.get(namespace, name) {
        // It may be somebody else's, whom nobody watches either.
        None => get(&Api::namespaced(client(), namespace), name)
            .await?
            .map(Arc::new),
        found => found,
    };
    let theirs = ListParams::default().labels(&format!("{CLUSTER}={name}"));
    let serves = cluster.as_deref().map(plan::replicas::serves);
    let mut several = Several::default();
    if serves == Some(false) {
        let pods: Api<Pod> = Api::namespaced(client(), namespace);
        let found = pods.list(&theirs).await;
        several.pods = found.map_err(|it| Error::api("list pods", it))?.items;
    }
    let size = object.status.as_ref().and_then(|it| it.storage.as_deref());
    let live = cluster.as_deref();
    let larger = live.and_then(|it| plan::cluster::grows(it, &object.spec.storage.size));
    if larger.is_some() || !live.is_some_and(|it| plan::cluster::has_size(it, size)) {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client(), namespace);
        let found = claims.list(&theirs).await;
        let found = found.map_err(|it| Error::api("list persistentvolumeclaims", it))?;
        several.volumes = found.items;
        let mine = live.filter(|it| meta::is_managed(*it));
        let to = larger.or_else(|| mine.map(|it| it.spec.storage.size.clone()));
        if let (Some(_), Some(to)) = (mine, to) {
            several.cannot_grow = cannot_grow(&claims, &several.volumes, &to).await?;
        }
    }
    Ok(Several { cluster, ..several })
}

/// Why volumes cannot grow to a size. `None`: as far as anybody knows before it is tried, they can.
/// A Cluster's size never shrinks, so the API server is asked before.
async fn cannot_grow(
    api: &Api<PersistentVolumeClaim>,
    volumes: &[PersistentVolumeClaim],
    size: &str,
) -> Result<Option<String>, Error> {
    let parameters = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    for growth in plan::cluster::growing(volumes, size) {
        let patch = Patch::Merge(growth.patch());
        let Err(error) = api.patch(&growth.claim, &parameters, &patch).await else {
            continue;
        };
        let error = Error::api(growth.what(), error);
        let error = claim::refused(error, true, "the servers run on");
        return match error.reason() {
            Reason::StorageCannotGrow => Ok(Some(error.to_string())),
            _ => Err(error),
        };
    }
    Ok(None)
}
