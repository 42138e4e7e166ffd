//! What the end-to-end tests stand on: a cluster as its users see it.
//!
//! Everything goes the way that people go: manifests through `kubectl apply`, waiting through
//! `kubectl wait`, code through `git push`, requests through the ingress controller. There is no
//! sleep: a test waits for a condition, and what does not come in time fails it with what stands
//! there instead.

mod audit;
mod bucket;
pub mod builds;
mod client;
mod environment;
pub mod forge;
mod gate;
mod git;
pub mod http;
mod https;
mod kubectl;
mod last_words;
mod mirror;
mod objects;
mod operator;
mod probe;
mod proxy;
mod serve;
pub mod stub;

use std::{env, path::PathBuf};

pub use bucket::Bucket;
pub use client::{Client, Writes};
pub use environment::Environment;
pub use gate::{Gate, OPERATOR};
pub use git::Credentials;
pub use http::{Answer, eventually};
pub use https::Secure;
pub use mirror::Mirror;
pub use probe::Probe;
pub use proxy::{Proxy, Watch};
pub use serde_json::Value;

/// The cluster that the tests run on, as `cargo xtask e2e` describes it in the environment.
#[derive(Clone, Debug)]
pub struct Cluster {
    kubectl: PathBuf,
    kubeconfig: PathBuf,
    /// Address of the node: registries, git server and ingress controller answer there.
    pub node: String,
    /// The API server's audit log of Trackbed's own requests.
    pub audit_log: PathBuf,
    /// Domain of generated hosts.
    pub domain: String,
}

impl Cluster {
    /// The cluster of this run.
    ///
    /// # Panics
    /// If the environment does not describe one: these tests are not run without a cluster.
    pub fn connect() -> Self {
        last_words::keep();
        let variable = |name: &str| {
            env::var(name).unwrap_or_else(|_| {
                panic!("{name} is not set: run these tests with 'cargo xtask e2e'")
            })
        };
        Self {
            kubectl: variable("TRACKBED_E2E_KUBECTL").into(),
            kubeconfig: variable("TRACKBED_E2E_KUBECONFIG").into(),
            node: variable("TRACKBED_E2E_NODE"),
            audit_log: variable("TRACKBED_E2E_AUDIT_LOG").into(),
            domain: variable("TRACKBED_E2E_DOMAIN"),
        }
    }

    /// Host of a public Service in the environment `production`.
    pub fn host(&self, service: &str, project: &str) -> String {
        format!("{service}-{project}.{}", self.domain)
    }

    /// The mirror's busybox: an image that is there without a build.
    pub fn busybox(&self) -> String {
        format!("{}:5000/library/busybox:1.36", self.node)
    }
}

/// A folder of this repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}
