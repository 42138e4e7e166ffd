//! Credentials of the registry, and files that builds need.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use trackbed_api::{environment::BuildEnvironment, names};
use trackbed_kit::certificates;

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

/// The certificates that builds trust, and Cargo's settings, which know no variable for a mirror
/// (<https://doc.rust-lang.org/cargo/reference/source-replacement.html>).
pub fn build_files(place: &Place<'_>) -> Option<ConfigMap> {
    let environment = environment(place);
    let mut data = BTreeMap::new();
    if let Some(own) = &environment.ca_bundle {
        data.insert(names::CA_FILE.to_owned(), certificates::bundle(own));
    }
    if let Some(index) = &environment.package_indexes.cargo {
        data.insert(names::CARGO_FILE.to_owned(), cargo(index));
    }
    (!data.is_empty()).then(|| ConfigMap {
        metadata: place.metadata(names::BUILD_CONFIG_MAP),
        data: Some(data),
        ..ConfigMap::default()
    })
}

fn environment(place: &Place<'_>) -> BuildEnvironment {
    let own = place.project.spec.build.as_ref();
    let own = own.map(|it| it.environment.clone()).unwrap_or_default();
    own.over(&place.config.build.environment)
}

fn cargo(index: &str) -> String {
    // Debug's quotes are TOML's for what an index URL may hold.
    let url = format!("{:?}", format!("sparse+{}/", index.trim_end_matches('/')));
    format!("[source.crates-io]\nreplace-with = \"mirror\"\n\n[source.mirror]\nregistry = {url}\n")
}
