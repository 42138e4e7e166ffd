//! How an application is reached from outside the cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{HostPattern, ObjectName};

/// How an application is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.public || !has(self.domains) || self.domains.size() == 0").message("domains need public: true"))]
pub struct Expose {
    /// Give it a public host.
    #[serde(default = "yes")]
    pub public: bool,
    /// Hosts besides the generated one. Of two Services that ask for the same host the first has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["host"]))]
    pub domains: Vec<Domain>,
    /// An address for clients that do not speak HTTP. Anybody who reaches it may connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<Tcp>,
}

impl Default for Expose {
    fn default() -> Self {
        Self {
            public: true,
            domains: Vec::new(),
            tcp: None,
        }
    }
}

/// An address outside the cluster at which the application's port is reached as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("!has(self.port) || !has(self.type) || self.type != 'NodePort'").message("port is the load balancer's: with type NodePort the cluster chooses one and status.tcp names it, so remove port"))]
pub struct Tcp {
    /// By what. A LoadBalancer needs a cluster that has them; a NodePort is the same port on each
    /// node.
    #[serde(rename = "type", default)]
    pub kind: TcpKind,
    /// Port of the load balancer. Default: `run.port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 65535").message("must be between 1 and 65535"))]
    pub port: Option<i32>,
}

/// What makes an address outside the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TcpKind {
    /// The cluster's load balancers: those of a cloud, or MetalLB and the like.
    #[default]
    LoadBalancer,
    /// A port of each node.
    NodePort,
}

impl TcpKind {
    /// As Kubernetes calls that type of a Service.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LoadBalancer => "LoadBalancer",
            Self::NodePort => "NodePort",
        }
    }
}

fn yes() -> bool {
    true
}

/// How requests from outside reach Services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Routing {
    /// By an Ingress each.
    #[default]
    Ingress,
    /// By HTTPRoutes (of the Gateway API) at the platform's Gateway.
    Gateway,
}

/// A host of the user's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Domain {
    /// The host, or `*.example.com` for all hosts one label below a domain.
    pub host: HostPattern,
}

/// Whether browsers reach the Project's Services by https, with certificates that cert-manager
/// issues.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.issuer) && has(self.disabled) && self.disabled)").message("disabled: true needs no issuer: remove one of them"))]
pub struct Tls {
    /// The ClusterIssuer of cert-manager. Default: the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<ObjectName>,
    /// No certificates, whatever the operator's settings say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
}

/// A host that a Service has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostStatus {
    /// The host.
    pub host: String,
    /// Since when. Whoever asks for it later does not get it.
    pub since: Time,
    /// What to enter in the DNS for it, of a host of the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// Where the DNS leads for it, of a host of the user's own. Nothing while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolves: Option<Resolves>,
    /// Its certificate, where there is one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateStatus>,
}

/// Where the DNS leads for a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Resolves {
    /// Nowhere: there is no record.
    No,
    /// To other addresses than the generated host: those of before, or of a proxy in front.
    Elsewhere,
    /// To the platform.
    Here,
}

/// Where clients reach an application without HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TcpStatus {
    /// Addresses or names of the load balancer. None of a NodePort: each node has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// The port there.
    pub port: i32,
}

/// How far the certificate of a host is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// The Secret that it is in.
    pub secret: String,
    /// Whether it is there and valid.
    pub ready: bool,
    /// What cert-manager says while it is not, or cannot be renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Until when it is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
    /// When it is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal_time: Option<Time>,
}
