//! Credentials of the registry, and certificates that builds trust.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use trackbed_api::names;

use super::Place;
use crate::observe::Source;

/// The Secret that pushes (only the push step of a build mounts it) and the one that pulls.
pub fn secrets(place: &Place<'_>, push: &Source, pull: &Source) -> Vec<Secret> {
    [(names::PUSH_SECRET, push), (names::PULL_SECRET, pull)]
        .into_iter()
        .filter_map(|(name, source)| match source {
            Source::Found(data) => Some(Secret {
                metadata: place.metadata(name),
                type_: Some("kubernetes.io/dockerconfigjson".to_owned()),
                data: Some(
                    data.iter()
                        .filter(|(key, _)| *key == ".dockerconfigjson")
                        .map(|(key, value)| (key.clone(), value.clone()))
                        .collect(),
                ),
                ..Secret::default()
            }),
            Source::None | Source::Missing(_) => None,
        })
        .collect()
}

/// The certificates of the operator's settings.
pub fn certificates(place: &Place<'_>) -> Option<ConfigMap> {
    let bundle = place.config.build.ca_bundle.as_ref()?;
    Some(ConfigMap {
        metadata: place.metadata(names::CA_CONFIG_MAP),
        data: Some(BTreeMap::from([("ca.crt".to_owned(), bundle.clone())])),
        ..ConfigMap::default()
    })
}
