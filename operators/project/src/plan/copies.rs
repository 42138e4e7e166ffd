//! What a preview has copies of.

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::ResourceExt;
use trackbed_api::{
    Database, Project, Service, labels,
    preview::Previews,
    project::DeletionPolicy,
    scalar::ObjectName,
    scale::Scale,
    service::{Promotion, Source},
};
use trackbed_kit::meta;

use super::{
    Place,
    previews::{Open, Wanted, copied},
};
use crate::observe::{Base, Environment};

/// Annotation on a preview's namespace: the names of the Secrets that were copied into it. Nobody may
/// list Secrets, and one that is not to be in it any more has to go.
pub const SECRETS: &str = "trackbed.dev/copied-secrets";
/// The same of ConfigMaps.
pub const CONFIG_MAPS: &str = "trackbed.dev/copied-config-maps";

/// The copies in one preview.
#[derive(Clone, Debug, Default)]
pub struct Copies {
    /// Secrets.
    pub secrets: Vec<Secret>,
    /// ConfigMaps.
    pub config_maps: Vec<ConfigMap>,
    /// Databases, empty.
    pub databases: Vec<Database>,
    /// Services.
    pub services: Vec<Service>,
    /// What cannot be copied, in a sentence each.
    pub lacks: Vec<String>,
}

/// Everything that a preview has copies of. What a person made in it under the same name stays.
pub fn desired(place: &Place<'_>, open: &Open, base: &Base, live: &Environment) -> Copies {
    let Some(previews) = &place.project.spec.previews else {
        return Copies::default();
    };
    let mut copies = Copies::default();
    secrets(place, previews, base, live, &mut copies);
    config_maps(place, previews, base, live, &mut copies);
    let databases = base.databases.iter();
    let databases = databases.filter(|it| may_be(it, &live.databases));
    copies.databases = databases
        .map(|it| database(place, it, &previews.of))
        .collect();
    let services = base.services.iter();
    let services = services.filter(|it| copied(it) && may_be(it, &live.services));
    copies.services = services
        .map(|it| service(place, it, open, &previews.of))
        .collect();
    copies
}

/// A copy outlives an original that is missing at the moment.
fn secrets(
    place: &Place<'_>,
    previews: &Previews,
    base: &Base,
    live: &Environment,
    copies: &mut Copies,
) {
    for name in &previews.secrets {
        let original = base.secrets.get(name.as_str());
        let own = live.secrets.get(name.as_str());
        if original.is_some_and(meta::is_managed) {
            copies.lacks.push(format!(
                "Secret {name} is made by Trackbed, so it is not copied: take it out of previews.secrets"
            ));
            continue;
        }
        if original.is_none() {
            copies.lacks.push(lack("Secret", name, previews));
        }
        let ours = own.is_none_or(meta::is_managed);
        if let Some(found) = original.or(own).filter(|_| ours) {
            copies.secrets.push(Secret {
                metadata: metadata(place, name, &previews.of),
                type_: found.type_.clone(),
                data: found.data.clone(),
                ..Secret::default()
            });
        }
    }
}

/// As with Secrets.
fn config_maps(
    place: &Place<'_>,
    previews: &Previews,
    base: &Base,
    live: &Environment,
    copies: &mut Copies,
) {
    for name in &previews.config_maps {
        let original = base.config_maps.get(name.as_str());
        let mut own = live.config_maps.iter();
        let own = own.find(|it| it.name_any() == **name).map(AsRef::as_ref);
        if original.is_none() {
            copies.lacks.push(lack("ConfigMap", name, previews));
        }
        let ours = own.is_none_or(meta::is_managed);
        if let Some(found) = original.or(own).filter(|_| ours) {
            copies.config_maps.push(ConfigMap {
                metadata: metadata(place, name, &previews.of),
                data: found.data.clone(),
                binary_data: found.binary_data.clone(),
                ..ConfigMap::default()
            });
        }
    }
}

/// Names of what is copied into a preview, or was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Of Secrets.
    pub secrets: BTreeSet<String>,
    /// Of ConfigMaps.
    pub config_maps: BTreeSet<String>,
}

