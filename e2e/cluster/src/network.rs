use std::{fmt, net::Ipv4Addr, str::FromStr};

use crate::{Error, Result};

/// Which of the clusters on this machine: each has its own data, addresses and ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Name {
    /// The one that `cargo xtask up` brings up, for people.
    Dev,
    /// The one that the end-to-end tests bring up.
    Test,
}

impl Name {
    /// Every cluster that this machine may have.
    pub const ALL: [Name; 2] = [Name::Dev, Name::Test];

    /// The name in paths, interfaces and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Name::Dev => "dev",
            Name::Test => "test",
        }
    }

    /// The name of the cluster's one node.
    pub fn node(self) -> String {
        format!("trackbed-{self}")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Name::ALL
            .into_iter()
            .find(|known| known.as_str() == name)
            .ok_or_else(|| {
                Error::Refused(format!("there is no cluster `{name}`: name dev or test"))
            })
    }
}

/// The addresses of one cluster. Nothing outside of these is ever routed to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The node: API server, kubelet, registries, git server, forge and ingress answer here.
    pub node: Ipv4Addr,
    /// The range of [`Network::node`].
    pub node_range: String,
    /// The range that Pods get their addresses from.
    pub pod_range: String,
    /// The range that Services get their addresses from.
    pub service_range: String,
    /// The Service of the API server.
    pub api_service: Ipv4Addr,
    /// The Service of the cluster's DNS.
    pub dns_service: Ipv4Addr,
    /// The host's end of the link; the forward proxy answers here.
    pub host: Ipv4Addr,
    /// The cluster's end of the link.
    pub inner: Ipv4Addr,
    /// The port of 127.0.0.1 that leads to the cluster's ingress controller.
    pub forward_port: u16,
    /// The link's name on the host.
    pub host_link: String,
    /// The link's name in the cluster.
    pub inner_link: String,
}

/// The bridge that the node's address is on.
pub(crate) const NODE_BRIDGE: &str = "node0";
/// The bridge that the Pods are on.
pub(crate) const POD_BRIDGE: &str = "pods0";
/// Port of the registry that stands in for the public ones.
pub const MIRROR_PORT: u16 = 5000;
/// Port of the registry that applications' images are pushed to.
pub const REGISTRY_PORT: u16 = 5001;
/// Port of the git server.
pub const GIT_PORT: u16 = 3000;
/// Ports of the forge, for https and ssh.
pub const FORGE_PORTS: (u16, u16) = (3443, 3022);
/// Ports of the host's end of the link that the test cluster reaches: there tests listen for what
/// must not be sent to them.
pub const LISTENER_PORTS: std::ops::RangeInclusive<u16> = 3200..=3299;
/// Port of the API server.
pub const API_PORT: u16 = 6443;
/// Port of the forward proxy on the host's end of the link.
pub const PROXY_PORT: u16 = 3128;

impl Network {
    /// The addresses of cluster `name`.
    pub fn of(name: Name) -> Self {
        let (base, forward_port) = match name {
            Name::Dev => (200, 8080),
            Name::Test => (210, 18080),
        };
        Network {
            node: Ipv4Addr::new(10, base, 0, 1),
            node_range: format!("10.{base}.0.0/24"),
            pod_range: format!("10.{}.0.0/16", base + 1),
            service_range: format!("10.{}.0.0/16", base + 2),
            api_service: Ipv4Addr::new(10, base + 2, 0, 1),
            dns_service: Ipv4Addr::new(10, base + 2, 0, 10),
            host: Ipv4Addr::new(10, base + 3, 0, 1),
            inner: Ipv4Addr::new(10, base + 3, 0, 2),
            forward_port,
            host_link: format!("tb-{name}"),
            inner_link: "host0".to_owned(),
        }
    }

    /// The ranges that the host reaches through the link.
    pub fn routed(&self) -> [&str; 3] {
        [&self.node_range, &self.pod_range, &self.service_range]
    }

    /// `host:port` of the registry that serves base and system images to anyone.
    pub fn mirror(&self) -> String {
        format!("{}:{MIRROR_PORT}", self.node)
    }

    /// `host:port` of the registry of applications' images.
    pub fn registry(&self) -> String {
        format!("{}:{REGISTRY_PORT}", self.node)
    }

    /// URL of the git server as it is reached from the host.
    pub fn git(&self) -> String {
        format!("http://{}:{GIT_PORT}", self.node)
    }

    /// URL of the forge as it is reached from the host.
    pub fn forge(&self) -> String {
        format!("https://{}:{}", self.node, FORGE_PORTS.0)
    }

    /// URL of the API server.
    pub fn api(&self) -> String {
        format!("https://{}:{API_PORT}", self.node)
    }

    /// URL of the forward proxy that builds may use.
    pub fn proxy(&self) -> String {
        format!("http://{}:{PROXY_PORT}", self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_share_no_range_and_no_port() {
        let (dev, test) = (Network::of(Name::Dev), Network::of(Name::Test));
        for range in dev.routed() {
            assert!(!test.routed().contains(&range), "{range} is in both");
        }
        assert_ne!(dev.forward_port, test.forward_port);
        assert_ne!(dev.host, test.host);
        assert_ne!(dev.host_link, test.host_link);
    }

    #[test]
    fn link_names_fit_an_interface() {
        for name in Name::ALL {
            assert!(Network::of(name).host_link.len() < 16);
        }
    }

    #[test]
    fn names_are_read_back() {
        for name in Name::ALL {
            assert_eq!(name.as_str().parse::<Name>().unwrap(), name);
        }
        assert!("prod".parse::<Name>().is_err());
    }
}
