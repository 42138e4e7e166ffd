//! Servers that Trackbed runs itself: one, or several that Sentinels watch.

use std::{net::IpAddr, sync::Arc};

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{ResourceExt, runtime::reflector::ObjectRef};
use trackbed_api::{Database, labels};
use trackbed_kit::meta;

use super::Stores;
use crate::{
    cloudnative_pg::{Cluster, Instance},
    plan::{self, storage::Volume, told::Told},
    volumes::Volumes,
};

/// What there is of servers that Trackbed runs itself.
#[derive(Default)]
pub(super) struct Servers {
    pub(super) pod: Option<Arc<Pod>>,
    pub(super) pods: Vec<Arc<Pod>>,
    pub(super) claims: Vec<Arc<PersistentVolumeClaim>>,
    pub(super) primary: Option<String>,
    pub(super) volume: Option<Volume>,
    pub(super) version: Option<String>,
    pub(super) told: Option<Told>,
}

/// Looks at them, and has their supervisors asked, or the servers of CloudNativePG.
pub(super) fn look(
    stores: &Stores,
    volumes: &Arc<Volumes>,
    object: &Database,
    cluster: Option<&Cluster>,
    namespace: &str,
    name: &str,
) -> Servers {
    let several = object.spec.has_sentinels();
    let mine = |it: &Pod| meta::label(it, labels::DATABASE) == Some(name);
    let serves = |it: &Pod| mine(it) && meta::label(it, labels::ROLE) == Some("database");
    let mut pods = match several {
        true => stores.pods.list(namespace, serves),
        false => {
            let pod = stores.pods.get(namespace, &format!("{name}-0"));
            pod.into_iter().collect()
        }
    };
    pods.sort_by_key(|it| it.name_any());
    let addresses = match cluster {
        Some(cluster) => instances(cluster),
        None => pods.iter().map(|it| (it.name_any(), address(it))).collect(),
    };
    let reports = volumes.look(&ObjectRef::from_obj(object), addresses);
    let leads: Vec<_> = reports
        .iter()
        .filter(|(_, it)| it.primary == Some(true))
        .collect();
    let primary = match &leads[..] {
        [(name, _)] => Some(name.clone()),
        _ => None,
    };
    let of = |name: &str| pods.iter().find(|it| it.name_any() == name).cloned();
    let first = || {
        pods.iter()
            .find(|it| plan::health::is_ready(it))
            .or(pods.first())
            .cloned()
    };
    let prefix = format!("data-{name}-");
    Servers {
        pod: primary.as_deref().and_then(of).or_else(first),
        claims: stores.claims.list(namespace, |it| {
            let named = it.name_any().starts_with(&prefix);
            several && named && meta::label(it, labels::DATABASE) == Some(name)
        }),
        volume: Volume::fullest(reports.iter().map(|(_, it)| it.volume)),
        told: reports.iter().find_map(|(_, it)| it.databases.clone()),
        // While some are updated: the same one each time.
        version: reports
            .iter()
            .filter_map(|(_, it)| it.version.clone())
            .min(),
        pods: if several { pods } else { Vec::new() },
        primary,
    }
}

/// Where the servers of CloudNativePG can be asked, as supervisors are.
fn instances(cluster: &Cluster) -> Vec<(String, Option<IpAddr>)> {
    let status = cluster.status.iter();
    let instances = status.flat_map(|it| &it.instances_reported_state);
    let address = |(name, it): (&String, &Instance)| (name.clone(), it.ip.parse().ok());
    instances.map(address).collect()
}

/// Where a pod that runs can be asked.
fn address(pod: &Pod) -> Option<IpAddr> {
    let status = pod.status.as_ref()?;
    let runs = status.phase.as_deref() == Some("Running") && !meta::is_deleted(pod);
    status.pod_ip.as_ref()?.parse().ok().filter(|_| runs)
}
