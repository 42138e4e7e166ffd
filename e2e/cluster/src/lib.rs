//! A real one-node Kubernetes on one machine, for people to try things on and for the
//! end-to-end tests.
//!
//! The whole cluster lives in network, mount and process namespaces of its own: no
//! iptables rule, bridge, mount or sysctl of it touches the host, and it ends when one
//! process does. The host has one link to it and routes to its three ranges
//! ([`Network`]), a forwarded port for browsers, and a forward proxy for builds.
//!
//! - [`tools`] builds the Go programs that it is made of, [`debian`] installs the rest;
//! - [`daemon`] is the one process that owns a running cluster;
//! - [`node`] is what runs inside;
//! - [`Client`] is how the commands talk to it.

pub mod addons;
mod client;
mod command;
mod credentials;
pub mod daemon;
pub mod debian;
mod error;
mod host;
mod mirror;
mod network;
pub mod node;
mod paths;
mod publish;
mod ready;
mod status;
pub mod tools;

pub use client::Client;
pub use command::{CommandExt, spoken};
pub use credentials::{Credentials, Login};
pub use error::{Error, Result};
pub use host::leftovers::leftovers;
pub use mirror::push;
pub use network::{
    API_PORT, FORGE_PORTS, GIT_PORT, LISTENER_PORTS, MIRROR_PORT, Name, Network, PROXY_PORT,
    REGISTRY_PORT,
};
pub use paths::{Paths, cache, repository};
pub use publish::{Publish, Published, publish};
pub use ready::{describe, wait_for_api, wait_for_node, wait_for_pods};
pub use status::{PartStatus, status};
