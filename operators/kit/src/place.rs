//! Where an object is: the environment of a Project that its namespace is.

use k8s_openapi::api::core::v1::Namespace;
use trackbed_api::labels;

use crate::{Cache, meta};

/// The environment that a namespace is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the Project.
    pub project: String,
    /// Name of the environment.
    pub environment: String,
    /// The environment that it is a preview of.
    pub preview_of: Option<String>,
}

/// The environment that the namespace of this name is. `None`: it belongs to no Project.
pub fn place(namespaces: &Cache<Namespace>, namespace: &str) -> Option<Place> {
    let namespace = namespaces.get_cluster(namespace)?;
    Some(Place {
        project: meta::label(namespace.as_ref(), labels::PROJECT)?.to_owned(),
        environment: meta::label(namespace.as_ref(), labels::ENVIRONMENT)?.to_owned(),
        preview_of: meta::label(namespace.as_ref(), labels::PREVIEW).map(str::to_owned),
    })
}
