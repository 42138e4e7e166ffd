//! The API of Trackbed: five kinds in the group `trackbed.dev`, version `v1alpha1`.
//!
//! Everything that Trackbed knows lives in these objects. This crate holds their types, the rules
//! that the API server checks for us (CEL in the generated schema), and the names and labels that
//! all controllers agree on. It knows no client and no runtime.
//!
//! `Service` and `Deployment` exist in Kubernetes' core groups too: where both meet, write
//! `corev1::Service` and `appsv1::Deployment` for the core ones.

#![allow(
    unreachable_pub,
    reason = "the schema derive repeats each type inside a function, where the lint sees the copy"
)]

pub mod archive;
pub mod backup;
pub mod build;
pub mod common;
pub mod cron;
pub mod database;
pub mod databases;
pub mod denied;
pub mod deployment;
pub mod environment;
pub mod expose;
pub mod init;
pub mod labels;
pub mod names;
pub mod preview;
pub mod project;
pub mod reason;
pub mod run;
pub mod scalar;
pub mod scale;
pub mod service;
pub mod tls;
pub mod updates;

pub use build::{Build, BuildSpec, BuildStatus};
pub use database::{Database, DatabaseSpec, DatabaseStatus};
pub use deployment::{Deployment, DeploymentSpec, DeploymentStatus};
pub use project::{Project, ProjectSpec, ProjectStatus};
pub use service::{Service, ServiceSpec, ServiceStatus};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON,
};
use kube::CustomResourceExt;

/// The API group of every kind.
pub const GROUP: &str = "trackbed.dev";
/// The one version served today.
pub const VERSION: &str = "v1alpha1";

/// All five definitions, in the order in which a reader meets the kinds.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![
        without_spec(Project::crd()),
        Service::crd(),
        Build::crd(),
        Deployment::crd(),
        Database::crd(),
    ]
}

/// Lets people leave out a spec in which everything has a default: a derived definition asks for
/// it all the same.
fn without_spec(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut definition.spec.versions {
        let schema = version.schema.as_mut();
        let schema = schema.and_then(|schema| schema.open_api_v3_schema.as_mut());
        let properties = schema.and_then(|schema| schema.properties.as_mut());
        if let Some(spec) = properties.and_then(|properties| properties.get_mut("spec")) {
            spec.default = Some(JSON(serde_json::json!({})));
        }
    }
    definition
}
