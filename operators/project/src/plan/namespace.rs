//! The namespace of an environment.

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use trackbed_api::{Project, labels};
use trackbed_kit::meta;

use super::{
    Place,
    copies::{self, Copies},
    previews::Wanted,
};
use crate::observe::Environment;

/// Annotation on namespaces that Trackbed made. Others are never deleted.
const CREATED: &str = "trackbed.dev/created";

/// Whose a namespace is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is this environment's, or does not exist.
    Ours,
    /// It is this environment's and on its way out.
    Ending,
    /// It is somebody else's; the sentence says what to do.
    Foreign(String),
}

/// Whose the namespace of an environment is.
pub fn standing(object: &Project, wanted: &Wanted, live: &Environment) -> Standing {
    let environment = wanted.name.as_str();
    let Some(found) = live.live.as_deref() else {
        return Standing::Ours;
    };
    let project = object.name_any();
    let ours = meta::label(found, labels::PROJECT) == Some(project.as_str())
        && meta::label(found, labels::ENVIRONMENT) == Some(environment);
    if !ours {
        let name = &live.namespace;
        return Standing::Foreign(format!(
            "namespace {name} exists and is not this Project's: rename the Project or the environment, or hand the namespace over with 'kubectl label namespace {name} {}={project} {}={environment}'",
            labels::PROJECT,
            labels::ENVIRONMENT,
        ));
    }
    if meta::is_deleted(found) {
        return Standing::Ending;
    }
    // What stands in a preview goes with it, and of this one nobody was told so.
    if wanted.preview.is_some() && meta::label(found, labels::PREVIEW).is_none() {
        return Standing::Foreign(format!(
            "environment {environment} is there and is no preview, so it cannot become one: give the preview another name"
        ));
    }
    Standing::Ours
}

/// Whether Trackbed made it.
pub fn made_by_us(live: &Namespace) -> bool {
    meta::annotation(live, CREATED).is_some()
}

/// The namespace. It carries Trackbed's own label last, once the rights in it are given: only then
/// do the other controllers take it for an environment.
pub fn desired(place: &Place<'_>, live: Option<&Namespace>, copies: &Copies) -> Namespace {
    let mut namespace = Namespace::default();
    let metadata = &mut namespace.metadata;
    metadata.name = Some(place.namespace.to_owned());
    metadata.labels = Some(meta::managed());
    let labels = &mut metadata.labels;
    meta::insert(labels, labels::PROJECT, place.project.name_any());
    meta::insert(labels, labels::ENVIRONMENT, place.environment);
    if let Some(of) = place.preview_of {
        meta::insert(labels, labels::PREVIEW, of);
    }
    // https://kubernetes.io/docs/concepts/security/pod-security-standards/
    meta::insert(labels, "pod-security.kubernetes.io/enforce", "baseline");
    meta::insert(labels, "pod-security.kubernetes.io/warn", "restricted");
    if live.is_none_or(made_by_us) {
        meta::insert(&mut metadata.annotations, CREATED, "true");
    }
    let secrets = copies.secrets.iter().map(ResourceExt::name_any).collect();
    let config_maps = copies
        .config_maps
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    let lists: [(_, Vec<String>); 2] = [
        (copies::SECRETS, secrets),
        (copies::CONFIG_MAPS, config_maps),
    ];
    for (annotation, names) in lists.into_iter().filter(|(_, names)| !names.is_empty()) {
        meta::insert(&mut metadata.annotations, annotation, names.join(","));
    }
    namespace
}
