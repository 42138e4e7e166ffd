//! What becomes of data when their Database goes.

use k8s_openapi::api::core::v1::Namespace;
use trackbed_api::{Database, labels, project::DeletionPolicy};
use trackbed_kit::meta;

/// What becomes of the claim and the credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// They stay, as the policy says.
    Kept,
    /// They stay although the policy says otherwise: nobody confirmed it.
    Unconfirmed,
    /// They go.
    GivenUp,
    /// Their namespace goes, and nothing in it is up to Trackbed any more: the rights in it may have
    /// gone already.
    WithNamespace,
}

/// Decides. `namespace` is the Database's, as far as it is one of a Project.
pub fn data(object: &Database, namespace: Option<&Namespace>) -> Data {
    if namespace.is_none_or(meta::is_deleted) {
        return Data::WithNamespace;
    }
    let preview = namespace.is_some_and(|it| meta::label(it, labels::PREVIEW).is_some());
    match object.spec.deletion_policy {
        _ if object.gives_up_data(preview) => Data::GivenUp,
        DeletionPolicy::Delete => Data::Unconfirmed,
        DeletionPolicy::Retain => Data::Kept,
    }
}