/// What to look for in an environment. What was a preview and is none any more keeps what it has, so
/// nothing is looked for there.
pub fn named(project: &Project, wanted: &Wanted, live: Option<&Namespace>) -> Named {
    let Some(previews) = project
        .spec
        .previews
        .as_ref()
        .filter(|_| wanted.preview.is_some())
    else {
        return Named::default();
    };
    let all = |listed: &[ObjectName], annotation: &str| {
        let before = live.and_then(|it| meta::annotation(it, annotation));
        let before = before.into_iter().flat_map(|it| it.split(','));
        let listed = listed.iter().map(|it| it.as_str());
        listed.chain(before).map(str::to_owned).collect()
    };
    Named {
        secrets: all(&previews.secrets, SECRETS),
        config_maps: all(&previews.config_maps, CONFIG_MAPS),
    }
}

/// Whether the preview has nothing of that name that a person made.
fn may_be<K: kube::Resource>(found: &Arc<K>, live: &[Arc<K>]) -> bool {
    let mut own = live.iter();
    let own = own.find(|it| it.meta().name == found.meta().name);
    own.is_none_or(|it| is_copy(it.as_ref()))
}

/// Whether it was copied from another environment.
pub fn is_copy<K: kube::Resource>(object: &K) -> bool {
    meta::label(object, labels::PREVIEW).is_some()
}

fn lack(kind: &str, name: &str, previews: &Previews) -> String {
    format!(
        "{kind} {name} is not in environment {}: create it there, or take it out of previews",
        previews.of
    )
}

fn metadata(
    place: &Place<'_>,
    name: &str,
    of: &str,
) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
    let mut metadata = place.metadata(name);
    meta::insert(&mut metadata.labels, labels::PREVIEW, of);
    metadata
}

/// The copy of a Database, on one server. It begins empty, and goes with the preview.
fn database(place: &Place<'_>, found: &Database, of: &str) -> Database {
    let mut copy = Database::new("", found.spec.clone());
    copy.metadata = metadata(place, &found.name_any(), of);
    copy.spec.deletion_policy = DeletionPolicy::Delete;
    // It has credentials of its own, and no backups or archive: neither data of others nor a place among
    // theirs.
    copy.spec.credentials.rotate = None;
    copy.spec.restore = None;
    copy.spec.backup = None;
    copy.spec.updates = None;
    copy.spec.replicas = 1;
    copy.spec.archive = None;
    copy
}

/// The copy of a Service: one pod, at a host of the preview's own.
fn service(place: &Place<'_>, found: &Service, open: &Open, of: &str) -> Service {
    let name = found.name_any();
    let mut copy = Service::new("", found.spec.clone());
    copy.metadata = metadata(place, &name, of);
    let spec = &mut copy.spec;
    spec.source = source(&spec.source, open, &name, of);
    spec.pin = None;
    spec.preview = None;
    // They belong to the Service that has them.
    spec.expose.domains.clear();
    spec.scale = Scale {
        replicas: match spec.scale.max {
            Some(_) => 1,
            None => spec.scale.replicas.min(1),
        },
        ..Scale::default()
    };
    for volume in &mut spec.run.volumes {
        volume.deletion_policy = DeletionPolicy::Delete;
    }
    if let (Some(commit), Some(_)) = (&open.commit, &spec.source.git) {
        // The forge's push, passed on.
        let value = format!("refs/heads/{}@{commit}", open.branch);
        meta::insert(&mut copy.metadata.annotations, labels::RECONCILE_AT, value);
    }
    copy
}

/// Where the copy comes from: from the branch if it is of the same repository, and else what serves
/// in the other environment, without a build.
fn source(source: &Source, open: &Open, name: &str, of: &str) -> Source {
    let Some(git) = &source.git else {
        return source.clone();
    };
    if !open.follow.iter().any(|it| it == name) {
        return Source {
            promotion: Some(Promotion {
                environment: of.into(),
                ..Promotion::default()
            }),
            ..Source::default()
        };
    }
    let mut git = git.clone();
    git.branch = Some(open.branch.clone());
    git.tag = None;
    git.commit = None;
    git.webhook = None;
    Source {
        git: Some(git),
        ..Source::default()
    }
}
