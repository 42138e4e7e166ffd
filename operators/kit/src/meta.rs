//! Metadata of children.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};
use trackbed_api::labels;

/// Metadata of a child that goes with its owner, in the owner's namespace.
pub fn owned<K: Resource<DynamicType = ()>>(owner: &K, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: owner.namespace(),
        labels: Some(managed()),
        owner_references: owner
            .controller_owner_ref(&())
            .map(|reference| vec![reference]),
        ..ObjectMeta::default()
    }
}

/// Metadata of an object that stays when its maker goes.
pub fn retained(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: Some(managed()),
        ..ObjectMeta::default()
    }
}

/// The label that marks an object as Trackbed's.
pub fn managed() -> BTreeMap<String, String> {
    BTreeMap::from([(labels::MANAGED_BY.to_owned(), labels::MANAGER.to_owned())])
}

/// Adds a label or annotation to what may not be there yet.
pub fn insert(map: &mut Option<BTreeMap<String, String>>, key: &str, value: impl Into<String>) {
    map.get_or_insert_default()
        .insert(key.to_owned(), value.into());
}

/// A label's value.
pub fn label<'a, K: Resource>(object: &'a K, key: &str) -> Option<&'a str> {
    object.meta().labels.as_ref()?.get(key).map(String::as_str)
}

/// An annotation's value.
pub fn annotation<'a, K: Resource>(object: &'a K, key: &str) -> Option<&'a str> {
    object
        .meta()
        .annotations
        .as_ref()?
        .get(key)
        .map(String::as_str)
}

/// Whether the object carries Trackbed's label.
pub fn is_managed<K: Resource>(object: &K) -> bool {
    label(object, labels::MANAGED_BY) == Some(labels::MANAGER)
}

/// Whether `owner` is the object's controller.
pub fn is_controlled_by<K: Resource, O: Resource>(object: &K, owner: &O) -> bool {
    controller(object).is_some_and(|reference| Some(&reference.uid) == owner.meta().uid.as_ref())
}

/// The object's controller, if it has one.
pub fn controller<K: Resource>(object: &K) -> Option<&OwnerReference> {
    object
        .meta()
        .owner_references
        .as_ref()?
        .iter()
        .find(|reference| reference.controller == Some(true))
}

/// Whether the object is on its way out.
pub fn is_deleted<K: Resource>(object: &K) -> bool {
    object.meta().deletion_timestamp.is_some()
}
